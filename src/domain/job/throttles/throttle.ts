import type { JobDefinition } from '../../../contract/export-job.ts';
import type { Waits } from '../../../contract/job-status.ts';
import type { SliceInput, SliceReport } from '../../../contract/slice.ts';
import type { Calendar } from '../../../contract/timing.ts';
import type { Chain } from '../queue/chain.ts';
import type { Chains } from '../queue/chains.ts';

/** A job as all throttles see it; each may keep something of its own besides. */
export interface Throttled {
  readonly job: ThrottledJob;
  readonly stopping?: unknown;
  readonly chains: Chains;
  readonly slices: ReadonlyMap<number, ThrottledSlice>;
  readonly backfill: { readonly expectsPages: boolean; readonly waitingInPages: number } | undefined;
  readonly underWay: Pick<ReadonlySet<'read-calendar'>, 'has'>;
  /** How long one request takes, in ms. */
  readonly requestMs: number;
}

export interface ThrottledJob {
  readonly definition: JobDefinition;
  /** The beginnings and ends of the job's quiet hours and quota periods; absent when nothing depends on them. */
  readonly calendar?: Calendar;
}

export interface ThrottledSlice {
  readonly parts: readonly { readonly chain: Chain; readonly count: number }[];
  readonly limits: SliceLimits;
  /** Whether it has said that it starts no further request. */
  startsNoMore?: boolean;
}

/** The fields of a slice's input that throttles fill. */
export type SliceLimits = Pick<SliceInput, 'notAfterMs' | 'pace' | 'quotaFrom'>;

/** A slice that has ended. */
export interface EndedSlice {
  readonly slice: ThrottledSlice;
  readonly report: SliceReport;
  /** Whether the present endpoint accepted something. */
  readonly isProofOfLife: boolean;
  /** Whether a request was or may have been made for the trigger at a place in the slice. */
  readonly wasRequested: (index: number) => boolean;
}

/** Taken out once: these are asked with every step, and the sandbox takes longer to look up a global than to answer. */
export const NEVER = Infinity;
export const { max, min } = Math;

/** Whether nothing is there to be sent. */
export function isIdle({ chains, backfill }: Pick<Throttled, 'chains' | 'backfill'>): boolean {
  return chains.triggers === 0 && (backfill?.waitingInPages ?? 0) === 0;
}

/**
 * A reason for a job to wait. A throttle stands in a file of its own and in the list in `throttles.ts`, which the rest of the job asks. It
 * answers what concerns it. Times are epoch ms; one in the past means that there is nothing to wait for.
 */
export interface Throttle<Own = object> {
  /** Nothing is sent before then. */
  readonly barredUntil?: (state: Throttled & Own, now: number) => number;
  /** No slice is dispatched before then, though the job counts as one that sends: such a wait is short. */
  readonly spacedUntil?: (state: Throttled & Own, now: number) => number;
  /** The job wakes at the end of `barredUntil` even if nothing waits to be sent. */
  readonly wakesIdle?: true;
  /** How many triggers may have their first attempt now. */
  readonly firstsLeft?: (state: Throttled & Own, now: number) => number;
  /** When first attempts may be made again. */
  readonly firstsFrom?: (state: Throttled & Own, now: number) => number;
  /** When it last held the job back for long, or will do so no more; 0: not lately. No page of members is expected meanwhile. */
  readonly heldUntil?: (state: Throttled & Own, now: number) => number;
  /** When the job wakes for it, though there may be nothing to send; `Infinity`: never. */
  readonly wakesAt?: (state: Throttled & Own, now: number) => number;
  /** A slice with this many first attempts is dispatched. */
  readonly take?: (state: Throttled & Own, firsts: number, now: number) => SliceLimits | undefined;
  readonly settled?: (state: Throttled & Own, ended: EndedSlice, now: number) => void;
  /** An edit took effect. */
  readonly edited?: (state: Throttled & Own, now: number) => void;
  /** People see it in a status. */
  readonly wait?: {
    /** A newer one has the name of its field of the form. */
    readonly why: keyof Waits;
    readonly holds: Held;
    readonly until: (state: Throttled & Own, now: number) => number | undefined;
  };
}

/** When each wait ends; in the past: there is none. */
export type WaitTimes = { readonly [Why in keyof Waits]?: number | undefined };

/** Which triggers a throttle holds back: all, those without an attempt, or those that are ready. */
export type Held = 'all' | 'firsts' | 'ready';
