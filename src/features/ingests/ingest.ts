import type { ConfiguredLimits } from '../../config/api-keys.ts';
import type { IngestConfig, StreamIngestConfig } from './config.ts';
import type { Arrival, Change, PresetSettings, ReadArrival, Reading } from './arrival.ts';
import { type ExpressionThread, type Expressions, readingOf } from './expressions.ts';
import { type PresetName, presetNamed } from './presets.ts';
import { isSignedAlone, type Proof, schemeOf, type SignatureScheme } from './signature.ts';

/** A sender whose requests are accepted, with its settings made ready. */
export interface Ingest {
  readonly name: string;
  /** The name of its preset; undefined: it has expressions. */
  readonly preset: PresetName | undefined;
  readonly reads: { readonly by: ReadArrival } | { readonly expressions: Expressions };
  readonly settings: PresetSettings;
  readonly proof: Proof;
  readonly badDataStatus: 422 | 200;
  /** The only jobs that get triggers; undefined: all that subscribe. */
  readonly jobs: readonly string[] | undefined;
  /** How much it may use, as configured. */
  readonly limits: ConfiguredLimits | undefined;
  /** Whether the profiles that it gives are sent; otherwise they come from the audience source. */
  readonly takesProfiles: boolean;
}

export function ingestOf(name: string, config: IngestConfig | StreamIngestConfig): Ingest {
  const preset = config.preset === undefined ? undefined : presetNamed(config.preset);
  const { userField, audience, audiences, expressions } = config;
  // The configuration has one of the two.
  const reads = preset === undefined ? { expressions: expressions ?? { user: '', event: '' } } : { by: preset.read };
  return {
    name,
    preset: config.preset,
    reads,
    settings: { userField, audience, audiences },
    proof: proofOf(config, preset?.signature),
    badDataStatus: ('badDataStatus' in config ? config.badDataStatus : undefined) ?? preset?.badDataStatus ?? 422,
    jobs: 'jobs' in config ? config.jobs : undefined,
    limits: 'limits' in config ? config.limits : undefined,
    takesProfiles: config.profiles === 'from-body',
  };
}

function proofOf({ signature, basic, header, parameter }: IngestConfig, known: SignatureScheme | undefined): Proof {
  const scheme = signature === undefined ? undefined : schemeOf(signature, known);
  return {
    signature: scheme && signature && { scheme, secrets: several(signature.secret) },
    basic: basic && several(basic),
    header: header && { name: header.name.toLowerCase(), values: several(header.value) },
    parameter: parameter && { name: parameter.name, values: several(parameter.value) },
  };
}

function several<T>(one: T | readonly T[]): readonly T[] {
  return Array.isArray(one) ? (one as readonly T[]) : [one as T]; // TypeScript does not narrow readonly lists by isArray.
}

/** Returns why the URL of a request is refused: its preset would read what no proof covers. Undefined: it is not. */
export function urlProblem({ preset, proof }: Ingest, query: Arrival['query']): string | undefined {
  if (preset !== 'hightouch' && preset !== 'census') return undefined;
  const told = ['event', 'audience', 'at'].find((name) => query[name] !== undefined);
  return told === undefined || !isSignedAlone(proof)
    ? undefined
    : `The signature does not cover the URL, which says "${told}". Say it in the body, or give the ingest a "header", "basic" or "parameter" besides.`;
}

/**
 * Reads a request.
 * @param unwanted aborted when the reading is no longer needed.
 * @throws ExpressionsBusy
 */
export async function readArrival(
  { name, reads, settings }: Ingest,
  arrival: Arrival,
  thread: ExpressionThread,
  unwanted?: AbortSignal,
): Promise<Reading> {
  if ('by' in reads) return reads.by(arrival, settings);
  const { authorization: _, ...headers } = arrival.headers;
  const { expressions } = reads;
  const { body, query } = arrival;
  return readingOf(await thread.evaluate({ expressions, body, headers, query }, name, unwanted), settings);
}

/** A change as a trigger, and the possible names of its audience, in the order in which they are tried. */
export interface MappedChange {
  readonly user: string;
  readonly event: Change['event'];
  readonly audiences: readonly [string, ...string[]];
  readonly at?: string;
  readonly profile?: Change['profile'];
}

/** Puts our names of audiences in the place of the sender's. */
export function mapped(ingest: Pick<Ingest, 'settings' | 'takesProfiles'>, change: Change): MappedChange {
  const { user, event, at, profile } = change;
  const { audiences } = ingest.settings;
  const name = change.audiences.find((one) => Object.hasOwn(audiences, one));
  const ours = name === undefined ? undefined : audiences[name];
  return {
    user,
    event,
    audiences: ours === undefined ? change.audiences : [ours],
    ...(at === undefined ? {} : { at }),
    ...(profile === undefined || !ingest.takesProfiles ? {} : { profile }),
  };
}
