import { BUCKETS, differenceOf } from '../../snapshots/comparing.ts';
import { alive, beating } from '../../activities/beating.ts';
import { confirmedMembers, writeMembers } from '../../snapshots/reading.ts';
import { DIFFERENCE_ID } from '../../domain/names.ts';
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/activity';
import { z } from 'zod';
import type { DifferencePage } from '../../contract/backfill.ts';
import type { ComparedMembers, Comparison } from './difference.ts';
import type { Activities } from '../../contract/ports.ts';
import type { TriggerEvent } from '../../contract/trigger.ts';
import { PAGE_IDS } from '../../domain/limits.ts';
import type { AudienceSource } from '../../activities/audience-source.ts';
import { isSendable } from '../../activities/list-members.ts';
import {
  bucketName,
  changeLines,
  type FileSum,
  isSame,
  MemberBuckets,
  MEMBERS,
  readBucket,
  fileLines,
  readSummed,
  sumOf,
  writeSummed,
} from '../../snapshots/member-files.ts';
import type { ReconcileActivities } from './ports.ts';

const FOLDER = 'differences';
const MANIFEST = 'difference.json';
const THEIRS = 'theirs';
/** Comparisons that were neither finished nor forgotten are removed after this time, in ms: their client or job has probably ended. */
const LEFT_BEHIND_MS = 90 * 24 * 60 * 60_000;
/** How many people of each kind are shown. */
const SHOWN = 5;
/** How long, in ms, a page may ask the source about its people; a page that takes longer ends early. */
const LOOK_UP_MS = 20_000;
/** How many people one query to the source may name. */
const LOOK_UP = 200;

/** A compared list: the file of differences, and its sum. */
const manifestSchema = z.strictObject({
  v: z.literal(1),
  audience: z.string(),
  changes: z.string(),
  sum: z.tuple([z.int(), z.int()]).readonly(),
});
const change = z.tuple([z.enum(['enter', 'exit']), z.string()]);
const ids = z.array(z.string());

export interface ReconcileDependencies {
  readonly source: AudienceSource;
  /** Where lists are kept; undefined: this worker has no folder. */
  readonly watchFolder: string | undefined;
}

/**
 * The activities by which a job learns the differences between an endpoint's list and the members of an audience. All long data is in the workers'
 * folder.
 */
export function createDifferences({
  source,
  watchFolder,
}: ReconcileDependencies): ReconcileActivities & Pick<Activities, 'listDifference' | 'forgetDifference'> {
  return {
    async keepTheirMembers({ differenceId, part, ids }) {
      if (part === 0) await removeLeftBehind(watchFolder);
      const folder = folderOf(watchFolder, differenceId);
      // It contains the ids of people.
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await writeSummed(join(folder, partName(part)), ids);
    },
    compareMembers: async (comparison) =>
      await compare(source, folderOf(watchFolder, comparison.differenceId), comparison),
    listDifference: (differenceId, audience, after, maxBytes) =>
      beating(async () => {
        const folder = folderOf(watchFolder, differenceId);
        return await page(source, await read(folder, audience, after), {
          audience,
          after: Number(after ?? 0),
          maxBytes,
        });
      }),
    forgetDifference: (differenceId) => rm(folderOf(watchFolder, differenceId), { recursive: true, force: true }),
  };
}

/** Compares bucket by bucket: only one bucket of each side is in memory at a time. */
async function compare(
  source: AudienceSource,
  folder: string,
  { audience, parts, events }: Comparison,
): Promise<ComparedMembers> {
  // A separate folder: an earlier try may have ended in the middle.
  const workshop = join(folder, `comparing-${randomUUID()}`);
  await mkdir(workshop, { mode: 0o700 });
  try {
    const theirs = await bucketed(folder, parts, workshop);
    const members = await writeMembers(source, audience, workshop);
    const sum = { theirs: 0, members: 0, both: 0, enters: 0, exits: 0 };
    const first: Record<'enters' | 'exits', string[]> = { enters: [], exits: [] };
    const made = join(workshop, 'changes');
    await writeFile(made, '');
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const base = await bucketOf(workshop, THEIRS, theirs, bucket);
      const scan = await bucketOf(workshop, MEMBERS, members, bucket);
      const part = differenceOf({ base, held: undefined, scan });
      sum.theirs += base.size;
      sum.members += scan.size;
      sum.both += scan.size - part.enters.length;
      const exits = events.includes('exit') ? part.exits : [];
      const enters = events.includes('enter') ? part.enters : [];
      sum.exits += exits.length;
      sum.enters += enters.length;
      first.exits.push(...exits.slice(0, SHOWN - first.exits.length));
      first.enters.push(...enters.slice(0, SHOWN - first.enters.length));
      await writeFile(made, changeLines('exit', exits) + changeLines('enter', enters), { flag: 'a' });
      alive();
    }
    const changes = `changes-${randomUUID()}`;
    await rename(made, join(folder, changes));
    alive();
    await writeSummed(join(folder, MANIFEST), { v: 1, audience, changes, sum: await sumOf(join(folder, changes)) });
    return { ...sum, first };
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
}

/** The parts of a list, sorted into buckets; returns the sum of each. */
async function bucketed(folder: string, parts: number, workshop: string): Promise<FileSum[]> {
  const buckets = new MemberBuckets(workshop, THEIRS);
  for (let part = 0; part < parts; part++) {
    const { success, data } = ids.safeParse(await readSummed(join(folder, partName(part))));
    if (!success) throw notHere();
    await buckets.add(data.filter(isSendable));
    alive();
  }
  return await buckets.close();
}

async function bucketOf(
  folder: string,
  prefix: string,
  sums: readonly FileSum[],
  bucket: number,
): Promise<Set<string>> {
  const sum = sums[bucket];
  const users = sum === undefined ? undefined : await readBucket(join(folder, bucketName(prefix, bucket)), sum);
  if (users === undefined)
    throw new Error('"watch.folder" does not return what was just written to it. Check its disk.');
  return new Set(users);
}

/** The path of the differences. */
async function read(folder: string, audience: string, after: string | null): Promise<string> {
  const { success, data } = manifestSchema.safeParse(await readSummed(join(folder, MANIFEST)));
  if (!success || data.audience !== audience) throw notHere();
  const path = join(folder, data.changes);
  try {
    // The whole file is checked only once: it may be long.
    const isWhole = after === null ? isSame(data.sum, await sumOf(path)) : (await stat(path)).size === data.sum[0];
    if (isWhole) return path;
  } catch (error) {
    throw notHere(error);
  }
  throw notHere();
}

interface Place {
  readonly audience: string;
  /** The byte at which the page begins. */
  readonly after: number;
  readonly maxBytes: number;
}

/**
 * The differences from this place on, as far as they still exist. Each one is checked once more, and a page is therefore as fresh as a page of
 * members. A signal about one of these people after the check counts; earlier changes are in the answer.
 */
async function page(
  source: AudienceSource,
  path: string,
  { audience, after, maxBytes }: Place,
): Promise<DifferencePage> {
  const { lines, isEnd } = await linesAt(path, after, maxBytes);
  const slug = (await source.audiences()).find(({ id }) => id === audience)?.slug;
  if (slug === undefined) throw new Error(`The source has no audience with the id ${audience} now.`);
  const endsAt = performance.now() + LOOK_UP_MS;
  const page = { ids: [] as string[], exits: [] as string[], outdated: 0 };
  let place = after;
  let done = 0;
  while (done < lines.length && (done === 0 || performance.now() < endsAt)) {
    const step = lines.slice(done, done + LOOK_UP);
    const isMember = await membersAmong(source, { audience, slug }, step);
    for (const { event, user, bytes } of step) {
      place += bytes;
      if (isMember.has(user) !== (event === 'enter')) page.outdated++;
      else (event === 'enter' ? page.ids : page.exits).push(user);
    }
    done += step.length;
  }
  return isEnd && done === lines.length ? page : { ...page, next: String(place) };
}

async function membersAmong(
  source: AudienceSource,
  { audience, slug }: { readonly audience: string; readonly slug: string },
  people: readonly { readonly user: string }[],
): Promise<ReadonlySet<string>> {
  const users = people.map(({ user }) => user);
  if (source.memberships === undefined) return await confirmedMembers(source, audience, users);
  const memberships = await source.memberships(users);
  return new Set(users.filter((user) => memberships.get(user)?.includes(slug) === true));
}

interface Line {
  readonly event: TriggerEvent;
  readonly user: string;
  readonly bytes: number;
}

/** Lines from this byte on, at most this many bytes, but at least one line; and whether they are the last. */
async function linesAt(path: string, from: number, maxBytes: number): Promise<{ lines: Line[]; isEnd: boolean }> {
  const found: Line[] = [];
  let all = 0;
  for await (const line of fileLines(path, from)) {
    const bytes = Buffer.byteLength(line) + 1;
    if (found.length === PAGE_IDS || (found.length > 0 && all + bytes > maxBytes))
      return { lines: found, isEnd: false };
    const [event, user] = change.parse(JSON.parse(line));
    found.push({ event, user, bytes });
    all += bytes;
  }
  return { lines: found, isEnd: true };
}

/** @throws ApplicationFailure: anybody who reaches the server may ask, and a text could name a file elsewhere */
function partName(part: number): string {
  if (!Number.isSafeInteger(part) || part < 0)
    throw ApplicationFailure.nonRetryable(
      'A part is named by a number. Only a reconcile of ours has parts.',
      'NoDifferenceId',
    );
  return `part-${part}`;
}

async function removeLeftBehind(root: string | undefined): Promise<void> {
  if (root === undefined) return;
  const all = join(root, FOLDER);
  for (const name of await readdir(all).catch(() => [])) {
    const { mtimeMs } = await stat(join(all, name));
    if (Date.now() - mtimeMs > LEFT_BEHIND_MS) await rm(join(all, name), { recursive: true, force: true });
  }
}

function folderOf(root: string | undefined, differenceId: string): string {
  if (root === undefined)
    throw ApplicationFailure.nonRetryable(
      'This worker has no folder to compare lists in. Set "watch.folder", or TRIGGERS_WATCH_FOLDER; several workers have to share one folder.',
      'NoWatchFolder',
    );
  if (!DIFFERENCE_ID.test(differenceId))
    throw ApplicationFailure.nonRetryable(
      'A difference is named by a UUID. Only a reconcile of ours starts this activity.',
      'NoDifferenceId',
    );
  return join(root, FOLDER, differenceId);
}

function notHere(cause?: unknown): ApplicationFailure {
  return ApplicationFailure.create({
    message:
      'The difference is not in this worker\'s folder, or is damaged. If there are several workers, "watch.folder" must be one folder that they share. If it is lost, cancel the backfill, and reconcile again.',
    type: 'DifferenceNotHere',
    ...(cause instanceof Error ? { cause } : {}),
  });
}
