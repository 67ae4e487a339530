import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { UsageError } from '../../src/cli/exit-code.ts';
import { definitionFrom, fieldsFromOptions, readJsonObject } from '../../src/cli/job-options.ts';
import { createProgram } from '../../src/cli/program.ts';
import { JOB_FIELDS } from '../../src/contract/export-job.ts';
import { aTerminal } from './a-terminal.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'triggers-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

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
  expect(definitionFrom(path, { parallel: 50, existingUsers: true })).toEqual({
    label: 'VIP',
    audiences: ['vip'],
    parallelRequestCount: 50,
    existingUsers: true,
    odd: 1,
  });
});

test('a job file that names no authorization stays so, for the check to say', () => {
  expect(definitionFrom(file('{"label":"VIP"}'), {})).not.toHaveProperty('authorization');
});

test('"no authorization" is null', () => {
  expect(fieldsFromOptions({ authorization: false })).toEqual({ authorization: null });
});

test('each field of the form has an option, and "no" says of one that a job file has set that it is not', () => {
  const said = {
    label: 'VIP',
    description: '',
    audience: ['vip'],
    url: 'https://example.com',
    authorization: false,
    allFields: true,
    existingUsers: false,
    legacyFormat: false,
    memberships: false,
    parallel: 5,
    backfillRate: false,
    backfillParallel: false,
    allEvents: true,
    method: false,
    headers: false,
    contentType: false,
    defaultBody: true,
    onEnter: false,
    onExit: false,
    envelope: false,
    requestsPerSecond: false,
    answer: ['404=delivered', '5xx=retry'],
    endsAt: false,
    retryFor: false,
    batch: false,
    quietHours: false,
    quota: false,
    stale: 'send',
  };
  const fields = {
    label: 'VIP',
    description: '',
    audiences: ['vip'],
    webhookUrl: 'https://example.com',
    authorization: null,
    exportFields: [],
    existingUsers: false,
    userLegacyMessageFormat: false,
    memberships: false,
    parallelRequestCount: 5,
    backfillPerSecond: null,
    backfillParallelCount: null,
    events: null,
    method: null,
    headers: null,
    contentType: null,
    body: null,
    onEnter: null,
    onExit: null,
    envelope: null,
    requestsPerSecond: null,
    answers: { '404': 'delivered', '5xx': 'retry' },
    endsAt: null,
    retryFor: null,
    batch: null,
    quietHours: null,
    quota: null,
    stale: 'send',
  };
  expect(fieldsFromOptions(said)).toEqual(fields);
  expect(Object.keys(fields)).toEqual(JOB_FIELDS);
  expect(fieldsFromOptions({ exportField: ['email'], legacyFormat: true, backfillRate: 0.5 })).toEqual({
    exportFields: ['email'],
    userLegacyMessageFormat: true,
    backfillPerSecond: 0.5,
  });
});

test('start and edit take the same options of the form; only a start takes existing users', () => {
  const { commands } = createProgram(aTerminal().terminal);
  const optionsOf = (name: string) =>
    commands.find((one) => one.name() === name)?.options.map(({ long }) => long) ?? [];
  const [start, edit] = [optionsOf('start'), optionsOf('edit')];
  expect(edit.filter((option) => !start.includes(option))).toEqual([]);
  expect(start.filter((option) => !edit.includes(option))).toEqual([
    '--id',
    '--existing-users',
    '--no-existing-users',
    '--sample',
    '--discard-recoverable',
  ]);
});

test('what was not said is not there', () => {
  expect(fieldsFromOptions({ label: undefined })).toEqual({});
  expect(() => definitionFrom(undefined, {})).toThrow(UsageError);
});

test.each([
  ['nonsense', /not JSON/],
  ['[1]', /one JSON object/],
  ['null', /one JSON object/],
])('a job file of %j is said to be wrong', (text, why) => {
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

test('a missing job file is named', () => {
  expect(() => readJsonObject(join(folder, 'none.json'))).toThrow(/none\.json cannot be read/);
});
