import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BUCKETS, bucketOf } from '../../domain/membership-buckets.ts';

/** Characters that are kept in memory before they are appended to their files. */
const FLUSH_CHARACTERS = 4 * 1024 * 1024;

/** Writes ids into 256 files by their hash, so that two snapshots can be compared part by part. */
export class MemberBuckets {
  readonly #folder: string;
  readonly #prefix: string;
  readonly #waiting: string[] = Array.from({ length: BUCKETS }, () => '');
  readonly #bytes: number[] = Array.from({ length: BUCKETS }, () => 0);
  #waitingCharacters = 0;

  constructor(folder: string, prefix: string) {
    this.#folder = folder;
    this.#prefix = prefix;
  }

  async add(users: Iterable<string>): Promise<void> {
    for (const user of users) {
      const bucket = bucketOf(user);
      // As JSON, since an id may hold a newline.
      const line = `${JSON.stringify(user)}\n`;
      this.#waiting[bucket] += line;
      this.#waitingCharacters += line.length;
    }
    if (this.#waitingCharacters > FLUSH_CHARACTERS) await this.#flush();
  }

  /** Writes what is still in memory; returns the bytes of each file. */
  async close(): Promise<number[]> {
    await this.#flush();
    return this.#bytes;
  }

  async #flush(): Promise<void> {
    for (const [bucket, lines] of this.#waiting.entries()) {
      if (lines === '') continue;
      const bytes = Buffer.from(lines);
      await appendFile(bucketPath(this.#folder, this.#prefix, bucket), bytes);
      this.#bytes[bucket] = (this.#bytes[bucket] ?? 0) + bytes.length;
      this.#waiting[bucket] = '';
    }
    this.#waitingCharacters = 0;
  }
}

/**
 * The ids of one file, which has this many bytes; an id may appear twice. An empty bucket has no file.
 * @throws when the file is not as it was written.
 */
export async function readBucket(folder: string, prefix: string, bucket: number, bytes: number): Promise<string[]> {
  if (bytes === 0) return [];
  const content = await readFile(bucketPath(folder, prefix, bucket));
  if (content.length !== bytes)
    throw new Error(`Bucket ${bucket} has ${content.length} bytes, but was written with ${bytes}.`);
  const lines = content.toString().split('\n');
  lines.pop(); // Behind the last newline.
  return lines.map((line) => JSON.parse(line) as string); // Written by `add`.
}

function bucketPath(folder: string, prefix: string, bucket: number): string {
  return join(folder, `${prefix}-${bucket.toString(16).padStart(2, '0')}`);
}
