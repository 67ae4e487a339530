import type { AttemptVerdict } from '../../contract/verdict.ts';
import type { Answers } from '../../contract/answers.ts';
import type { Audience } from '../../contract/audience.ts';
import type { ShownRequest } from '../../contract/delivery.ts';
import type { JobSettings } from '../../contract/slice.ts';
import type { TriggerEvent } from '../../contract/trigger.ts';

/**
 * The person, audience and event of a sample. Defaults: the job's first audience, its first member with a profile, and `enter`, or `exit` if that is
 * all that the job sends.
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

/** The job that a worker makes a sample for: a job, by its workflow's id, or a checked definition. */
export type SampleInput = SampleWish & ({ readonly jobWorkflowId: string } | JobSettings);

/** The endpoint's answer to a sample. */
export interface SampleAnswer {
  /** True for 2xx, and nothing else. */
  readonly ok: boolean;
  readonly status?: number;
  /** The code of a failure without a status; see `domain/verdict.ts`. */
  readonly code?: string;
  /** Its verdict for the job, by the job's `answers`. */
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
  /** The other people in the same request, if the job sends batches; absent: none. */
  readonly others?: readonly string[];
  readonly audience: Audience;
  readonly event: TriggerEvent;
  readonly request: ShownRequest;
  /** Meanings of answers for the job that differ from the default. */
  readonly answers?: Answers;
  /** How long the job tries a trigger, if it differs from the default; added by the client. */
  readonly retryFor?: string;
  /** Warnings about the job of this sample, added by the client. */
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
