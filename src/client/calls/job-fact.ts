import type { SliceRun } from './attempt.ts';
import type { AddressedAnswer, DeadLetter } from '../../contract/dead-letter.ts';
import type { Arrival } from '../../domain/job/steps.ts';

/** A fact about triggers from the history of a job's run. */
export type JobFact = { readonly runId: string; readonly atMs: number } &
  /** With all of its arguments; a workflow of ours takes one. */
  (
    | { readonly kind: 'began'; readonly args: readonly unknown[] }
    /** A worker completed a task of it. */
    | { readonly kind: 'ran' }
    | { readonly kind: 'signalled'; readonly name: string; readonly arrivals: readonly Arrival[] }
    /** A signal whose payload is encrypted with a key that is not here. */
    | { readonly kind: 'unreadable'; readonly name: string; readonly error: Error }
    /** The worker wrote down something by this name, such as that it refused a signal (`refusedSignalMarker`). */
    | { readonly kind: 'marked'; readonly name: string }
    /** A definition was checked, with this result. */
    | { readonly kind: 'prepared'; readonly result: unknown }
    | ({ readonly kind: 'slice' } & SliceRun)
    | { readonly kind: 'died'; readonly letters: readonly DeadLetter[] }
    /** The job decided whether it takes dead letters that were redelivered. */
    | { readonly kind: 'answered'; readonly answers: readonly AddressedAnswer[] }
    /** Somebody asked for the job to be stopped, and decided about the waiting triggers. */
    | { readonly kind: 'stop-asked'; readonly waiting: unknown }
    /** The run closed; with the run that continues it, if there is one. */
    | { readonly kind: 'closed'; readonly nextRunId?: string }
    /** Everything that existed when reading began has been read; only where a history is followed. */
    | { readonly kind: 'caught-up' }
  );
