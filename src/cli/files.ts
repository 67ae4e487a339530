import {
  closeSync,
  createReadStream,
  fstatSync,
  openSync,
  readdirSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { type FileProblems, UsageError } from './exit-code.ts';
import { readJobFile } from './job-options.ts';
import { codeOf } from '../domain/errors.ts';

/** The job files of a folder: the `id` in each, or else its name without `.json`, is the id of its job. */
export interface JobFiles {
  /** Where each job's file is, by job id. */
  readonly paths: ReadonlyMap<string, string>;
  /** Their contents, by job id. */
  readonly definitions: Readonly<Record<string, unknown>>;
  /** Problems found before the contents are checked. */
  readonly problems: readonly FileProblems[];
}

/**
 * Reads the job files of a folder and its subfolders. Names that begin with a dot are ignored, and so are other files.
 * @throws UsageError when there is no such folder, or no job file in it
 */
export function readJobFiles(folder: string): JobFiles {
  const files = jsonFilesIn(folder);
  // The path is probably wrong; with --prune, it would stop everything.
  if (files.length === 0) throw new UsageError(`There is no job file (…/JOB.json) in the folder ${folder}.`);
  const paths = new Map<string, string>();
  // On file systems that ignore case, REC.json and rec.json are one file.
  const seen = new Map<string, string>();
  const definitions: [string, unknown][] = [];
  const problems: FileProblems[] = [];
  for (const file of files) {
    try {
      const { id: jobId = basename(file).slice(0, -ENDING.length), fields } = readJobFile(file);
      const other = seen.get(jobId.toLowerCase());
      if (other !== undefined) {
        const message = `${other} has the same id ("${jobId}"), capital letters or not. Each job has one file, and its id is the "id" in the file, or else the file's name.`;
        problems.push({ file, problems: [{ field: 'id', message }] });
        continue;
      }
      seen.set(jobId.toLowerCase(), file);
      paths.set(jobId, file);
      definitions.push([jobId, fields]);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      problems.push({ file, problems: [{ field: '', message: error.message }] });
    }
  }
  return { paths, definitions: Object.fromEntries(definitions), problems };
}

const ENDING = '.json';

/** Sorted by path. Links are followed, since mounted volumes consist of them. */
function jsonFilesIn(folder: string, around: readonly string[] = []): string[] {
  const real = realFolder(folder);
  if (around.includes(real)) throw new UsageError(`The folder ${folder} leads back to one that it is in.`);
  const names = readdirSync(folder).filter((name) => !name.startsWith('.'));
  return names.sort().flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return jsonFilesIn(path, [...around, real]);
    return name.toLowerCase().endsWith(ENDING) ? [path] : [];
  });
}

/** @throws UsageError */
function realFolder(folder: string): string {
  try {
    const real = realpathSync(folder);
    if (statSync(real).isDirectory()) return real;
  } catch (error) {
    throw new UsageError(`The folder ${folder} cannot be read. Check its path.`, { cause: error });
  }
  throw new UsageError(`${folder} is no folder. A single job file is started with: triggers start ${folder}`);
}

/** A file that a command reads from beginning to end; it may be a pipe or a device. @throws UsageError */
export function openFile(path: string): AsyncIterable<Uint8Array> {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    throw new UsageError(`The file ${path} cannot be read. Check its path.`, { cause: error });
  }
  // A folder can be opened too; only reading it fails.
  if (fstatSync(fd).isDirectory()) {
    closeSync(fd);
    throw new UsageError(`${path} is a folder. Name a file.`);
  }
  return createReadStream(path, { fd });
}

/**
 * Writes a file that only its owner may read: a person with a webhook URL may be able to send to it. Returns false, and writes nothing, when a file
 * of that name exists.
 * @throws UsageError when it cannot be written.
 */
export function writeNewFile(file: string, text: string): boolean {
  try {
    writeFileSync(file, text, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw new UsageError(`The file ${file} cannot be written. Check its path.`, { cause: error });
  }
}
