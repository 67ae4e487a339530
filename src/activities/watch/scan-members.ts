import { createHash } from 'node:crypto';
import { open, rm, writeFile } from 'node:fs/promises';
import type { Activities } from '../../contract/ports.ts';
import type { ScanReport, ScanRequest } from '../../contract/watch.ts';
import { PAGE_IDS } from '../../domain/limits.ts';
import { BUCKETS, differenceOf } from '../../domain/membership-buckets.ts';
import type { AudienceSource } from '../../sources/source.ts';
import { isSendable } from '../list-members.ts';
import { alive } from './alive.ts';
import { MemberBuckets } from './member-buckets.ts';
import { audienceFolder, ENTERS, EXITS, type Manifest, MEMBERS, Snapshot } from './snapshot.ts';

export interface WatchDependencies {
  readonly source: AudienceSource;
  /** Where snapshots are kept; undefined: this worker cannot watch. */
  readonly watchFolder: string | undefined;
}

/**
 * The activity that reads all members and compares them with the last snapshot. What it writes becomes a snapshot only when the scan is
 * complete; what a failed scan wrote is never read.
 */
export function createScanMembers({ source, watchFolder }: WatchDependencies): Activities['scanMembers'] {
  return async (request) => {
    const folder = audienceFolder(watchFolder, request.audience);
    await removeObsolete(folder, request.obsolete);
    const base = request.base === null ? undefined : await opened(new Snapshot(folder, request.base));
    const scan = new Snapshot(folder, request.scanId);
    await scan.create();
    const members = await readAll(source, request.audience, scan);
    const held = request.held === null ? undefined : await openedIfThere(new Snapshot(folder, request.held));
    const report = await compare(request, scan, { members, base, held });
    const files = { [ENTERS]: await scan.size(ENTERS), [EXITS]: await scan.size(EXITS) };
    await scan.seal({ members, files });
    return report;
  };
}

/** A snapshot with its manifest. */
interface Opened {
  readonly snapshot: Snapshot;
  readonly manifest: Manifest;
}

async function opened(snapshot: Snapshot): Promise<Opened> {
  return { snapshot, manifest: await snapshot.sealed() };
}

async function openedIfThere(snapshot: Snapshot): Promise<Opened | undefined> {
  const manifest = await snapshot.manifest();
  return manifest === undefined ? undefined : { snapshot, manifest };
}

async function removeObsolete(folder: string, obsolete: ScanRequest['obsolete']): Promise<void> {
  if (obsolete === 'all') return await rm(folder, { recursive: true, force: true });
  for (const id of obsolete) await new Snapshot(folder, id).remove();
}

/** Writes down all members; returns the bytes of each bucket. */
async function readAll(source: AudienceSource, audience: string, scan: Snapshot): Promise<number[]> {
  const buckets = new MemberBuckets(scan.folder, MEMBERS);
  const cursors = new Set<string>();
  for (let after: string | undefined; ;) {
    const { ids, next } = await source.members(audience, after, PAGE_IDS);
    await buckets.add(ids.filter(isSendable));
    alive();
    if (next === undefined) return await buckets.close();
    // A source that goes in a circle would never show the members after it.
    const cursor = createHash('sha256').update(next).digest('base64');
    if (cursors.has(cursor))
      throw new Error(
        'The source leads in a circle: it gave the same cursor twice. Nothing of this round is reported, and it is tried again.',
      );
    cursors.add(cursor);
    after = next;
  }
}

interface Sides {
  readonly members: number[];
  readonly base: Opened | undefined;
  readonly held: Opened | undefined;
}

/** Part by part, so that one part of each is in memory at a time. */
async function compare({ base: baseId, emitExisting }: ScanRequest, scan: Snapshot, sides: Sides): Promise<ScanReport> {
  const isComparing = baseId !== null || emitExisting;
  const sum = { members: 0, enters: 0, exits: 0, back: 0, gone: 0, heldFound: sides.held !== undefined };
  const manifest: Manifest = { v: 1, id: scan.id, members: sides.members, files: {} };
  const files = await Promise.all([ENTERS, EXITS].map((name) => open(scan.path(name), 'w')));
  const [enters, exits] = files as [(typeof files)[0], (typeof files)[0]]; // As many as names.
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

async function membersOf(side: Opened | undefined, bucket: number): Promise<Set<string> | undefined> {
  return await side?.snapshot.members(side.manifest, bucket);
}

function lines(users: readonly string[]): string {
  return users.map((user) => `${JSON.stringify(user)}\n`).join('');
}
