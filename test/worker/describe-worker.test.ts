import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { diskOf } from '../../src/worker/describe-worker.ts';
import { tempFolder } from '../support/temp-folder.ts';

const folder = tempFolder();

test('a folder that is still to be made has the room of the one that it will be in', async () => {
  const later = join(folder, 'a', 'b');
  expect(await diskOf(later)).toEqual({ folder: later, freeBytes: expect.any(Number) });
});

test('a folder that cannot be used is said to be so, and fails nothing else', async () => {
  writeFileSync(join(folder, 'file'), '');
  const below = join(folder, 'file', 'log');
  expect(await diskOf(below)).toEqual({ folder: below, code: 'ENOTDIR' });
});

test('a folder that nothing can be written to is said to be so, whatever its room', async () => {
  const readOnly = '/proc/sys'; // Also for root, which may write to any folder of a disk.
  // A container may have mounted it read-only.
  const code = expect.stringMatching(/^(EACCES|EROFS)$/);
  expect(await diskOf(readOnly)).toEqual({ folder: readOnly, code });
});
