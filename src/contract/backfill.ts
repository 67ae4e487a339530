/** Input of a backfill child. */
export interface BackfillInput {
  /** Workflow id of the job (never a run id: the job continues as new under us). */
  readonly jobWorkflowId: string;
  readonly subscriptionId: string;
  /** Which backfill of the job this is, from 1. */
  readonly n: number;
  /** Canonical ids, in the order in which they are paged through. */
  readonly audiences: readonly string[];
  /** Most bytes of one page's ids. */
  readonly pageBytes: number;
  /** How far the run before came; in the first, where to begin. */
  readonly carried: BackfillProgress;
}

/** What a backfill carries through continue-as-new. */
export interface BackfillProgress {
  /** See `MemberPage`; absent also before it was asked for. */
  readonly expected?: number;
  /** True once the source was asked for it. */
  readonly isCounted?: boolean;
  /** Where the next page begins; absent when all are read. */
  readonly next?: BackfillCursor;
  /** Pages sent to the job and not answered yet, oldest first. */
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
  /** Where the source goes on; absent at an audience's start. */
  readonly after?: string;
}

/** A page of existing members: the signal `page` from the child to the job. */
export interface MemberPage {
  readonly subscriptionId: string;
  readonly n: number;
  readonly number: number;
  /** Canonical id of the audience. */
  readonly audience: string;
  /** When the source was asked or before, epoch ms by the server's clock, which dates live triggers too. */
  readonly readAt: number;
  readonly ids: readonly string[];
  /** How many members all its audiences together had when it began, by the source; absent when the source does not say. */
  readonly expected?: number;
  /** True on the page that ends the backfill. */
  readonly last: boolean;
  /** Where the next page begins; absent on the last. */
  readonly next?: BackfillCursor;
}

/** The job's answer to a page: the signal `pageTaken` from the job to the child. */
export interface PageTaken {
  readonly n: number;
  readonly number: number;
  /** True: the page reaches further back than the job remembers live triggers; read it again. */
  readonly readAgain?: true;
  /** True: nobody waits for pages of this backfill any more; end. */
  readonly gone?: true;
  /** With `readAgain`: wait this long first, since live traffic is too fast to be remembered. */
  readonly afterMs?: number;
}

/** What `listMembers` returns. */
export interface MemberIds {
  readonly ids: readonly string[];
  /** Where to go on; absent at the end. */
  readonly next?: string;
}
