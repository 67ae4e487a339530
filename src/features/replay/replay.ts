import type { FoundTold } from './found-told.ts';
import { randomUUID } from 'node:crypto';
import type { Audience } from '../../contract/audience.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import type { ReplayFilter } from '../../contract/replay.ts';
import { WHOLE_ID_DIGITS } from '../../domain/delivery-id.ts';
import { findAudience } from '../../domain/names.ts';
import { readBackfillRequest, REPLAY_FILTER } from '../../domain/requests.ts';
import { backfillUpdate } from '../../workflows/messages.ts';
import { DeliveryNotFound, InvalidRequest, NoDeliveryLog } from '../../client/calls/errors.ts';
import type { ClientCore } from '../../client/core.ts';
import { deed } from '../../client/calls/kinds.ts';
import { checkOptions, type DeedOptions, parsed } from '../../client/calls/options.ts';
import { flag, name, names } from '../../domain/kinds.ts';
import { runningJob, START_WAIT_MS, statusWhen, updateJob } from '../../client/jobs/job-service.ts';
import { statusOf } from '../../client/jobs/stopped-jobs.ts';
import { meantBy } from '../../client/jobs/slugs.ts';
import { workerRpc } from '../../client/jobs/worker-rpc.ts';
import { COUNT_TOLD } from './ports.ts';

/** Says which told triggers are to be sent again. Needs `since` or `deliveryId`. */
export interface ReplayWish extends ReplayFilter {
  /** Slugs or ids of some of the job's audiences. Default: all of them. */
  readonly audiences?: readonly string[] | undefined;
}

export interface ReplayOptions extends DeedOptions {
  /** Give each trigger another `webhook-id`, for a receiver that would drop what it knows. */
  readonly newIds?: boolean | undefined;
  /** Asking twice with the same one starts one replay. Default: the id of what was found. */
  readonly requestId?: string | undefined;
}

const REPLAY_WISH = { ...REPLAY_FILTER, audiences: names };
const OPTIONS = { ...deed, newIds: flag, requestId: name };

/** How long, in ms, reading the delivery log may take. */
const COUNT_MS = 60 * 60_000;

/** Has a worker of a job count what would be sent again. */
export async function findTold({ open }: ClientCore, jobId: string, asked: ReplayWish): Promise<FoundTold> {
  checkOptions(REPLAY_WISH, asked);
  const { audiences: named, ...wish } = asked;
  const client = open();
  const now = Date.now();
  const until = new Date(Math.min(now, Date.parse(wish.until ?? '') || now)).toISOString();
  const filter = { ...wish, until };
  const { since, deliveryId } = filter;
  if (since === undefined ? deliveryId === undefined : Date.parse(since) >= Date.parse(until))
    throw new InvalidRequest([
      { field: 'since', message: 'Say since when, before "until" and in the past; or which "deliveryId".' },
    ]);
  // The job's own queue: only its workers write what it told.
  const { taskQueue } = await runningJob(client, jobId);
  const status = await statusWhen(client, jobId, ({ state }) => state !== 'starting', START_WAIT_MS);
  const meant = named === undefined ? undefined : await meantBy(client, taskQueue, jobId, named);
  const audiences = meant?.map((name) => audienceOf(status.audiences, name)) ?? status.audiences;
  const counts = await workerRpc(
    client,
    taskQueue,
    COUNT_TOLD,
    {
      ...filter,
      jobId,
      subscriptionId: status.subscriptionId,
      audiences: audiences.map(({ id, slug, name }) => ({ id, slug, name })),
      events: status.events ?? ['enter', 'exit'],
      ...(named === undefined ? {} : { only: audiences.map(({ slug }) => slug) }),
    },
    COUNT_MS,
  );
  if (counts === null) throw new NoDeliveryLog();
  const { enters, exits, outdated, foreign, isOfSeveral } = counts;
  if (deliveryId !== undefined && enters + exits + outdated + foreign === 0)
    throw new DeliveryNotFound(deliveryId, jobId);
  // One person's delivery is meant. The id of a whole batch means all of its deliveries.
  if (deliveryId !== undefined && isOfSeveral === true && deliveryId.length < WHOLE_ID_DIGITS)
    throw new InvalidRequest([
      { field: 'deliveryId', message: 'More than one delivery has these digits: give the whole webhook-id.' },
    ]);
  return {
    id: randomUUID(),
    audiences: audiences.map(({ id }) => id),
    replay: { ...filter, enters, exits },
    ...counts,
  };
}

/** Has a job send again what was found, as its next backfill. If nothing was found, nothing starts. @throws RequestRefused */
export async function replay(
  { open, clock, byOf }: ClientCore,
  jobId: string,
  found: FoundTold,
  options: ReplayOptions,
): Promise<JobStatus> {
  checkOptions(OPTIONS, options);
  const { id, audiences } = found;
  const { newIds = false, requestId = id } = options;
  const request = parsed(readBackfillRequest([{ requestId, audiences, replay: { ...found.replay, newIds } }]));
  if (found.enters + found.exits === 0) return await statusOf(open(), jobId);
  const by = byOf(options);
  return await updateJob(open(), jobId, backfillUpdate, [{ at: clock(), ...request }, by]);
}

function audienceOf(audiences: readonly Audience[], name: string): Audience {
  const found = findAudience(audiences, name);
  if (found !== undefined) return found;
  const slugs = audiences.map(({ slug }) => slug).join(', ');
  throw new InvalidRequest([
    { field: 'audiences', message: `The job does not subscribe to ${name}; its audiences are ${slugs}.` },
  ]);
}
