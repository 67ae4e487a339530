import type { ServerLimits } from '../contract/ports.ts';

/** The server's defaults. */
export const DEFAULT_SERVER_LIMITS: ServerLimits = {
  payloadBytes: 2 * 1024 * 1024,
  signalsPerRun: 10_000,
  eventsPerRun: 51_200,
};

/** The bounds that a job keeps, in bytes unless the name says otherwise. */
export interface Budgets {
  /** Largest trigger taken. */
  readonly triggerBytes: number;
  /** Most bytes of triggers in one slice. */
  readonly sliceBytes: number;
  /** What the state carried through continue-as-new should stay in. */
  readonly stateBytes: number;
  /** Of it, what chains may take, running ones included: beyond, what arrives goes to the overflow. */
  readonly chainBytes: number;
  /** What may wait behind them in the memory of a run that sends on; it is not carried, but put into holders before the run ends. */
  readonly tailBytes: number;
  /** Of what chains may take, what held chains may before those due last are parked. */
  readonly heldBytes: number;
  /** What it must stay in, or the run cannot end: the payload limit less what the converter and the event add. */
  readonly carryBytes: number;
  /** What the state is taken to need for rejects, the breaker's people, the last failure and counters. */
  readonly fixedBytes: number;
  /** Live arrivals that a job remembers, against stale members of a backfill. */
  readonly rememberedArrivals: number;
  /** Deliveries that a job remembers, against triggers signalled twice. */
  readonly rememberedDeliveries: number;
  /** Most bytes of members waiting from a backfill. */
  readonly backfillBytes: number;
  /** Most bytes of commands in one workflow task. */
  readonly commandBytes: number;
  /** Continue as new from here on whenever no slice runs, … */
  readonly calmSignals: number;
  /** … and from here on stop cutting slices until none runs. */
  readonly forcedSignals: number;
  readonly forcedEvents: number;
  readonly forcedHistoryBytes: number;
}

/** Scales the bounds of design §5 (Budget) to a server's limits. */
export function budgetsOf(limits: ServerLimits): Budgets {
  const { payloadBytes, signalsPerRun, eventsPerRun } = limits;
  return {
    triggerBytes: Math.floor(payloadBytes / 32),
    sliceBytes: Math.floor(payloadBytes / 16),
    stateBytes: Math.floor((payloadBytes * 3) / 4),
    chainBytes: Math.floor((payloadBytes * 3) / 8),
    tailBytes: payloadBytes,
    heldBytes: Math.floor(payloadBytes / 8),
    carryBytes: Math.floor((payloadBytes * 15) / 16),
    fixedBytes: Math.max(6 * 1024, Math.floor(payloadBytes / 128)),
    rememberedArrivals: Math.min(REMEMBERED_ARRIVALS, Math.floor(payloadBytes / 512)),
    rememberedDeliveries: Math.min(REMEMBERED_DELIVERIES, Math.floor(payloadBytes / 512)),
    backfillBytes: Math.floor((payloadBytes * 3) / 32),
    // Of the 4 MiB of one transaction, what the server buffers of signals during a task (2 MiB) comes on top: past it, it terminates the job.
    commandBytes: Math.floor((payloadBytes * 3) / 4),
    calmSignals: Math.ceil(signalsPerRun * 0.1),
    forcedSignals: Math.ceil(signalsPerRun * 0.4),
    forcedEvents: Math.ceil(eventsPerRun * 0.16),
    forcedHistoryBytes: payloadBytes * 4,
  };
}

/** How long a slice may ask its source for profiles, in ms. */
export const LOOK_UP_MS = 4_000;
/**
 * A slice must be heard of within its budget, its last request's time and this much more, or another worker goes on with it. More than
 * its look-up may take, so that a stalled worker has nothing left to start when that happens.
 */
export const STALL_MARGIN_MS = 5_000;
/** Most triggers in one slice. */
export const SLICE_TRIGGERS = 1000;
/** Most slices of a job at once. */
export const SLICES = 16;
/** How much sending one slice is cut for, in ms. */
export const SLICE_MS = 1000;
/** Most ids in a page of members. */
export const PAGE_IDS = 2000;
/** Pages a backfill child may be ahead of the job. */
export const PAGES_AHEAD = 4;
/** Most live arrivals that a job remembers, however much its server allows. */
export const REMEMBERED_ARRIVALS = 4096;
/** Most deliveries that a job remembers, however much its server allows. */
export const REMEMBERED_DELIVERIES = 4096;
