import type { Alert } from '../../contract/alert.ts';
import type { BackfillCursor, PageTaken, SentInstead } from '../../contract/backfill.ts';
import type { AddressedAnswer } from '../../contract/dead-letter.ts';
import type { PackedTriggers } from '../../contract/holder.ts';
import type { SliceInput } from '../../contract/slice.ts';
import type { CalendarSettings } from '../../contract/timing.ts';
import type { TriggerEvent } from '../../contract/trigger.ts';
import type { DeadTrigger } from './queue/pending-dead-letters.ts';

/** Start the holder with this number and its content; `overflow.confirm` when it has it. */
export interface SpillStep {
  readonly kind: 'spill';
  readonly number: number;
  readonly content: PackedTriggers;
  readonly bytes: number;
}

/** The next step of a workflow. */
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
      readonly restarts: number;
      readonly instead: SentInstead;
    }
  | { readonly kind: 'answer-page'; readonly answer: PageTaken }
  | { readonly kind: 'cancel-backfill'; readonly n: number }
  | { readonly kind: 'look-for-backfill'; readonly n: number }
  | SpillStep
  /** Read a holder; `holderRead` with its content. */
  | { readonly kind: 'load'; readonly number: number }
  /** Let holders end that are no longer needed. */
  | { readonly kind: 'drop'; readonly holders: readonly string[] }
  /** Start a dead-letter workflow for each, by key; `deadLetters.confirm` when they run. */
  | {
      readonly kind: 'keep-dead-letters';
      readonly letters: ReadonlyMap<number, DeadTrigger>;
      readonly bytes: number;
    }
  /** Tell dead letters whether the job took them; `answersGone` afterwards. */
  | { readonly kind: 'answer-letters'; readonly answers: readonly AddressedAnswer[] }
  /** Tell operators; `alerts.confirm` when they are on their way. */
  | { readonly kind: 'raise-alerts'; readonly alerts: readonly Alert[] }
  /** Read the job's calendar; `calendarRead` with it. */
  | {
      readonly kind: 'read-calendar';
      readonly settings: CalendarSettings;
      readonly from: number;
      readonly revision: number;
    }
  | { readonly kind: 'continue-as-new' }
  | { readonly kind: 'finish' }
  /** Nothing to do until something happens, or until `until` (epoch ms). */
  | { readonly kind: 'wait'; readonly until?: number };

/** A part of a signal, as it came; nothing in it has been checked yet. */
export type Arrival =
  | { readonly kind: 'trigger'; readonly raw: unknown; readonly event: TriggerEvent | undefined }
  | { readonly kind: 'redelivery'; readonly raw: unknown }
  | { readonly kind: 'page'; readonly raw: unknown }
  | { readonly kind: 'permits'; readonly raw: unknown }
  | { readonly kind: 'unknown'; readonly name: string }
  /** A signal that takes one argument, with more than that. */
  | { readonly kind: 'surplus'; readonly name: string };
