import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type ApiServer, startApi } from '../../src/api/api-server.ts';
import type { Difference, JobStatus } from '../../src/client/export-jobs.ts';
import { askOf } from '../api/an-api.ts';
import { Lab } from '../support/lab.ts';
import { until } from '../support/patience.ts';
import { Operator, startTriggers, unwrapped } from '../support/triggers-cli.ts';

const id = randomUUID().replaceAll('-', '');
const slug = `slug-${id}`;
const members = Array.from({ length: 40 }, (_, i) => `7076027172059065${String(i).padStart(3, '0')}`);

let folder: string;
let lab: Lab;
let api: ApiServer;
let operator: Operator;
let job: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'reconcile-'));
  lab = await Lab.open({
    content: { audiences: [{ id, slug, name: 'Of one test', members }] },
    config: { watch: { folder } },
  });
  job = await lab.start({ audiences: [id] });
  operator = new Operator(lab.taskQueue);
  const log = { error: () => undefined, warn: () => undefined };
  const { client, jobs, taskQueue } = lab;
  api = await startApi({ client, jobs, taskQueue, keys: {}, host: '127.0.0.1', port: 0, page: false, log });
});
afterAll(async () => {
  await api.close();
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
});

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const told = (): string[] =>
  lab.receiver.ledger.entries
    .flatMap(({ message }) => (message === undefined ? [] : [`${message.event} ${message.user}`]))
    .sort();
const isSent = async (n: number) =>
  await lab.statusWhen(job, ({ backfill }) => backfill?.n === n && backfill.state === 'finished');
const leftBehind = () => readdirSync(join(folder, 'differences'));

interface Reconciled {
  readonly difference: Difference;
  readonly status?: JobStatus;
}

test('a list is compared, and what would be sent is shown; with --yes it is sent; for machines as JSON', async () => {
  const csv = file(
    'crm.csv',
    `name,id\r\n${members
      .slice(1)
      .map((user) => `x,${user}\r\n`)
      .join('')}y,gone\r\n`,
  );
  const dry = await operator.run(['reconcile', job, '--they-have', csv, '--dry-run']);
  expect(dry.code).toBe(0);
  expect(unwrapped(dry.stderr)).toContain('they have 40, the source has 40; 39 are the same.');
  expect(unwrapped(dry.stderr)).toContain(`Missing there, to enter: 1 (${members[0]}) No members, to exit: 1 (gone)`);
  expect(unwrapped(dry.stdout)).toBe('1 enter and 1 exit would be sent. Nothing was sent.');
  expect(leftBehind()).toEqual([]);
  const unasked = await operator.run(['reconcile', job, '--they-have', csv]);
  expect(unasked.code).toBe(2);
  expect(unwrapped(unasked.stderr)).toContain('1 enter and 1 exit would be sent. Nothing was done.');
  expect(leftBehind()).toEqual([]);
  expect(told()).toEqual([]);
  const sent = await operator.json<Reconciled>(['reconcile', job, '--they-have', csv, '--yes']);
  expect(sent).toMatchObject({ difference: { enters: 1, exits: 1 }, status: { backfill: { n: 1 } } });
  await isSent(1);
  expect(told()).toEqual([`enter ${members[0]}`, 'exit gone']);
  const same = await operator.run(['reconcile', job, '--they-have', '-'], { stdin: `${members.join('\n')}\n` });
  expect(unwrapped(same.stdout)).toBe('There is nothing to send: they have the members, and nobody else.');
});

test('what is wrong is said with its line, and a list that cannot be right is refused', async () => {
  const lines = file('wrong.ndjson', `"1"\n${'"x"\n'.repeat(30_000)}{}\n`);
  const wrong = await operator.run(['reconcile', job, '--they-have', lines, '--yes', '--json']);
  expect(wrong.code).toBe(2);
  expect(JSON.parse(wrong.stderr)).toMatchObject({
    error: { name: 'InvalidList', problems: [{ field: 'line 30002' }], wrong: 1 },
  });
  const others = file('others.txt', 'a\nb\n');
  const doubtful = await operator.run(['reconcile', job, '--they-have', others, '--yes']);
  expect(doubtful.code).toBe(1);
  const asJson = await operator.run(['reconcile', job, '--they-have', others, '--yes', '--json']);
  expect(JSON.parse(asJson.stderr)).toMatchObject({
    error: {
      name: 'DifferenceDoubtful',
      doubts: ['strangers'],
      difference: { theirs: 2, members: 40, both: 0, enters: 40, exits: 2 },
    },
  });
  // Nobody is asked about what would be refused.
  const unasked = await operator.run(['reconcile', job, '--they-have', others, '--json']);
  expect(JSON.parse(unasked.stderr)).toMatchObject({ error: { name: 'DifferenceDoubtful' } });
  const ofFolder = await operator.run(['reconcile', job, '--they-have', folder, '--yes']);
  expect(ofFolder).toMatchObject({ code: 2 });
  expect(unwrapped(ofFolder.stderr)).toBe(`${folder} is a folder. Name a file.`);
  const dry = await operator.run(['reconcile', job, '--they-have', others, '--dry-run']);
  expect(unwrapped(dry.stdout)).toContain('is a member');
  expect(unwrapped(dry.stdout)).toContain('Without --force it would be refused. Nothing was sent.');
  expect(unwrapped(doubtful.stderr)).toContain('None of the 2 people on the list is a member');
  for (const args of [[], ['--they-have', join(folder, 'none')], ['--they-have', others, '--column', 'id']])
    expect(await operator.run(['reconcile', job, ...args])).toMatchObject({ code: 2 });
  expect(leftBehind()).toEqual([]);
  expect((await lab.jobs.status(job)).backfill?.n).toBe(1);
});

test('a command that is ended while it compares sends nothing', async () => {
  const release = lab.source.holdBack('members');
  const env = { TRIGGERS_TASK_QUEUE: lab.taskQueue };
  const list = file('list.txt', members.slice(2).join('\n'));
  const program = startTriggers(['reconcile', job, '--they-have', list, '--yes'], { env });
  const before = lab.source.calls.members;
  await until(() => lab.source.calls.members > before);
  await program.kill();
  release();
  expect((await lab.jobs.status(job)).backfill?.n).toBe(1);
});

test('by HTTP: NDJSON or a CSV of any length; what is wrong is said, with the difference', async () => {
  const path = `/v1/jobs/${job}/reconcile`;
  const headers = { 'content-type': 'text/csv' };
  const csv = `id\n${members.slice(2).join('\n')}\n`;
  const dry = await askOf(api, `${path}?dryRun=1`, { body: csv, headers });
  expect(dry).toMatchObject({ status: 200, body: { difference: { enters: 2, exits: 0, audience: { slug } } } });
  expect(dry.body).not.toHaveProperty('status');
  const ndjson = { 'content-type': 'application/x-ndjson' };
  // Ids of digits are NDJSON as they are, and keep all digits.
  const sent = await askOf(api, path, { body: `${members.slice(2).join('\n')}\n{"user":"late"}`, headers: ndjson });
  expect(sent).toMatchObject({ status: 200, body: { difference: { enters: 2, exits: 1 }, status: { jobId: job } } });
  await isSent(2);
  expect(told().slice(-1)).toEqual(['exit late']);
  const strangers = await askOf(api, path, { body: 'id\na\nb\n', headers });
  expect(strangers).toMatchObject({ status: 422, body: { code: 'DifferenceDoubtful', difference: { both: 0 } } });
  const wrong = await askOf(api, path, { body: 'id\n\n""\n', headers });
  expect(wrong).toMatchObject({ status: 422, body: { code: 'InvalidList', problems: [{ field: 'line 3' }] } });
  expect(await askOf(api, path, { body: {} })).toMatchObject({ status: 415, body: { code: 'WrongContentType' } });
  expect(await askOf(api, `${path}?dry=1`, { body: csv, headers })).toMatchObject({ status: 422 });
  const none = await askOf(api, '/v1/jobs/nobody/reconcile', { body: csv, headers });
  expect(none).toMatchObject({ status: 404, body: { code: 'JobNotFound' } });
  // Nothing else takes a CSV.
  expect(await askOf(api, '/v1/triggers', { body: csv, headers })).toMatchObject({ status: 415 });
  expect((await lab.jobs.status(job)).backfill?.n).toBe(2);
});
