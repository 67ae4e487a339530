import type { ReadArrival } from './arrival.ts';
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
}

const X_SIGNATURE: SignatureScheme = { kind: 'hmac', header: 'x-signature', algorithm: 'sha1', encoding: 'hex' };

const PRESETS = {
  lytics: { read: readLytics, badDataStatus: 422 },
  segment: { read: readSegment, signature: X_SIGNATURE, badDataStatus: 422 },
  rudderstack: { read: readSegment, signature: X_SIGNATURE, badDataStatus: 422 },
  mixpanel: { read: readMixpanel, badDataStatus: 200 },
  hightouch: { read: readRows, badDataStatus: 200 },
  census: { read: readRows, badDataStatus: 200 },
  posthog: { read: readPosthog, badDataStatus: 422 },
  customerio: { read: readCustomerio, signature: { kind: 'customerio' }, badDataStatus: 200 },
  standard: { read: readStandard, signature: { kind: 'standard-webhooks' }, badDataStatus: 422 },
} as const satisfies Readonly<Record<string, Preset>>;

export type PresetName = keyof typeof PRESETS;

/** The names of all presets. */
export const PRESET_NAMES = Object.keys(PRESETS) as [PresetName, ...PresetName[]]; // The keys of the literal above.

export function presetNamed(name: PresetName): Preset {
  return PRESETS[name];
}
