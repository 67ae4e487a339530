import type { ServerLimits } from '../contract/ports.ts';

/** The server's defaults. */
export const DEFAULT_SERVER_LIMITS: ServerLimits = {
  payloadBytes: 2 * 1024 * 1024,
  signalsPerRun: 10_000,
  eventsPerRun: 51_200,
};

/** The limits that a job observes, in bytes unless the name says otherwise. */
export interface Budgets {
  /** Largest trigger that is accepted. */
  readonly triggerBytes: number;
  /** Most bytes of triggers in one slice. */
  readonly sliceBytes: number;
  /** Most bytes that the state carried through continue-as-new should have. */
  readonly stateBytes: number;
  /** The share of it that chains may take, including running ones; beyond that, what arrives goes into the overflow. */
  readonly chainBytes: number;
  /** Most bytes that may wait after them in the memory of a sending run. They are not carried, but put into holders before the run ends. */
  readonly tailBytes: number;
  /** Most bytes that the state may have, or the run cannot end: the payload limit, less what the converter and the event add. */
  readonly carryBytes: number;
  /** Most bytes of what was done to the job lately, as `history` tells it, … */
  readonly auditBytes: number;
  /** … and of what its last edits replaced. */
  readonly replacedBytes: number;
  /** Bytes assumed for rejects, the breaker's people, the last failure and counters. */
  readonly fixedBytes: number;
  /** How many live arrivals a job remembers, to recognise stale members of a backfill. */
  readonly rememberedArrivals: number;
  /** How many deliveries a job remembers, to recognise triggers that are signalled twice. */
  readonly rememberedDeliveries: number;
  /** How many dead letters that came back a job remembers, to recognise one that asks again. */
  readonly rememberedLetters: number;
  /** How many newest changes, by person and audience, a job that drops late ones remembers. */
  readonly rememberedChanges: number;
  /** Most bytes of waiting members from a backfill. */
  readonly backfillBytes: number;
  /** Most bytes of commands in one workflow task. */
  readonly commandBytes: number;
  /** From here on, continue as new whenever no slice is running, … */
  readonly calmSignals: number;
  /** … and from here on, dispatch no slices until none is running, as long as those usually take: when nobody is waiting, … */
  readonly calmEvents: number;
  /** … even when somebody is waiting, … */
  readonly forcedSignals: number;
  readonly forcedEvents: number;
  readonly forcedHistoryBytes: number;
  /** … and however long they take. */
  readonly mostSignals: number;
  readonly mostEvents: number;
  readonly mostHistoryBytes: number;
}

/** The limits of a job, as shares of those of its server. */
export function budgetsOf(limits: ServerLimits): Budgets {
  const { payloadBytes, signalsPerRun, eventsPerRun } = limits;
  return {
    triggerBytes: Math.floor(payloadBytes / 32),
    sliceBytes: Math.floor(payloadBytes / 16),
    stateBytes: Math.floor((payloadBytes * 3) / 4),
    chainBytes: Math.floor((payloadBytes * 3) / 8),
    tailBytes: payloadBytes,
    carryBytes: Math.floor((payloadBytes * 15) / 16),
    auditBytes: Math.floor(payloadBytes / 128),
    replacedBytes: Math.floor(payloadBytes / 32),
    fixedBytes: Math.max(6 * 1024, Math.floor(payloadBytes / 128)),
    rememberedArrivals: Math.min(REMEMBERED_ARRIVALS, Math.floor(payloadBytes / 512)),
    rememberedDeliveries: Math.min(REMEMBERED_DELIVERIES, Math.floor(payloadBytes / 512)),
    rememberedLetters: Math.min(REMEMBERED_LETTERS, Math.floor(payloadBytes / 2048)),
    rememberedChanges: Math.min(REMEMBERED_CHANGES, Math.floor(payloadBytes / 512)),
    backfillBytes: Math.floor((payloadBytes * 3) / 32),
    // One transaction may have 4 MiB, including the signals that the server buffers during a task (2 MiB); beyond that, the server
    // terminates the job.
    commandBytes: Math.floor((payloadBytes * 3) / 4),
    calmSignals: Math.ceil(signalsPerRun * 0.1),
    calmEvents: Math.ceil(eventsPerRun * 0.005),
    forcedSignals: Math.ceil(signalsPerRun * 0.4),
    forcedEvents: Math.ceil(eventsPerRun * 0.08),
    forcedHistoryBytes: payloadBytes * 4,
    mostSignals: Math.ceil(signalsPerRun * 0.8),
    mostEvents: Math.ceil(eventsPerRun * 0.16),
    mostHistoryBytes: payloadBytes * 8,
  };
}

/** How long a slice may ask its source for profiles, in ms. */
export const LOOK_UP_MS = 4_000;
/** Longest silence, in ms, before the server ends a slice (`silentAfterMs`). A worker that stalls for longer loses it, and it is sent again. */
export const HEARTBEAT_TIMEOUT_MS = 10_000;
/**
 * After its worker's last heartbeat, a slice is over within its budget, the time of its last request and this much more, in ms. Longer than
 * its look-up may take: by then a frozen worker has nothing left to start.
 */
export const STALL_MARGIN_MS = 5_000;
/** Most triggers in one slice. */
export const SLICE_TRIGGERS = 1000;
/** Most slices of a job at once. */
export const SLICES = 16;
/** How long, in ms, sending one slice is meant to take. */
export const SLICE_MS = 1000;
/** Most ids in a page of members. */
export const PAGE_IDS = 2000;
/** Pages a backfill child may be ahead of the job. */
export const PAGES_AHEAD = 4;
/** Most live arrivals that a job remembers, however much its server allows. */
export const REMEMBERED_ARRIVALS = 4096;
/** Most deliveries that a job remembers, however much its server allows. */
export const REMEMBERED_DELIVERIES = 4096;
/** Most changes that a job with `stale: "drop"` remembers, however much its server allows. */
export const REMEMBERED_CHANGES = 4096;
/** Most dead letters that came back that a job remembers, however much its server allows. */
const REMEMBERED_LETTERS = 1024;
