import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/activity';
import { z } from 'zod';
import { AUDIENCE_ID } from '../../domain/audience.ts';
import { isRecord } from '../../domain/json.ts';
import { BUCKETS } from '../../domain/membership-buckets.ts';
import { readBucket } from './member-buckets.ts';

/** Failure type of these activities: the snapshot is not in this worker's folder, or not as it was sealed. */
export const SNAPSHOT_NOT_HERE = 'SnapshotNotHere';

const SNAPSHOT_ID = /^[0-9a-f-]{36}$/;

const sizes = z.array(z.int()).length(BUCKETS);

const manifestSchema = z.object({
  v: z.literal(1),
  id: z.string(),
  /** Bytes of each bucket, to detect a file that lost its end when the machine crashed. */
  members: sizes,
  /** The same for those whom the scan did not see but who are still members; present once exits are confirmed. */
  stayed: sizes.optional(),
  /** Bytes of its other files. */
  files: z.record(z.string(), z.int()),
});

export type Manifest = Readonly<z.infer<typeof manifestSchema>>;

/**
 * One scan on disk: a folder with the members in 256 files, the differences from the scan before, and a manifest, which is written last: a
 * folder without one is not a snapshot. Which snapshot counts is not stored here: the workflow knows its id.
 */
export class Snapshot {
  readonly id: string;
  readonly folder: string;

  constructor(audienceFolder: string, id: string) {
    if (!SNAPSHOT_ID.test(id))
      throw ApplicationFailure.nonRetryable(
        'A snapshot is named by a UUID. Only a watch of ours starts this activity.',
        'NoSnapshotId',
      );
    this.id = id;
    this.folder = join(audienceFolder, id);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  async create(): Promise<void> {
    // It holds the ids of the members.
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Makes it a snapshot, or extends the one it is. */
  async seal(manifest: Omit<Manifest, 'v' | 'id'>): Promise<void> {
    await writeWhole(this.path(MANIFEST), JSON.stringify({ v: 1, id: this.id, ...manifest }));
  }

  /** Undefined when there is no snapshot of this id here. */
  async manifest(): Promise<Manifest | undefined> {
    try {
      const { success, data } = manifestSchema.safeParse(JSON.parse(await readFile(this.path(MANIFEST), 'utf8')));
      return success && data.id === this.id ? data : undefined;
    } catch (error) {
      if (error instanceof SyntaxError || isMissing(error)) return undefined;
      throw error;
    }
  }

  /** Its manifest. @throws ApplicationFailure of type SnapshotNotHere */
  async sealed(): Promise<Manifest> {
    const manifest = await this.manifest();
    if (manifest === undefined) throw notHere(this);
    return manifest;
  }

  /** The members of one bucket. @throws ApplicationFailure of type SnapshotNotHere */
  async members({ members, stayed }: Manifest, bucket: number): Promise<Set<string>> {
    try {
      const users = new Set(await readBucket(this.folder, MEMBERS, bucket, members[bucket] ?? 0));
      if (stayed === undefined) return users;
      for (const user of await readBucket(this.folder, STAYED, bucket, stayed[bucket] ?? 0)) users.add(user);
      return users;
    } catch (error) {
      throw notHere(this, error);
    }
  }

  /** The path of a file, once it is known to be as it was sealed. @throws ApplicationFailure of type SnapshotNotHere */
  async whole({ files }: Manifest, name: string): Promise<string> {
    const bytes = await this.size(name).catch(() => undefined);
    if (bytes === undefined || bytes !== files[name]) throw notHere(this);
    return this.path(name);
  }

  /** Bytes of one of its files. */
  async size(name: string): Promise<number> {
    return (await stat(this.path(name))).size;
  }
}

const MANIFEST = 'snapshot.json';
/** Prefixes of bucket files, and names of the other files. */
export const MEMBERS = 'members';
export const STAYED = 'stayed';
export const ENTERS = 'enters';
export const EXITS = 'exits';
export const CHANGES = 'changes';

/** The folder of an audience's snapshots, of those that this worker keeps. @throws ApplicationFailure */
export function audienceFolder(root: string | undefined, audience: string): string {
  if (root === undefined)
    throw ApplicationFailure.create({
      message: 'This worker has no folder for snapshots. Set "watch.folder", or TRIGGERS_WATCH_FOLDER.',
      type: 'NoWatchFolder',
    });
  if (!AUDIENCE_ID.test(audience))
    throw ApplicationFailure.nonRetryable(
      'An audience is watched by its id, 32 hex digits. Start watches with: triggers watch',
      'NoAudienceId',
    );
  return join(root, audience);
}

export function notHere({ id }: Snapshot, cause?: unknown): ApplicationFailure {
  return ApplicationFailure.create({
    message: `The snapshot ${id} is not in this worker's folder, or is damaged. If there are several workers, "watch.folder" must be one folder that they share.`,
    type: SNAPSHOT_NOT_HERE,
    ...(cause instanceof Error ? { cause } : {}),
  });
}

/** Writes a file atomically: it is there as a whole, or as it was before. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const beside = `${path}.${randomUUID()}`;
  await writeFile(beside, text, { flush: true });
  await rename(beside, path);
}

export function isMissing(error: unknown): boolean {
  return isRecord(error) && error['code'] === 'ENOENT';
}
