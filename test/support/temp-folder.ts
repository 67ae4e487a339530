import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from '@jest/globals';

const made: string[] = [];

afterAll(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A new, empty folder, which is removed after the tests of its file. */
export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'triggers-test-'));
  made.push(folder);
  return folder;
}
