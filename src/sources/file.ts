import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AudienceFiles } from './audience-files.ts';
import { hasMember, readMembersPage } from './member-pages.ts';
import { ProblemReport } from './problem-report.ts';
import { ProfileFile } from './profile-file.ts';
import { type AudienceSource, checkLimit } from './source.ts';
import { SourceError } from './source-error.ts';

export interface FileSourceOptions {
  /** How late, in ms, the files may show that somebody left: their age plus the time they take to write. Default 0. */
  readonly lagMs?: number;
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
 * - `audiences/<slug>.ndjson`: first `{"audience":{"id":"<32 hex digits>","name":"VIP customers","windowMinutes":60}}` (`windowMinutes` if
 *   its definition looks back over a window), then one member per line, `"7076027172059065053"` or `{"user":"7076027172059065053"}`.
 *
 * Ids are strings: as numbers they would lose digits. Files may change at any time, best by renaming a new one over the old; the next call
 * notices. A line that cannot be read is skipped and reported to `onProblem`. `docs/sources/file.md` says more.
 *
 * Only checks that the files exist; reads nothing yet.
 *
 * @throws SourceError when the folder is not such a one.
 */
export async function openFileSource(folder: string, options: FileSourceOptions = {}): Promise<AudienceSource> {
  const profilesPath = join(folder, 'profiles.ndjson');
  const audiencesPath = join(folder, 'audiences');
  await mustBe(audiencesPath, 'folder', 'It holds a file for each audience, <slug>.ndjson.');
  await mustBe(
    profilesPath,
    'file',
    "It holds the people's profiles, one a line; an empty file means that there are none.",
  );
  const problems = new ProblemReport(options.onProblem ?? (() => undefined));
  const audiences = new AudienceFiles(audiencesPath);
  const profiles = new ProfileFile(profilesPath, 'profiles.ndjson', problems);
  return {
    lagMs: options.lagMs ?? 0,
    audiences: () => audiences.list(),
    members: async (audienceId, after, limit) => {
      checkLimit(limit);
      return readMembersPage(await audiences.find(audienceId), after, limit, problems);
    },
    isMember: async (audienceId, user) => hasMember(await audiences.find(audienceId), user),
    profiles: (users) => profiles.profiles(users),
    close: () => profiles.close(),
  };
}

async function mustBe(path: string, what: 'file' | 'folder', purpose: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  const right = what === 'file' ? found?.isFile() : found?.isDirectory();
  if (right !== true) throw new SourceError(`${path} is not a ${what} that can be read. ${purpose}`);
}
