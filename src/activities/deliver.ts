import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { Activities } from '../contract/ports.ts';
import type { FailedAttempt, PermitsReturned, SliceInput, SliceReport } from '../contract/slice.ts';
import { HEARTBEAT_TIMEOUT_MS, LOOK_UP_MS } from '../domain/limits.ts';
import type { Profile } from '../domain/message.ts';
import { jobIdOf } from '../domain/names.ts';
import { unpackSlice } from '../domain/slice.ts';
import { judge } from '../domain/verdict.ts';
import { type AudienceSource, membershipsOf, SourceError } from './audience-source.ts';
import type { Poster } from '../webhook/attempt.ts';
import type { Authorizations } from '../webhook/authorization.ts';
import { DEFAULT_SHAPES, destinationsOf, type Shapes } from '../webhook/shape.ts';
import { beating } from './beating.ts';
import type { SpilledProfileReader } from './holders.ts';
import { PacedStarts, SettledTriggers, type SliceSendingOptions } from './send-budget.ts';
import { SliceSending } from './slice-sending.ts';
import { type DeliveryLog, type DeliveryMetrics, type DeliveryTracing, SliceTelemetry } from './slice-telemetry.ts';

export interface DeliverDependencies {
  readonly source: AudienceSource;
  readonly spilledProfiles: SpilledProfileReader;
  readonly poster: Poster;
  readonly authorizations: Authorizations;
  /** How requests look. Default: each posts the default body. */
  readonly shapes?: Shapes | undefined;
  readonly userAgent: string;
  /** As Temporal names this worker. */
  readonly worker: string;
  /** Whether this worker was frozen until a moment ago: a slice that it receives may then be stale. */
  readonly hasStalled: () => boolean;
  /** Tells the job that a running slice keeps only this many of its permits. */
  readonly returnPermits: (workflowId: string, returned: PermitsReturned) => Promise<void>;
  /** Absent: nothing is counted. */
  readonly metrics?: DeliveryMetrics | undefined;
  /** Absent: nothing is traced. */
  readonly tracing?: DeliveryTracing | undefined;
  /** Absent: no attempt is kept. */
  readonly deliveryLog?: DeliveryLog | undefined;
  /** Whether each attempt is logged, at `debug`. Default: no. */
  readonly logsAttempts?: boolean;
}

/** Until a trigger is settled, a heartbeat only says that the worker is alive. */
const QUIET_HEARTBEAT_MS = HEARTBEAT_TIMEOUT_MS / 4;
/** A returned slice is dispatched again at once. A worker that was frozen keeps it for a moment, to avoid receiving it again and again. */
const STALLED_WAIT_MS = 1000;

/**
 * The activity that sends: every POST of every job is made here. It does not fail, whatever the endpoint does: each trigger's outcome is in the
 * report, and all waiting is left to the workflow.
 */
export function createDeliver(dependencies: DeliverDependencies): Activities['deliver'] {
  return async (packed) => {
    const slice = unpackSlice(packed);
    const context = Context.current();
    const settled = new SettledTriggers(slice.triggers.length);
    const { workflowExecution: { workflowId = '' } = {} } = context.info;
    const starts = slice.pace === undefined ? undefined : new PacedStarts(slice.pace);
    // This worker was frozen, and another one may have the slice by now. Or the slice is too late by this worker's clock, but not yet by the
    // server's. In both cases the job dispatches its triggers again at once.
    if (dependencies.hasStalled() || Date.now() >= (slice.notAfterMs ?? Infinity)) {
      await sleep(STALLED_WAIT_MS);
      return report(settled, NOTHING_SENT, starts, dependencies.worker);
    }
    const { metrics, logsAttempts = false } = dependencies;
    const jobId = jobIdOf(workflowId);
    const tracing = dependencies.tracing?.sliceBegan(slice, jobId);
    const { currentAttemptScheduledTimestampMs: scheduledAtMs } = context.info;
    const deliveries = dependencies.deliveryLog?.sliceBegan(slice, jobId, scheduledAtMs);
    const telemetry = new SliceTelemetry({ slice, log: context.log, logsAttempts, metrics, tracing, deliveries });
    try {
      const sending = { slice, settled, telemetry, starts, workflowId };
      const sent = await beating(() => send(dependencies, sending), heartbeats(context, settled));
      return report(settled, sent, starts, dependencies.worker);
    } finally {
      telemetry.close();
    }
  };
}

/**
 * Heartbeats the settled triggers when they have changed. Endpoints that hang have many slices in which nothing changes for long. A heartbeat a
 * second from each would keep the server busy, at the cost of healthy jobs.
 */
function heartbeats(context: Context, settled: SettledTriggers): () => void {
  let sentCount = 0;
  let sentAtMs = performance.now();
  return () => {
    const now = performance.now();
    if (settled.count === sentCount && now - sentAtMs < QUIET_HEARTBEAT_MS) return;
    sentCount = settled.count;
    sentAtMs = now;
    context.heartbeat(settled.progress());
  };
}

interface Sending extends Pick<SliceSendingOptions, 'slice' | 'settled' | 'telemetry' | 'starts'> {
  readonly workflowId: string;
}

/** The time from the first request's start to the last one's end, in ms, and with batches the number of requests. */
type Sent = Pick<SliceReport, 'sendingMs' | 'requests'>;

const NOTHING_SENT: Sent = { sendingMs: 0 };

async function send(dependencies: DeliverDependencies, sending: Sending): Promise<Sent> {
  const { source, spilledProfiles, poster, authorizations, userAgent, returnPermits } = dependencies;
  const { workflowId, ...what } = sending;
  const { slice, settled, telemetry } = what;
  const url = new URL(slice.settings.webhookUrl);
  const { authorization } = slice.settings;
  const jobId = jobIdOf(workflowId);
  const refusals = destinationsOf(slice.settings).map((one) => authorizations.refusalOf(authorization, one, jobId));
  const refusal = refusals.find((code) => code !== undefined);
  if (refusal !== undefined) return failAll(settled, telemetry, { code: refusal });
  const [found, looked, spilled] = await Promise.all([
    authorizations.lookUp(authorization, url, jobId),
    lookUpPeople(source, slice, telemetry),
    readSpilled(spilledProfiles, jobId, slice),
  ]);
  // The budget begins only now, and does not include the wait: another worker may have this slice by now, too.
  if (dependencies.hasStalled()) return NOTHING_SENT;
  if (!found.ok) return failAll(settled, telemetry, found);
  const options = {
    ...what,
    url,
    poster,
    shapes: dependencies.shapes ?? DEFAULT_SHAPES,
    userAgent,
    authorization: found.authorization,
    ...looked,
    spilled,
    cancelled: Context.current().cancellationSignal,
    returnPermits: (returned: Omit<PermitsReturned, 'sliceId'>) =>
      returnPermits(workflowId, { sliceId: slice.sliceId, ...returned }),
  };
  const sender = new SliceSending(options);
  const startedAt = performance.now();
  await sender.run();
  const sendingMs = performance.now() - startedAt;
  return slice.settings.batch === undefined ? { sendingMs } : { sendingMs, requests: sender.requests };
}

/** All triggers fail for the same reason. */
function failAll(
  settled: SettledTriggers,
  telemetry: SliceTelemetry,
  { code, reason }: { readonly code: string; readonly reason?: string },
): Sent {
  const failure = { code, durationMs: 0, ...(reason === undefined ? {} : { answer: reason }) };
  const verdict = judge(failure);
  for (const index of settled.unsent()) {
    settled.failed.set(index, { index, ...failure, verdict });
    telemetry.attempted(index, { ...failure, reason }, verdict);
  }
  return NOTHING_SENT;
}

/**
 * The profiles of people whose triggers came without one and, if they are sent, everybody's memberships, each in one look-up. If the source cannot
 * answer, `profiles` is undefined, and the reason is included.
 */
async function lookUpPeople(
  source: AudienceSource,
  { settings, triggers }: SliceInput,
  telemetry: SliceTelemetry,
): Promise<Pick<SliceSendingOptions, 'profiles' | 'memberships' | 'sourceTrouble'>> {
  const unknown = new Set<string>();
  const all = new Set<string>();
  for (const { user, profile, profileRef } of triggers) {
    if (profile === undefined && profileRef === undefined) unknown.add(user);
    if (settings.memberships === true) all.add(user);
  }
  if (unknown.size === 0 && all.size === 0) return { profiles: new Map() };
  const startedAtMs = Date.now();
  try {
    const [profiles, memberships] = await inTime(
      Promise.all([
        unknown.size === 0 ? new Map<string, Profile>() : source.profiles([...unknown]),
        all.size === 0 ? undefined : membershipsOf(source, [...all]),
      ]),
      LOOK_UP_MS,
    );
    telemetry.profilesRead(startedAtMs, true);
    return { profiles, ...(memberships === undefined ? {} : { memberships }) };
  } catch (error) {
    telemetry.profilesRead(startedAtMs, false);
    Context.current().log.warn('the source gave no profiles', { error });
    // Other errors may contain things that people should not read.
    const trouble = error instanceof SourceError ? error.message.slice(0, TROUBLE_LENGTH) : undefined;
    return { profiles: undefined, ...(trouble === undefined ? {} : { sourceTrouble: trouble }) };
  }
}

/** The profiles that triggers name and do not carry, by their places in the slice. Unreadable ones are absent for now. */
async function readSpilled(
  spilledProfiles: SpilledProfileReader,
  jobId: string,
  { triggers }: SliceInput,
): Promise<SliceSendingOptions['spilled']> {
  const read = new Map<number, string | undefined>();
  const reading: Promise<void>[] = [];
  for (const [index, { profileRef }] of triggers.entries()) {
    if (profileRef === undefined) continue;
    reading.push(spilledProfiles.read(jobId, profileRef).then((json) => void read.set(index, json)));
  }
  if (reading.length === 0) return read;
  try {
    await inTime(Promise.all(reading), LOOK_UP_MS);
  } catch (error) {
    Context.current().log.warn('profiles that came with triggers could not be read', { error });
  }
  return read;
}

/** Most characters that are kept of the reason why a source did not answer. */
const TROUBLE_LENGTH = 200;

/** Rejects when `promise` takes longer than this, even if the process itself was frozen meanwhile. */
async function inTime<T>(promise: Promise<T>, ms: number): Promise<T> {
  const startedAt = Date.now();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new SourceError(`No answer within ${ms} ms.`)), ms);
  });
  try {
    const value = await Promise.race([promise, late]);
    if (Date.now() - startedAt > ms + 500) throw new SourceError(`No answer within ${ms} ms.`);
    return value;
  } finally {
    clearTimeout(timer);
  }
}

function report(
  settled: SettledTriggers,
  { sendingMs, ...sent }: Sent,
  starts: PacedStarts | undefined,
  worker: string,
): SliceReport {
  const failed: FailedAttempt[] = [...settled.failed.values()].sort((a, b) => a.index - b.index);
  return {
    failed,
    unsent: settled.unsent(),
    sendingMs: Math.round(sendingMs * 1000) / 1000,
    ...(starts === undefined ? {} : { spacing: starts.handOver() }),
    ...sent,
    ...settled.openHalved(),
    ...(failed.length === 0 ? {} : { worker }),
  };
}
