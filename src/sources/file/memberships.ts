import type { FileHandle } from 'node:fs/promises';
import { isBlank, scanLines, type WholeFiles } from './lines.ts';
import { hashOf, LineIndex, LineTable, quotedHash, textAt } from './line-index.ts';
import { type AudienceFile, type AudienceFiles, readMember } from './audiences.ts';
import type { ProblemReport } from '../source.ts';

const CHUNK_BYTES = 256 * 1024;

/** Which audiences people are in, found by an index of each file of members, which is made when it is first needed, and anew once the file has changed. */
export class MembershipFiles {
  readonly #audiences: AudienceFiles;
  readonly #files: WholeFiles;
  readonly #problems: ProblemReport;
  /** By the path of the file. Whoever wants one that is being made waits for it. */
  #indexes = new Map<string, { readonly mark: string; readonly made: Promise<LineIndex> }>();

  constructor(audiences: AudienceFiles, files: WholeFiles, problems: ProblemReport) {
    this.#audiences = audiences;
    this.#files = files;
    this.#problems = problems;
  }

  /**
   * The slugs of the audiences that each of these people is in, in their order.
   *
   * @throws SourceError when a file cannot be used, since nobody knows who is in it.
   */
  async of(users: readonly string[]): Promise<Map<string, string[]>> {
    const slugs = new Map(users.map((user): [string, string[]] => [user, []]));
    const all = await this.#audiences.all();
    for (const { listing } of all) {
      const { answer } = await this.#files.read(
        () => this.#audiences.find(listing.id),
        async (file, handle) => await this.#membersAmong(slugs.keys(), file, handle),
      );
      for (const user of answer) slugs.get(user)?.push(listing.slug);
    }
    const paths = new Set(all.map(({ path }) => path));
    this.#indexes = new Map([...this.#indexes].filter(([path]) => paths.has(path)));
    return slugs;
  }

  async #membersAmong(users: Iterable<string>, file: AudienceFile, handle: FileHandle): Promise<Set<string>> {
    const index = await this.#indexOf(file, handle);
    const found = new Set<string>();
    for (const place of index.places(users)) {
      const member = readMember(textAt(handle, place));
      if (member.ok && member.user === place.user) found.add(place.user);
    }
    return found;
  }

  async #indexOf(file: AudienceFile, handle: FileHandle): Promise<LineIndex> {
    const known = this.#indexes.get(file.path);
    if (known?.mark === file.mark) return await known.made;
    const making = { mark: file.mark, made: this.#make(file, handle) };
    this.#indexes.set(file.path, making);
    try {
      return await making.made;
    } catch (error) {
      if (this.#indexes.get(file.path) === making) this.#indexes.delete(file.path);
      throw error;
    }
  }

  async #make(file: AudienceFile, handle: FileHandle): Promise<LineIndex> {
    const lines = new LineTable(1024);
    await scanLines(handle, file.members, CHUNK_BYTES, (bytes, start, end, offset, line) => {
      const quick = quotedHash(bytes, start + 1, end);
      if (bytes[start] === QUOTE && quick?.end === end - 1) lines.add(quick.hash, offset, end - start);
      else if (!isBlank(bytes, start, end)) {
        const member = readMember(bytes.toString('utf8', start, end));
        if (member.ok) lines.add(hashOf(member.user), offset, end - start);
        else this.#problems.add(file, `line ${line}: ${member.problem}`);
      }
      return true;
    });
    return new LineIndex(lines);
  }
}

const QUOTE = 0x22;
