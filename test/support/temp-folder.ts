import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What `node-environment.mjs` removes at the end of a test file. */
declare const tempFolders: string[];

/** A new, empty folder, which is removed once the tests of its file are over and have closed what they opened. */
export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'triggers-test-'));
  tempFolders.push(folder);
  return folder;
}
