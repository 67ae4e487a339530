import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from '@jest/globals';
import { release } from '../../src/config/release.ts';
import { brokenSeals } from './recordings.ts';
import { tempFolder } from './temp-folder.ts';

/**
 * Published releases, with the checksum of what they recorded. When one is published, add the line that this test then asks for. It is never
 * changed again.
 */
const SEALS: Readonly<Record<string, string>> = {
  '0.1.0': '1181c81025528a3f10903590e6e5139a179581592c08bbb4c0e9c5321a181c06',
};

test('the recordings of published releases are unchanged', () => {
  expect(brokenSeals(SEALS, release())).toEqual([]);
});

let folder = '';
beforeEach(() => {
  folder = tempFolder();
  write('histories', '1.0.0', 'a run');
  write('carried', '1.0.0', 'a state');
});

function write(kind: string, version: string, text: string): void {
  mkdirSync(join(folder, kind, version), { recursive: true });
  writeFileSync(join(folder, kind, version, 'export-job.json'), text);
}

/** The seal that is said to be missing for 1.0.0. */
function seal(): string {
  return /not sealed: (\w+)/.exec(brokenSeals({}, '1.1.0', folder).join())?.[1] ?? '';
}

test('the release that is being made records as often as it likes', () => {
  expect(brokenSeals({}, '1.0.0', folder)).toEqual([]);
});

test('a release must be sealed once the next one is being made', () => {
  expect(brokenSeals({}, '1.1.0', folder)).toEqual([expect.stringMatching(/^1\.0\.0 is published, and not sealed: /)]);
  expect(brokenSeals({ '1.0.0': seal() }, '1.1.0', folder)).toEqual([]);
});

test.each(['histories', 'carried'])('recording the %s of a published release again is reported', (kind) => {
  const seals = { '1.0.0': seal() };
  write(kind, '1.0.0', 'another');
  expect(brokenSeals(seals, '1.1.0', folder)).toEqual([expect.stringMatching(/^What 1\.0\.0 recorded was changed/)]);
});

test('a published release whose recordings are gone is reported', () => {
  const seals = { '1.0.0': seal() };
  for (const kind of ['histories', 'carried']) rmSync(join(folder, kind, '1.0.0'), { recursive: true });
  expect(brokenSeals(seals, '1.1.0', folder)).toHaveLength(1);
});
