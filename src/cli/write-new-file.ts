import { writeFileSync } from 'node:fs';
import { codeOf } from '../domain/errors.ts';
import { UsageError } from './exit-code.ts';

/**
 * Writes a file that only its owner may read, because whoever has a webhook URL may be able to send to it. False, and nothing written, when
 * there is one of that name.
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
