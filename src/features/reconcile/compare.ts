import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { Difference } from './difference.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import { findAudience } from '../../domain/names.ts';
import { InvalidRequest } from '../../client/calls/errors.ts';
import type { ClientCore } from '../../client/core.ts';
import { call, signal as abortSignal } from '../../client/calls/kinds.ts';
import { checkOptions } from '../../client/calls/options.ts';
import { name } from '../../domain/kinds.ts';
import { workerRpc } from '../../client/jobs/worker-rpc.ts';
import { describeExecution, runningJob, START_WAIT_MS, statusWhen } from '../../client/jobs/job-service.ts';
import { meantBy } from '../../client/jobs/slugs.ts';
import { COMPARE_MEMBERS, FORGET_DIFFERENCE, KEEP_THEIR_MEMBERS } from './ports.ts';

export interface CompareOptions {
  /** Slug or id of the audience that the list is about. Default: the only one of the job. */
  readonly audience?: string | undefined;
  /** When aborted, the comparison is given up, and rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called whenever the workers have more of the list. */
  readonly onProgress?: ((progress: CompareProgress) => void) | undefined;
}

export interface CompareProgress {
  /** Ids that the workers have. */
  readonly read: number;
  /** True once they have all, and read the members. */
  readonly isComparing: boolean;
}

/** Characters of ids that go to a worker at once: the server limits a request, and its limit may be lower than usual. */
const PART_CHARACTERS = 128 * 1024;
/** How many parts are on their way at once. */
const AT_ONCE = 4;
/** How long, in ms, reading all members may take. */
const COMPARE_MS = 60 * 60_000;

const OPTIONS = { audience: name, signal: abortSignal, onProgress: call };

/** Has the workers of a job compare a list with the members of one of its audiences. A comparison that fails leaves nothing behind. */
export async function compare(
  { open }: ClientCore,
  jobId: string,
  theirs: Iterable<string> | AsyncIterable<string>,
  options: CompareOptions,
): Promise<Difference> {
  checkOptions(OPTIONS, options);
  const { audience: named, signal, onProgress } = options;
  const client = open();
  // The job's own queue, whatever the client's is: only its workers have the source that it uses.
  const { taskQueue } = await runningJob(client, jobId);
  const status = await statusWhen(client, jobId, ({ state }) => state !== 'starting', START_WAIT_MS);
  const audience = await audienceOf(client, taskQueue, status, named);
  const id = randomUUID();
  try {
    const parts = await keep(client, taskQueue, id, theirs, { signal, onProgress });
    const comparison = { differenceId: id, parts, audience: audience.id, events: status.events ?? ['enter', 'exit'] };
    const compared = await workerRpc(client, taskQueue, COMPARE_MEMBERS, comparison, COMPARE_MS);
    signal?.throwIfAborted();
    return { id, audience, ...compared };
  } catch (error) {
    await remove(client, taskQueue, id).catch(() => undefined);
    throw error;
  }
}

/** Removes a difference that is not to be sent. */
export async function forget({ open }: ClientCore, jobId: string, { id }: Pick<Difference, 'id'>): Promise<void> {
  const client = open();
  const { taskQueue } = await describeExecution(client, jobId);
  await remove(client, taskQueue, id);
}

async function remove(client: Client, taskQueue: string, differenceId: string): Promise<void> {
  await workerRpc(client, taskQueue, FORGET_DIFFERENCE, differenceId);
}

async function audienceOf(
  client: Client,
  taskQueue: string,
  { jobId, audiences }: JobStatus,
  named: string | undefined,
): Promise<JobStatus['audiences'][number]> {
  const slugs = audiences.map(({ slug }) => slug).join(', ');
  const [only, ...more] = audiences;
  if (named === undefined) {
    if (only !== undefined && more.length === 0) return only;
    throw wrong(`The job subscribes to several audiences, and a list is about one. Say which: ${slugs}.`);
  }
  const [meant = named] = await meantBy(client, taskQueue, jobId, [named]);
  const found = findAudience(audiences, meant);
  if (found === undefined) throw wrong(`The job does not subscribe to ${named}; its audiences are ${slugs}.`);
  return found;
}

function wrong(message: string): InvalidRequest {
  return new InvalidRequest([{ field: 'audience', message }]);
}

/** Gives a list to the workers, part by part; returns how many parts there were. */
async function keep(
  client: Client,
  taskQueue: string,
  differenceId: string,
  theirs: Iterable<string> | AsyncIterable<string>,
  { signal, onProgress }: Pick<CompareOptions, 'signal' | 'onProgress'>,
): Promise<number> {
  const failed = new AbortController();
  const underWay = new Set<Promise<void>>();
  let parts = 0;
  let read = 0;
  const send = async (ids: readonly string[]): Promise<void> => {
    const part = parts++;
    const sent = workerRpc(client, taskQueue, KEEP_THEIR_MEMBERS, { differenceId, part, ids }).then(
      () => onProgress?.({ read: (read += ids.length), isComparing: false }),
      (error: unknown) => failed.abort(error),
    );
    const one = sent.finally(() => underWay.delete(one));
    underWay.add(one);
    // The first one goes alone: without a worker or a folder, the list need not be read.
    while (underWay.size >= (part === 0 ? 1 : AT_ONCE)) await Promise.race(underWay);
    failed.signal.throwIfAborted();
    signal?.throwIfAborted();
  };
  let ids: string[] = [];
  let characters = 0;
  try {
    for await (const id of theirs) {
      ids.push(id);
      characters += id.length + 3;
      if (characters < PART_CHARACTERS) continue;
      await send(ids);
      ids = [];
      characters = 0;
    }
    // An empty list has a part as well.
    if (ids.length > 0 || parts === 0) await send(ids);
  } finally {
    await Promise.all(underWay);
  }
  failed.signal.throwIfAborted();
  onProgress?.({ read, isComparing: true });
  return parts;
}
