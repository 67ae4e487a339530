import type { Alert } from '../../contract/alert.ts';
import type { BackfillCursor, PageTaken } from '../../contract/backfill.ts';
import type { PackedTriggers } from '../../contract/holder.ts';
import type { SliceInput } from '../../contract/slice.ts';
import type { Chain } from './chain.ts';
import type { DeadTrigger } from './dead-letters.ts';

/** A holder that is being started, with what it is for. */
export type Holder =
  | { readonly name: string; readonly of: 'overflow'; readonly number: number }
  | { readonly name: string; readonly of: 'parking'; readonly number: number; readonly chain?: Chain };

/** What the workflow knows of its run and the dispatcher does not. */
export interface RunFacts {
  readonly signals: number;
  readonly events: number;
  readonly historyBytes: number;
  /** The server, or a new worker version, suggests to continue as new; or the run is a day old. */
  readonly continueSuggested: boolean;
  /** The workflow itself is doing something (starting a child, sending a signal), and the run may not end meanwhile. */
  readonly busy: boolean;
}

/** Start the holder of this name with its content; `confirmHold` when it has it. */
export interface HoldStep {
  readonly kind: 'hold';
  readonly holder: Holder;
  readonly content: PackedTriggers;
  readonly bytes: number;
}

/** What the workflow is to do next. */
export type Step =
  | {
      readonly kind: 'deliver';
      readonly slice: SliceInput;
      readonly bytes: number;
    }
  | {
      readonly kind: 'start-backfill';
      readonly n: number;
      readonly audiences: readonly string[];
      readonly from: BackfillCursor;
    }
  | { readonly kind: 'answer-page'; readonly answer: PageTaken }
  | { readonly kind: 'cancel-backfill'; readonly n: number }
  | { readonly kind: 'look-for-backfill'; readonly n: number }
  | HoldStep
  /** Read a holder; `holderRead` with its content. */
  | { readonly kind: 'recall'; readonly holder: Holder }
  /** Let holders end that are no longer needed. */
  | { readonly kind: 'release'; readonly holders: readonly string[] }
  /** Start a dead-letter workflow for each, by key; `deadLetters.confirm` when they run. */
  | {
      readonly kind: 'keep-dead-letters';
      readonly letters: ReadonlyMap<number, DeadTrigger>;
      readonly bytes: number;
    }
  /** Tell operators; `alerts.confirm` when they are on their way. */
  | { readonly kind: 'raise-alerts'; readonly alerts: readonly Alert[] }
  /** Keep what is carried for a later resume; `jobKept` with `changes` when it is kept. */
  | { readonly kind: 'keep-job'; readonly changes: number }
  | { readonly kind: 'continue-as-new' }
  | { readonly kind: 'finish' }
  /** Nothing to do until something happens, or until `until` (epoch ms). */
  | { readonly kind: 'wait'; readonly until?: number };
