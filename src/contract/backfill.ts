/** Input of a backfill child; what it carries through continue-as-new is the same shape. */
export interface BackfillInput {
  /** Workflow id of the job (never a run id: the job continues as new under us). */
  readonly jobWorkflowId: string;
  readonly subscriptionId: string;
  /** Which backfill of the job this is, from 1. */
  readonly n: number;
  /** Canonical ids, in the order in which they are paged through. */
  readonly audiences: readonly string[];
  readonly cursor?: BackfillCursor;
}

/** How far a backfill has come. */
export interface BackfillCursor {
  /** Number of the next page, from 1. */
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
  /** When the source was asked, epoch ms. */
  readonly readAt: number;
  readonly ids: readonly string[];
  /** True on the page that ends the backfill. */
  readonly last: boolean;
}

/** The job's answer to a page: the signal `pageTaken` from the job to the child. */
export interface PageTaken {
  readonly n: number;
  readonly number: number;
  /** True: the page reaches further back than the job remembers live triggers; read it again. */
  readonly readAgain?: true;
}

/** What `listMembers` returns. */
export interface MemberIds {
  readonly ids: readonly string[];
  /** Where to go on; absent at the end. */
  readonly next?: string;
  /** When the source was asked, epoch ms. */
  readonly readAt: number;
}
