import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { writeNewFile } from '../../src/cli/write-new-file.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'write-new-file-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

test('a job file is readable only by its owner, and no file is overwritten', () => {
  const file = join(folder, 'job.json');
  expect([writeNewFile(file, 'first'), writeNewFile(file, 'second')]).toEqual([true, false]);
  expect(readFileSync(file, 'utf8')).toBe('first');
  expect(statSync(file).mode & 0o077).toBe(0);
});

test('where nothing can be written, the path is said', () => {
  expect(() => writeNewFile(join(folder, 'none', 'job.json'), '')).toThrow(/none.job\.json cannot be written/);
});
