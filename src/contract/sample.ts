import type { AttemptVerdict } from '../domain/verdict.ts';
import type { Answers } from './answers.ts';
import type { Audience } from './audience.ts';
import type { Method } from './request-shape.ts';
import type { DeliverySettings } from './slice.ts';
import type { TriggerEvent } from './trigger.ts';

/** The settings that a job sends by, and its audiences. */
export interface JobSettings {
  readonly settings: DeliverySettings;
  /** Those that the job listens to, in its order. */
  readonly audiences: readonly Audience[];
}

/**
 * Whom a sample is about. What is absent is chosen by default: the job's first audience, its first member with a profile, and `enter`, or `exit` if
 * that is all that the job sends.
 */
export interface SampleWish {
  readonly user?: string;
  /** Slug or id of one of the job's audiences. */
  readonly audience?: string;
  readonly event?: TriggerEvent;
  /** The payload format, instead of the job's: true is the old one. */
  readonly userLegacyMessageFormat?: boolean;
  /** Whether `user` must be a member now of one of these audiences. Default: anybody in the source. */
  readonly onlyMembers?: boolean;
}

/** What a worker makes a sample from: a job, by its workflow's id, or a checked definition. */
export type SampleInput = SampleWish & ({ readonly jobWorkflowId: string } | JobSettings);

/** A request as people may see it. */
export interface ShownRequest {
  readonly method: Method;
  /**
   * Masked as everywhere: without its path and the values of its query. Of a URL that is a template, what its values made is shown, and of what
   * stands in the template itself, nothing.
   */
  readonly url: string;
  /** In order, as [name, value]; a value that may be secret is `…`. What the connection adds (`host`, `content-length`) is not included. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Byte for byte as it is sent, up to 256 KiB (an eighth of the server's payload limit, where that is lower than usual). */
  readonly body: string;
  /** Bytes of the whole body. */
  readonly bodyBytes: number;
}

/** What the endpoint did with a sample. */
export interface SampleAnswer {
  /** True for 2xx, and nothing else. */
  readonly ok: boolean;
  readonly status?: number;
  /** What went wrong where there is no status; see `domain/verdict.ts`. */
  readonly code?: string;
  /** What it would mean for the job, by the job's `answers`. */
  readonly verdict: AttemptVerdict;
  readonly retryAfterMs?: number;
  /** From the request's start to the end of its answer, connecting included. */
  readonly durationMs: number;
  /** At most 200 characters of the answer to a failed request, without the secrets that the request carried. */
  readonly answer?: string;
  /** True when this is the second answer: the first was a 401, and the request was sent again with a new token. */
  readonly isSecond: boolean;
}

/** A message about a real person, made as a job would make it. */
export interface Sample {
  readonly user: string;
  /** Who else is in the same request, of a job that sends batches; absent: nobody. */
  readonly others?: readonly string[];
  readonly audience: Audience;
  readonly event: TriggerEvent;
  readonly request: ShownRequest;
  /** What answers mean for the job, where it is not the usual. */
  readonly answers?: Answers;
  /** How long the job tries a trigger, where it is not as long as usual; added by the client. */
  readonly retryFor?: string;
  /** What a person should know about the job that it is a sample of, added by the client. */
  readonly warnings?: readonly string[];
}

/** A sample that was sent, once. */
export interface SentSample extends Sample {
  readonly answer: SampleAnswer;
}

/** Why no sample could be made: the option to correct, or `job`, and what to do. */
export interface SampleProblem {
  readonly field: 'user' | 'audience' | 'event' | 'authorization' | 'job' | 'message';
  readonly message: string;
}

/** A worker's answer; nothing was sent when it is not ok. */
export type Sampled<T extends Sample> =
  { readonly ok: true; readonly sample: T } | { readonly ok: false; readonly problem: SampleProblem };
