import type { Client } from '@temporalio/client';
import type { DeliveryFilter, DeliveryRow } from '../delivery-log/delivery.ts';
import type { AttemptLog, PersonStands, TraceEvent, TraceLeftOut, TriggerAttempted, TriggerDied } from './events.ts';
import { forEachLimit } from '../../domain/for-each-limit.ts';
import { definedOf } from '../../domain/json.ts';
import { failureInWords } from '../../domain/verdict.ts';
import { knowsPerson } from './person-trace.ts';
import type { ClientCore } from '../../client/core.ts';
import { checkOptions, OPTIONS } from '../../client/calls/options.ts';
import type { ListedRun } from '../../client/jobs/job-list.ts';
import { describeExecution } from '../../client/jobs/job-service.ts';
import {
  BEYOND_MOST,
  jobsOf,
  leftOut,
  lettersOf,
  MOST_JOBS,
  standingOf,
  trace,
  type TraceOptions,
  whyUnread,
} from './trace.ts';

/** Yields what the server knows of a person, or the log in `options`. @throws as `trace` and `loggedTrace` */
export function tracePerson(
  { open, taskQueue }: ClientCore,
  user: string,
  options: TraceOptions = {},
): AsyncIterable<TraceEvent> {
  checkOptions(OPTIONS.trace, options);
  const { log } = options;
  return log === undefined
    ? trace(open(), taskQueue, user, options)
    : loggedTrace(open(), taskQueue, user, log, options);
}

/** Most attempts of one trace, those made last. */
const MOST_ROWS = 1_000;
/** Jobs that are asked at once: 8 take a third longer, and 32 gain nothing. */
const AT_ONCE = 16;
/** Most failed deliveries whose dead letters are looked for, the last ones. */
const MOST_DECIDED = 100;

/**
 * Yields what a delivery log knows of a person, job by job and in order of time. With it come the dead letters that wait for a decision, or were ended in
 * Temporal, and what waits now. It reads no history. Jobs that know nothing of the person are left out, unless one is named.
 *
 * @throws JobNotFound, UnknownPayloadKey, and what the log throws
 */
async function* loggedTrace(
  client: Client,
  taskQueue: string,
  user: string,
  log: AttemptLog,
  { jobId, onlyJobs, since }: TraceOptions,
): AsyncGenerator<TraceEvent> {
  const isNamed = jobId !== undefined;
  let unread: string | undefined;
  const onUnread = (error: unknown): void => {
    unread = `Dead letters could not be read: ${whyUnread(error, isNamed)}`;
  };
  const [rows, listed, letters] = await Promise.all([
    lastRows(log, definedOf({ user, jobId, onlyJobs, since: since?.toISOString() })),
    jobId === undefined ? jobsOf(client, taskQueue, onlyJobs) : new Map<string, undefined>([[jobId, undefined]]),
    lettersOf(client, taskQueue, jobId, user, onUnread),
  ]);
  if (jobId !== undefined && rows.length === 0) await describeExecution(client, jobId);
  // The server may no longer know a job that the log knows.
  const jobs = new Map([
    ...rows.map((row) => [row.jobId, listed.get(row.jobId)] as const),
    ...[...listed].slice(0, MOST_JOBS),
  ]);
  const [decided, standings] = await Promise.all([decidedLetters(log, rows), standingsOf(client, jobs, user, isNamed)]);
  const told: TraceEvent[] = [...rows.toReversed().map(attemptedIn), ...decided, ...letters.values()].sort((a, b) =>
    a.at < b.at ? -1 : 1,
  );
  for (const id of jobs.keys()) {
    const events = told.filter((event) => event.jobId === id);
    const now = standings.get(id);
    if (now === undefined || (!isNamed && events.length === 0 && unread === undefined && knowsNothing(now))) continue;
    if (rows.length === MOST_ROWS) yield leftOut(id, `Of all attempts, only the last ${MOST_ROWS} are shown.`);
    if (unread !== undefined) yield leftOut(id, unread);
    yield* events;
    yield now;
  }
  for (const id of [...listed.keys()].slice(MOST_JOBS)) if (!jobs.has(id)) yield leftOut(id, BEYOND_MOST);
}

async function lastRows(log: AttemptLog, filter: DeliveryFilter): Promise<DeliveryRow[]> {
  const rows: DeliveryRow[] = [];
  for await (const page of log.pages(filter, MOST_ROWS)) rows.push(...page);
  return rows;
}

/** Returns the dead letters of these attempts that somebody has decided, with who did, oldest first. */
async function decidedLetters(log: AttemptLog, rows: readonly DeliveryRow[]): Promise<TriggerDied[]> {
  const failed = rows.filter(({ verdict }) => verdict !== 'delivered' && verdict !== 'superseded');
  const ids = [...new Set(failed.map(({ deliveryId }) => deliveryId))].slice(0, MOST_DECIDED);
  if (ids.length === 0) return [];
  const { entries } = await log.deeds({ deadLettersOf: ids, since: failed.at(-1)?.at }, MOST_DECIDED);
  return entries.toReversed().flatMap(({ target, action, at: decidedAt, who, door, reason }): TriggerDied[] => {
    // The attempt before the decision was the last one.
    const last = failed.find((row) => target.startsWith(row.deliveryId) && row.at < decidedAt);
    if (last === undefined) return [];
    const { at, jobId, event, audience, triggerAt, attempt: attempts, status, code } = last;
    const trigger = { jobId, at, event, audience, triggerAt };
    const failure = failureInWords(definedOf({ status, code }));
    const state = action === 'discard' ? 'discarded' : 'redelivered';
    const decision = { at: decidedAt, door, ...definedOf({ who, reason }) };
    return [{ kind: 'died', ...trigger, deadLetterId: target, failure, attempts, state, decision }];
  });
}

type Standing = PersonStands | TraceLeftOut;

/** @param jobs each with its last run, if a list has it */
async function standingsOf(
  client: Client,
  jobs: ReadonlyMap<string, ListedRun | undefined>,
  user: string,
  isNamed: boolean,
) {
  const standings = new Map<string, Standing>();
  const silent = new Map<string, string>();
  await forEachLimit(jobs, AT_ONCE, async ([id, listed]) => {
    const standing = await standingOf(client, id, user, silent, listed).catch((error: unknown) => {
      return leftOut(id, whyUnread(error, isNamed));
    });
    standings.set(id, standing);
  });
  return standings;
}

/** A job that does not answer may know the person. */
function knowsNothing(now: Standing): boolean {
  return now.kind === 'stands' && now.standing !== undefined && !knowsPerson(now);
}

function attemptedIn(row: DeliveryRow): TriggerAttempted {
  const { at, jobId, user, event, audience, triggerAt, deliveryId, verdict, status, code, answer, lane } = row;
  const isFailure = verdict !== 'delivered' && verdict !== 'skipped' && verdict !== 'superseded';
  const trigger = { jobId, user, event, audience, triggerAt, deliveryId };
  return {
    ...trigger,
    ...definedOf({ status, code, answer }),
    ...(verdict === 'delivered' || verdict === 'superseded' ? {} : { verdict }),
    ...(lane === 'live' ? {} : { lane }),
    ...(row.durationMs > 0 ? { durationMs: row.durationMs, attempt: row.attempt } : {}),
    kind: 'attempted',
    at,
    endedAt: at,
    outcome: isFailure ? 'failed' : verdict,
  };
}
