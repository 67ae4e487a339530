import { closeSync, createReadStream, fstatSync, openSync } from 'node:fs';
import { UsageError } from './exit-code.ts';

/** A file that a command reads from its beginning to its end; a pipe or a device, too. @throws UsageError */
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
