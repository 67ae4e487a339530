import type { Audience } from './audience.ts';
import type { PackedTriggers } from './holder.ts';
import type { Replay } from './replay.ts';

/** Input of a backfill child. */
export interface BackfillInput extends SentInstead {
  /** Workflow id of the job (never a run id, since the job continues as new meanwhile). */
  readonly jobWorkflowId: string;
  readonly subscriptionId: string;
  /** Number of this backfill of the job, from 1. */
  readonly n: number;
  /** Canonical ids, in the order in which they are read. */
  readonly audiences: readonly string[];
  /** Most bytes of one page's ids. */
  readonly pageBytes: number;
  /** How far the previous run got; in the first run, where to begin. */
  readonly carried: BackfillProgress;
  /** How often another child continued this backfill where the last one had stopped; absent: never. */
  readonly restarts?: number;
  /** With a replay: its audiences, by the slugs under which the job tells of them. */
  readonly told?: readonly Audience[];
}

/** The difference that a backfill sends. */
export interface DifferenceToSend {
  readonly id: string;
  /** How many members are missing from the endpoint's list. */
  readonly enters: number;
  /** How many people are on the list and are not members. */
  readonly exits: number;
}

/** A backfill sends one of these in place of all members; neither: all members. */
export interface SentInstead {
  readonly difference?: DifferenceToSend | undefined;
  readonly replay?: Replay | undefined;
}

/** The state that a backfill carries through continue-as-new. */
export interface BackfillProgress {
  /** See `MemberPage`; also absent before it was asked for. */
  readonly expected?: number;
  /** True once the source was asked for it. */
  readonly isCounted?: boolean;
  /** Where the next page begins; absent when all are read. */
  readonly next?: BackfillCursor;
  /** Pages that the job has not answered yet, oldest first. */
  readonly ahead: readonly PageAhead[];
}

/** A page that the job has not answered yet, and where it began. */
export interface PageAhead {
  readonly from: BackfillCursor;
  readonly page: MemberPage;
}

/** Where a page begins. */
export interface BackfillCursor {
  /** Number of the page, from 1. */
  readonly page: number;
  /** Place in `audiences`. */
  readonly audience: number;
  /** Where to continue in the source; absent at the start of an audience. */
  readonly after?: string;
}

/** A page of existing members: the signal `page` from the child to the job. */
export interface MemberPage {
  readonly subscriptionId: string;
  readonly n: number;
  readonly number: number;
  /** Canonical id of the audience. */
  readonly audience: string;
  /** When the source was asked, or earlier; epoch ms by the server's clock, which also dates live triggers. */
  readonly readAt: number;
  readonly ids: readonly string[];
  /** People who are not members, to be sent as exits; absent: none. */
  readonly exits?: readonly string[];
  /** In a replay, in place of ids: what is told again, in order, about any of its audiences. */
  readonly told?: PackedTriggers;
  /** How many more people of the difference were read, for whom it no longer holds; absent: none. */
  readonly outdated?: number;
  /** The members of all its audiences when it began, by the source's own count; absent when the source does not say. */
  readonly expected?: number;
  /** True on the page that ends the backfill. */
  readonly last: boolean;
  /** Where the next page begins; absent on the last. */
  readonly next?: BackfillCursor;
  /** `restarts` of the child that read it. Pages of two children need not begin at the same places. */
  readonly restarts?: number;
}

/** The job's answer to a page: the signal `pageTaken` from the job to the child. */
export interface PageTaken {
  readonly n: number;
  readonly number: number;
  /** True: the page is older than what the job remembers of live triggers; read it again. */
  readonly readAgain?: true;
  /** True: pages of this backfill are no longer wanted; end. */
  readonly gone?: true;
  /** With `readAgain`: wait this long first, since there is more live traffic than can be remembered. */
  readonly afterMs?: number;
}

/** Result of `listDifference`. */
export interface DifferencePage extends MemberIds {
  /** People who are not members. */
  readonly exits: readonly string[];
  /** How many people were left out, since the difference no longer holds for them. */
  readonly outdated: number;
}

/** Result of `listTold`. */
export interface ToldPage {
  readonly told: PackedTriggers;
  /** Where to continue; absent at the end. */
  readonly next?: string;
}

/** Result of `listMembers`. */
export interface MemberIds {
  readonly ids: readonly string[];
  /** Where to continue; absent at the end. */
  readonly next?: string;
}
