import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from '@commander-js/extra-typings';
import { beforeEach, expect, test } from '@jest/globals';
import { UsageError } from '../../src/cli/exit-code.ts';
import {
  definitionFrom,
  fieldsFromOptions,
  readJobFile,
  readJsonObject,
  withFields,
} from '../../src/cli/job-options.ts';
import { createProgram } from '../../src/app/program.ts';
import { FORM_FIELDS, defaultOf } from '../../src/domain/form.ts';
import { FORM } from '../../src/words/form.ts';
import { aTerminal } from './a-terminal.ts';
import { readJobFiles, writeNewFile } from '../../src/cli/files.ts';
import { tempFolder } from '../support/temp-folder.ts';

let folder = '';
beforeEach(() => {
  folder = tempFolder();
});

function file(text: string): string {
  const path = join(folder, 'job.json');
  writeFileSync(path, text);
  return path;
}

test('a job can be said by options alone, then without authorization unless one is named', () => {
  expect(definitionFrom(undefined, { label: 'VIP', audience: ['vip', 'news'], url: 'https://example.com' })).toEqual({
    label: 'VIP',
    audiences: ['vip', 'news'],
    webhookUrl: 'https://example.com',
    authorization: null,
  });
  expect(definitionFrom(undefined, { label: 'VIP', authorization: 'crm' })).toMatchObject({ authorization: 'crm' });
});

test('options win over the job file, and leave the rest of it alone', () => {
  const path = file('{"label":"VIP","audiences":["vip"],"parallelRequestCount":5,"odd":1}');
  expect(definitionFrom(readJobFile(path), { parallel: 50, existingUsers: true })).toEqual({
    label: 'VIP',
    audiences: ['vip'],
    parallelRequestCount: 50,
    existingUsers: true,
    odd: 1,
  });
});

test('a job file that names no authorization stays so, for the check to say', () => {
  expect(definitionFrom(readJobFile(file('{"label":"VIP"}')), {})).not.toHaveProperty('authorization');
});

/** The fields that a command line says. */
function saidBy(...words: string[]): object {
  const command = withFields(new Command(), FORM_FIELDS).parse(words, { from: 'user' });
  return fieldsFromOptions(command.opts());
}

/** A word for the option of a field, and what it says. */
function sampleOf(field: (typeof FORM_FIELDS)[number]): [words: string[], value: unknown] {
  const { option, input } = FORM[field];
  if (option.takes === 'table') return [['404=delivered'], { '404': 'delivered' }];
  if (option.takes === 'list') return [['some'], ['some']];
  if (option.takes !== undefined) return [option.takes.slice(0, 1), option.takes[0]];
  if (input.kind === 'flag') return [[], input.on];
  return input.kind === 'number' ? [['7'], 7] : [['some'], 'some'];
}

test.each(FORM_FIELDS)('the command line can say %s, or take it back to its default', (field) => {
  const { option } = FORM[field];
  expect(option.say ?? option.back).toBeDefined();
  if (option.back !== undefined) expect(saidBy(option.back)).toEqual({ [field]: defaultOf(field) });
  const [words, value] = sampleOf(field);
  if (option.say !== undefined) expect(saidBy(option.say.replace(/ .*/, ''), ...words)).toEqual({ [field]: value });
});

test('an option that is given several times has all its values', () => {
  expect(
    saidBy('--answer', '404=delivered', '--answer', '5xx=retry', '--export-field', 'a', '--export-field', 'b'),
  ).toEqual({ exportFields: ['a', 'b'], answers: { '404': 'delivered', '5xx': 'retry' } });
});

test('start and edit take the same options of the form; only a start takes existing users', () => {
  const { commands } = createProgram(aTerminal().terminal);
  const optionsOf = (name: string) =>
    commands.find((one) => one.name() === name)?.options.map(({ long }) => long) ?? [];
  const [start, edit] = [optionsOf('start'), optionsOf('edit')];
  expect(edit.filter((option) => !start.includes(option))).toEqual(['--to-revision', '--reason']);
  expect(start.filter((option) => !edit.includes(option))).toEqual([
    '--id',
    '--existing-users',
    '--no-existing-users',
    '--sample',
    '--discard-recoverable',
  ]);
});

test('options that were not given set no fields', () => {
  expect(fieldsFromOptions({ label: undefined })).toEqual({});
  expect(() => definitionFrom(undefined, {})).toThrow(UsageError);
});

test.each([
  ['nonsense', /not JSON/],
  ['[1]', /one JSON object/],
  ['null', /one JSON object/],
])('the command refuses a job file of %j', (text, why) => {
  expect(() => readJsonObject(file(text))).toThrow(why);
});

test('a byte order mark is no mistake, and an empty file is called one', () => {
  expect(readJsonObject(file('\uFEFF{"label":"x"}'))).toEqual({ label: 'x' });
  expect(() => readJsonObject(file(' \n'))).toThrow(/ is empty\.$/);
});

test('a job file that is not JSON is not quoted: there may be a secret in its URL', () => {
  const text = '{\n  "webhookUrl": "https://example.com/s3cret"\n  s3cret}';
  expect(() => readJsonObject(file(text))).toThrow(/is not JSON: something is wrong in line 3, at character 3\.$/);
});

test.each([
  '{"label":"a","label":"b"}',
  '{"label":"a", "label":"a"}',
  '{"audiences":[],"label":{"label":1,"label":2}}',
])('a job file that says one key twice is wrong, since only the last would count: %s', (text) => {
  expect(() => readJsonObject(file(text))).toThrow(/has the key "label" twice/);
});

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

test('a job file name may end in capital letters, and two files of one name are reported', () => {
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

test('the command reports unreadable files and a second file for a job as problems, and reads the others', () => {
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

test('a folder that is missing, has no job file or leads back to itself is refused', () => {
  expect(() => readJobFiles(join(folder, 'nowhere'))).toThrow(UsageError);
  expect(() => readJobFiles(folder)).toThrow(/no job file/);
  write('a.json');
  expect(() => readJobFiles(join(folder, 'a.json'))).toThrow(/is no folder/);
  symlinkSync('.', join(folder, 'round'));
  expect(() => readJobFiles(folder)).toThrow(/leads back/);
});

test('a job file is readable only by its owner, and no file is overwritten', () => {
  const file = join(folder, 'job.json');
  expect([writeNewFile(file, 'first'), writeNewFile(file, 'second')]).toEqual([true, false]);
  expect(readFileSync(file, 'utf8')).toBe('first');
  expect(statSync(file).mode & 0o077).toBe(0);
});

test('the error about a file that cannot be written names its path', () => {
  expect(() => writeNewFile(join(folder, 'none', 'job.json'), '')).toThrow(/none.job\.json cannot be written/);
});
