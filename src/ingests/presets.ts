import { nearestKey } from '../contract/nearest-key.ts';
import type { Json } from '../contract/trigger.ts';
import { isObject, listOf, type ReadArrival, valueAt } from './arrival.ts';
import { readCustomerio } from './presets/customerio.ts';
import { readLytics, readStandard } from './presets/messages.ts';
import { readMixpanel } from './presets/mixpanel.ts';
import { readPosthog } from './presets/posthog.ts';
import { readRows } from './presets/rows.ts';
import { readSegment } from './presets/segment.ts';
import type { SignatureScheme } from './signature.ts';

/** What is known of a sender. */
export interface Preset {
  readonly read: ReadArrival;
  /** How it signs, where it signs by itself. */
  readonly signature?: SignatureScheme;
  /**
   * What bad data is answered with, unless the configuration says otherwise. 200 where the sender would send it again after any other answer, for days
   * or at each of its syncs, although it will never be accepted.
   */
  readonly badDataStatus: 422 | 200;
  /** What of its requests tells of a change, where others are ignored. */
  readonly told?: {
    readonly inWords: string;
    /** Fields of what is told, by dotted path, and what is understood there. */
    readonly fields: Readonly<Record<string, readonly string[]>>;
  };
}

const CALLS = {
  inWords:
    'Track calls "Audience Entered" and "Audience Exited", and Identify calls in which the audience\'s key is a trait that is true or false',
  fields: { type: ['track', 'identify'], event: ['Audience Entered', 'Audience Exited'] },
};

const X_SIGNATURE: SignatureScheme = { kind: 'hmac', header: 'x-signature', algorithm: 'sha1', encoding: 'hex' };

const PRESETS = {
  lytics: { read: readLytics, badDataStatus: 422, told: { inWords: 'what is no test', fields: {} } },
  segment: { read: readSegment, signature: X_SIGNATURE, badDataStatus: 422, told: CALLS },
  rudderstack: { read: readSegment, signature: X_SIGNATURE, badDataStatus: 422, told: CALLS },
  mixpanel: { read: readMixpanel, badDataStatus: 200 },
  hightouch: { read: readRows, badDataStatus: 200 },
  census: { read: readRows, badDataStatus: 200 },
  posthog: {
    read: readPosthog,
    badDataStatus: 422,
    told: {
      inWords: 'events whose name says that somebody entered or left, such as "cohort entered" and "cohort left"',
      fields: { 'event.event': ['cohort entered', 'cohort left'] },
    },
  },
  customerio: {
    read: readCustomerio,
    signature: { kind: 'customerio' },
    badDataStatus: 200,
    told: { inWords: 'what a webhook action of a campaign sends', fields: {} },
  },
  standard: {
    read: readStandard,
    signature: { kind: 'standard-webhooks' },
    badDataStatus: 422,
    told: {
      inWords: 'a message of a job, a trigger, and types such as "audience.entered" and "audience.exited"',
      fields: { type: ['audience.entered', 'audience.exited'] },
    },
  },
} as const satisfies Readonly<Record<string, Preset>>;

export type PresetName = keyof typeof PRESETS;

/** The names of all presets. */
export const PRESET_NAMES = Object.keys(PRESETS) as [PresetName, ...PresetName[]]; // The keys of the literal above.

/**
 * What a sender most likely meant by what is ignored: a word that is understood, instead of one that is nearly that.
 * Undefined: nothing comes near.
 */
export function nearMiss({ told }: Preset, body: Json): { readonly said: string; readonly near: string } | undefined {
  const items = listOf(isObject(body) && Array.isArray(body['batch']) ? body['batch'] : body).filter(isObject);
  for (const item of items)
    for (const [path, words] of Object.entries(told?.fields ?? {})) {
      const said = valueAt(item, path);
      if (typeof said !== 'string' || words.includes(said)) continue;
      const near = nearestKey(said, words);
      if (near !== undefined) return { said, near };
    }
  return undefined;
}

export function presetNamed(name: PresetName): Preset {
  return PRESETS[name];
}
