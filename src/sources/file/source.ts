import { type FileHandle, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type AudienceFile, AudienceFiles, hasMember, readMember, readMembersPage } from './audiences.ts';
import { isBlank, QUIET_MS, scanLines, WholeFiles } from './lines.ts';
import { ProfileFile } from './profiles.ts';
import { type AudienceSource, SourceError } from '../../activities/audience-source.ts';
import { checkLimit, ProblemReport } from '../source.ts';
import { hashOf, LineIndex, LineTable, quotedHash, textAt } from './line-index.ts';

export interface FileSourceOptions {
  /** How late, in ms, the files may show that somebody left: their age plus the time they take to write. Default 0. */
  readonly lagMs?: number;
  /**
   * How long, in ms, a file must not have changed before it counts as written to its end. Default 5 s. 0: files are only ever replaced by
   * finished ones.
   */
  readonly quietMs?: number;
  /**
   * Called for every line that had to be skipped, with file, line and what is wrong; at most 20 times per file until it changes. Default:
   * nothing.
   */
  readonly onProblem?: (text: string) => void;
}

/**
 * The source `file`: a folder of NDJSON, in UTF-8.
 *
 * - `profiles.ndjson`: `{"user":"7076027172059065053","profile":{"email":"…", …}}`, one person per line. If a person has two lines, the later
 *   one counts.
 * - `audiences/<slug>.ndjson`: first `{"audience":{"id":"<32 hex digits>","name":"VIP customers","windowMinutes":60}}`, then one member per line,
 *   `"7076027172059065053"` or `{"user":"7076027172059065053"}`. Give `id` if it should outlive the slug, and `windowMinutes` if the definition
 *   looks back over a window.
 *
 * Ids are strings: as numbers they would lose digits. Files may change at any time, best by renaming a new one over the old. The next call
 * notices, and waits until a file is complete. A line that cannot be read is skipped and reported to `onProblem`. `docs/sources/file.md` says more.
 *
 * Only checks that the files exist; reads nothing yet.
 *
 * @throws SourceError when the folder is not like this.
 */
export async function openFileSource(folder: string, options: FileSourceOptions = {}): Promise<AudienceSource> {
  const profilesPath = join(folder, 'profiles.ndjson');
  const audiencesPath = join(folder, 'audiences');
  const answers = async (): Promise<void> => {
    await mustBe(audiencesPath, 'folder', 'It holds a file for each audience, <slug>.ndjson.');
    await mustBe(
      profilesPath,
      'file',
      "It holds the people's profiles, one a line; an empty file means that there are none.",
    );
  };
  await answers();
  const problems = new ProblemReport(options.onProblem ?? (() => undefined));
  const audiences = new AudienceFiles(audiencesPath);
  const files = new WholeFiles(options.quietMs ?? QUIET_MS);
  const memberships = new MembershipFiles(audiences, files, problems);
  const profiles = new ProfileFile(profilesPath, 'profiles.ndjson', problems, files);
  return {
    lagMs: options.lagMs ?? 0,
    audiences: () => audiences.list(),
    members: async (audienceId, after, limit) => {
      checkLimit(limit);
      const { answer, version } = await files.read(
        () => audiences.find(audienceId),
        (file, handle) => readMembersPage(file, handle, after, limit, problems),
      );
      return { ...answer, version };
    },
    isMember: async (audienceId, user) => {
      const { answer } = await files.read(
        () => audiences.find(audienceId),
        (file, handle) => hasMember(file, handle, user),
      );
      return answer;
    },
    profiles: (users) => profiles.profiles(users),
    memberships: (users) => memberships.of(users),
    answers,
    close: () => profiles.close(),
  };
}

async function mustBe(path: string, what: 'file' | 'folder', purpose: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  const right = what === 'file' ? found?.isFile() : found?.isDirectory();
  if (right !== true) throw new SourceError(`${path} is not a ${what} that can be read. ${purpose}`);
}

const CHUNK_BYTES = 256 * 1024;

/** Finds the audiences that people are in. Indexes each file of members when it is first needed, and again when the file has changed. */
class MembershipFiles {
  readonly #audiences: AudienceFiles;
  readonly #files: WholeFiles;
  readonly #problems: ProblemReport;
  /** By the path of the file. Callers wait for an index that is being made. */
  #indexes = new Map<string, { readonly mark: string; readonly made: Promise<LineIndex> }>();

  constructor(audiences: AudienceFiles, files: WholeFiles, problems: ProblemReport) {
    this.#audiences = audiences;
    this.#files = files;
    this.#problems = problems;
  }

  /**
   * The slugs of the audiences that each of these people is in, in their order.
   *
   * @throws SourceError when a file cannot be used, since its members are then unknown.
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
