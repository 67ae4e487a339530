import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { UsageError } from '../../src/cli/exit-code.ts';
import { readJobFiles } from '../../src/cli/job-files.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'job-files-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const write = (path: string, text = '{}'): void => writeFileSync(join(folder, path), text);

test('a mounted volume is read once, as its links show it; hidden files and others are left alone', () => {
  // As Kubernetes mounts a ConfigMap.
  mkdirSync(join(folder, '..2026_11_25'));
  write('..2026_11_25/crm.json', '{"label":"CRM"}');
  symlinkSync('..2026_11_25', join(folder, '..data'));
  symlinkSync('..data/crm.json', join(folder, 'crm.json'));
  mkdirSync(join(folder, 'more'));
  write('more/mail.json');
  write('README.md', 'no job');
  const { paths, definitions, problems } = readJobFiles(folder);
  expect(paths).toEqual(
    new Map([
      ['crm', join(folder, 'crm.json')],
      ['mail', join(folder, 'more', 'mail.json')],
    ]),
  );
  expect(definitions).toEqual({ crm: { label: 'CRM' }, mail: {} });
  expect(problems).toEqual([]);
});

test('the end of a name may be written in capital letters: no job is overlooked, and two of one name are said to be', () => {
  write('crm.JSON');
  write('mail.Json');
  const { paths, problems } = readJobFiles(folder);
  expect([...paths.keys()]).toEqual(['crm', 'mail']);
  expect(problems).toEqual([]);
  write('crm.json');
  expect(readJobFiles(folder).problems).toHaveLength(1);
});

test('a file may name its job, so that its own name means nothing', () => {
  write('renamed.json', '{"id":"crm","label":"CRM"}');
  const { paths, definitions } = readJobFiles(folder);
  expect(paths).toEqual(new Map([['crm', join(folder, 'renamed.json')]]));
  expect(definitions).toEqual({ crm: { label: 'CRM' } });
  write('number.json', '{"id":7}');
  expect(readJobFiles(folder).problems).toHaveLength(1);
});

test.each([
  ['the same in both', 'a', 'b', '{"id":"crm"}'],
  ["the other's name", 'a', 'crm', '{"id":"crm"}'],
  ['the same but for capital letters', 'a', 'CRM', '{"id":"crm"}'],
])('two files of one id are a problem by both names: %s', (_, one, other, text) => {
  write(`${one}.json`, text);
  mkdirSync(join(folder, 'z'));
  write(`z/${other}.json`, other === 'b' ? text : '{}');
  const { problems } = readJobFiles(folder);
  expect(problems).toMatchObject([{ file: join(folder, 'z', `${other}.json`), problems: [{ field: 'id' }] }]);
  expect(problems[0]?.problems[0]?.message).toContain(join(folder, `${one}.json`));
});

test('what cannot be read, and a second file for a job, are problems of their files, and the others are read', () => {
  write('a.json');
  write('b.json', '[');
  write('c.json', '[]');
  write('d.json', '{"label":"x","label":"y"}');
  symlinkSync('nowhere', join(folder, 'e.json'));
  mkdirSync(join(folder, 'z'));
  write('z/a.json');
  const { definitions, problems } = readJobFiles(folder);
  expect(Object.keys(definitions)).toEqual(['a']);
  expect(problems.map(({ file }) => file.slice(folder.length + 1))).toEqual([
    'b.json',
    'c.json',
    'd.json',
    'e.json',
    'z/a.json',
  ]);
});

test('a folder that is not there, has no job file or leads back to itself is refused: nobody would know what is wanted', () => {
  expect(() => readJobFiles(join(folder, 'nowhere'))).toThrow(UsageError);
  expect(() => readJobFiles(folder)).toThrow(/no job file/);
  write('a.json');
  expect(() => readJobFiles(join(folder, 'a.json'))).toThrow(/is no folder/);
  symlinkSync('.', join(folder, 'round'));
  expect(() => readJobFiles(folder)).toThrow(/leads back/);
});
