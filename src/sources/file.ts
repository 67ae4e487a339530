import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AudienceFiles, hasMember, readMembersPage } from './file/audiences.ts';
import { QUIET_MS, WholeFiles } from './file/lines.ts';
import { MembershipFiles } from './file/memberships.ts';
import { ProfileFile } from './file/profiles.ts';
import { type AudienceSource, checkLimit, ProblemReport, SourceError } from './source.ts';

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
 * - `profiles.ndjson`: `{"user":"7076027172059065053","profile":{"email":"…", …}}`, one person per line. Of two lines for one person the
 *   later counts.
 * - `audiences/<slug>.ndjson`: first `{"audience":{"id":"<32 hex digits>","name":"VIP customers","windowMinutes":60}}` (`id` if it should outlive
 *   the slug, `windowMinutes` if its definition looks back over a window), then one member per line, `"7076027172059065053"` or `{"user":"7076027172059065053"}`.
 *
 * Ids are strings: as numbers they would lose digits. Files may change at any time, best by renaming a new one over the old; the next call
 * notices, and waits until what is being written has been written to its end. A line that cannot be read is skipped and reported to `onProblem`. `docs/sources/file.md` says more.
 *
 * Only checks that the files exist; reads nothing yet.
 *
 * @throws SourceError when the folder is not such a one.
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
