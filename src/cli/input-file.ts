import { closeSync, createReadStream, fstatSync, openSync } from 'node:fs';
import { UsageError } from './exit-code.ts';

/** A file that a command reads from its beginning to its end; a pipe or a device, too. @throws UsageError */
export function openFile(path: string): AsyncIterable<Uint8Array> {
  const unreadable = (cause?: unknown): UsageError =>
    new UsageError(`The file ${path} cannot be read. Check its path.`, { cause });
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    throw unreadable(error);
  }
  // A folder can be opened too; only reading it fails.
  if (fstatSync(fd).isDirectory()) {
    closeSync(fd);
    throw unreadable();
  }
  return createReadStream(path, { fd });
}
