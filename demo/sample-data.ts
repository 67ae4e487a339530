import { type FileHandle, mkdir, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { AudienceListing } from '../src/contract/audience.ts';
import { stringifyJson } from '../src/domain/json.ts';
import { SAMPLE_AUDIENCES, type SampleOptions, samplePeople } from './sample-people.ts';

/** What was written. */
export interface SampleSource {
  readonly people: number;
  /** With their sizes, by slug. */
  readonly audiences: readonly (AudienceListing & { readonly size: number })[];
  /** Size of `profiles.ndjson`. */
  readonly profileBytes: number;
}

/**
 * Writes a source `file` of invented people into the folder, making it if need be, and over a sample that is there.
 * Streams: 200,000 people take some seconds and no memory to speak of.
 */
export async function writeSampleSource(folder: string, options: SampleOptions = {}): Promise<SampleSource> {
  await mkdir(join(folder, 'audiences'), { recursive: true });
  const profiles = await LineFile.create(join(folder, 'profiles.ndjson'));
  const lists = new Map<string, LineFile>();
  const sizes = new Map<string, number>();
  let people = 0;
  try {
    for (const audience of SAMPLE_AUDIENCES) {
      const { slug, ...header } = audience;
      const list = await LineFile.create(join(folder, 'audiences', `${slug}.ndjson`));
      lists.set(slug, list);
      await list.write(stringifyJson({ audience: header }));
    }
    for (const { user, profile, audiences } of samplePeople(options)) {
      people += 1;
      await profiles.write(`{"user":"${user}","profile":${stringifyJson(profile)}}`);
      for (const slug of audiences) {
        await lists.get(slug)?.write(`"${user}"`);
        sizes.set(slug, (sizes.get(slug) ?? 0) + 1);
      }
    }
    for (const file of [profiles, ...lists.values()]) await file.finish();
  } finally {
    for (const file of [profiles, ...lists.values()]) await file.close();
  }
  const audiences = SAMPLE_AUDIENCES.map((audience) => ({ ...audience, size: sizes.get(audience.slug) ?? 0 }));
  return { people, audiences, profileBytes: profiles.bytes };
}

const BATCH_LENGTH = 256 * 1024;

/** Lines written in batches to a file beside its place, and moved there when it is complete: no reader sees half of it. */
class LineFile {
  bytes = 0;
  readonly #path: string;
  readonly #file: FileHandle;
  #batch = '';

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  static async create(path: string): Promise<LineFile> {
    return new LineFile(path, await open(`${path}.partial`, 'w'));
  }

  /** Nearly always returns at once, and then undefined, which costs an `await` less than a promise does. */
  write(line: string): Promise<void> | undefined {
    this.#batch += `${line}\n`;
    return this.#batch.length < BATCH_LENGTH ? undefined : this.#flush();
  }

  async finish(): Promise<void> {
    await this.#flush();
    await this.#file.sync();
    await rename(`${this.#path}.partial`, this.#path);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #flush(): Promise<void> {
    const batch = Buffer.from(this.#batch);
    this.#batch = '';
    await this.#file.writeFile(batch);
    this.bytes += batch.length;
  }
}
