import { BUCKETS, differenceOf } from '../../snapshots/comparing.ts';
import { open, rm, writeFile } from 'node:fs/promises';
import { ApplicationFailure } from '@temporalio/activity';
import type { Problem } from '../../contract/export-job.ts';
import type { ScanReport, ScanRequest } from './sandbox/watch.ts';
import type { AudienceSource } from '../../activities/audience-source.ts';
import { resolveAudience } from '../../activities/prepare-job.ts';
import {
  audienceFolder,
  ENTERS,
  EXITS,
  type FileSum,
  type Manifest,
  Snapshot,
  SNAPSHOT_NOT_HERE,
} from '../../snapshots/member-files.ts';
import { alive } from '../../activities/beating.ts';
import { writeMembers } from '../../snapshots/reading.ts';
import type { WatchActivities } from './sandbox/ports.ts';

const NO_FOLDER: Problem = {
  field: 'watch.folder',
  message:
    'The worker has no folder for snapshots. Set TRIGGERS_WATCH_FOLDER, or "watch": { "folder": … } in its configuration; several workers have to share one folder.',
};

/** The activity that looks up the audiences to watch. Returns every problem at once; rejects only when the source does. */
export function createPrepareWatch({ source, watchFolder }: WatchDependencies): WatchActivities['prepareWatch'] {
  return async (names) => {
    const known = await source.audiences();
    const resolved = names.map((name, index) => resolveAudience(name, index, known));
    const problems = [
      ...(watchFolder === undefined ? [NO_FOLDER] : []),
      ...resolved.flatMap((one) => ('message' in one ? [one] : [])),
    ];
    if (problems.length > 0) return { ok: false, problems };
    const found = resolved.flatMap((one) => ('message' in one ? [] : [[one.id, one] as const]));
    return { ok: true, audiences: [...new Map(found).values()] };
  };
}

export interface WatchDependencies {
  readonly source: AudienceSource;
  /** Where snapshots are kept; undefined: this worker cannot watch. */
  readonly watchFolder: string | undefined;
}

/**
 * The activity that reads all members and compares them with the last snapshot. Its files become a snapshot only when the scan is complete. The files
 * of a failed scan are never read.
 */
export function createScanMembers({ source, watchFolder }: WatchDependencies): WatchActivities['scanMembers'] {
  return async (request) => {
    const folder = audienceFolder(watchFolder, request.audience);
    await removeObsolete(folder, request.obsolete);
    const base = request.base === null ? undefined : await opened(new Snapshot(folder, request.base));
    const scan = new Snapshot(folder, request.scanId);
    await scan.create();
    const members = await writeMembers(source, request.audience, scan.folder);
    const held = request.held === null ? undefined : await openedIfWhole(new Snapshot(folder, request.held));
    const report = await compare(request, scan, { members, base, held });
    const files = { [ENTERS]: await scan.sum(ENTERS), [EXITS]: await scan.sum(EXITS) };
    await scan.seal({ members, files });
    return report;
  };
}

/** A snapshot with its manifest. */
interface SealedSnapshot {
  readonly snapshot: Snapshot;
  readonly manifest: Manifest;
}

async function opened(snapshot: Snapshot): Promise<SealedSnapshot> {
  return { snapshot, manifest: await snapshot.sealed() };
}

/** Reads the snapshot to its end. A damaged one counts as missing, and must not cost the snapshot that exists. */
async function openedIfWhole(snapshot: Snapshot): Promise<SealedSnapshot | undefined> {
  const manifest = await snapshot.manifest();
  if (manifest === undefined) return undefined;
  try {
    for (let bucket = 0; bucket < BUCKETS; bucket++) await snapshot.members(manifest, bucket);
    return { snapshot, manifest };
  } catch (error) {
    if (error instanceof ApplicationFailure && error.type === SNAPSHOT_NOT_HERE) return undefined;
    throw error;
  }
}

async function removeObsolete(folder: string, obsolete: ScanRequest['obsolete']): Promise<void> {
  if (obsolete === 'all') return await rm(folder, { recursive: true, force: true });
  for (const id of obsolete) await new Snapshot(folder, id).remove();
}

interface Sides {
  readonly members: FileSum[];
  readonly base: SealedSnapshot | undefined;
  readonly held: SealedSnapshot | undefined;
}

/** Compares bucket by bucket: only one bucket of each side is in memory at a time. */
async function compare(
  { base: baseId, existingUsers }: ScanRequest,
  scan: Snapshot,
  sides: Sides,
): Promise<ScanReport> {
  const isComparing = baseId !== null || existingUsers;
  const sum = { members: 0, enters: 0, exits: 0, back: 0, gone: 0, heldFound: sides.held !== undefined };
  const manifest: Manifest = { v: 1, id: scan.id, members: sides.members, files: {} };
  const files = await Promise.all([ENTERS, EXITS].map((name) => open(scan.path(name), 'w')));
  const [enters, exits] = files as [(typeof files)[0], (typeof files)[0]]; // There are as many as names.
  try {
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const now = await scan.members(manifest, bucket);
      sum.members += now.size;
      if (!isComparing) continue;
      const part = differenceOf({
        base: (await membersOf(sides.base, bucket)) ?? new Set(),
        held: await membersOf(sides.held, bucket),
        scan: now,
      });
      await writeFile(enters, lines(part.enters));
      await writeFile(exits, lines(part.exits));
      sum.enters += part.enters.length;
      sum.exits += part.exits.length;
      sum.back += part.back;
      sum.gone += part.gone;
      alive();
    }
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
  return sum;
}

async function membersOf(side: SealedSnapshot | undefined, bucket: number): Promise<Set<string> | undefined> {
  return await side?.snapshot.members(side.manifest, bucket);
}

function lines(users: readonly string[]): string {
  return users.map((user) => `${JSON.stringify(user)}\n`).join('');
}
