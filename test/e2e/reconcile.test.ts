import { randomUUID } from 'node:crypto';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Api } from '../../src/app/api.ts';
import type { Difference, JobStatus } from '../../src/app/export-jobs.ts';
import { apiOf, askOf } from '../api/an-api.ts';
import { Lab, type LabOptions, membersOfVip } from '../support/lab.ts';
import { until } from '../support/patience.ts';
import { Operator, startTriggers, unwrapped } from '../support/triggers-cli.ts';
import { tempFolder } from '../support/temp-folder.ts';

const people = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => `person-${String(from + i).padStart(5, '0')}`);

let folder: string;
let lab: Lab;

beforeEach(() => {
  folder = tempFolder();
});

afterEach(async () => {
  await lab.close();
});

async function open(members: string[], options: LabOptions = {}): Promise<Lab> {
  lab = await Lab.open({
    content: membersOfVip(members),
    ...options,
    config: { watch: { folder }, ...options.config },
  });
  return lab;
}

/** What the endpoint was told, without repeats: `enter person-00001`. */
function told(): string[] {
  const all = lab.receiver.ledger.entries.flatMap(({ message }) =>
    message === undefined ? [] : [`${message.event} ${message.user}`],
  );
  return [...new Set(all)].sort();
}

const isSent = (job: string) => lab.statusWhen(job, ({ backfill }) => backfill?.state === 'finished');

test('reconcile enters members missing there, exits people unknown here, and sends nobody else', async () => {
  await open(people(300));
  const job = await lab.start({ parallelRequestCount: 20 });
  const theirs = [...people(250, 10), ...people(7, 9000), 'person-00010'];
  const difference = await lab.jobs.compare(job, theirs, { audience: 'vip' });
  expect(difference).toMatchObject({ theirs: 257, members: 300, both: 250, enters: 50, exits: 7 });
  expect(difference.first.exits).toHaveLength(5);
  expect(told()).toEqual([]);
  await lab.jobs.reconcile(job, difference);
  const { backfill } = await isSent(job);
  expect(backfill).toMatchObject({
    difference: { enters: 50, exits: 7 },
    audiences: ['vip'],
    taken: 57,
    delivered: 57,
    superseded: 0,
  });
  const enters = [...people(10), ...people(40, 260)].map((user) => `enter ${user}`);
  expect(told()).toEqual([...enters, ...people(7, 9000).map((user) => `exit ${user}`)].sort());
  expect(new Set(lab.receiver.ledger.entries.map(({ message }) => message?.at)).size).toBe(1);
  // Asked for once more, it starts nothing.
  expect(await lab.jobs.reconcile(job, difference)).toMatchObject({ askedBefore: { n: 1, state: 'finished' } });
  // Its files go once it has ended.
  await until(() => readdirSync(join(folder, 'differences')).length === 0);
  const lines = [];
  for await (const line of lab.jobs.trace('person-09000', { jobId: job })) lines.push(line);
  expect(lines).toContainEqual(expect.objectContaining({ kind: 'found', event: 'exit', audience: 'vip', backfill: 1 }));
});

test('a reconcile has the pace of a backfill, can be paused, and continues after a stop with keep', async () => {
  await open(people(300));
  const job = await lab.start({ parallelRequestCount: 4, backfillPerSecond: 20 });
  const difference = await lab.jobs.compare(job, people(300, 200), { audience: 'vip' });
  await lab.jobs.reconcile(job, difference, { force: true });
  await lab.statusWhen(job, ({ backfill }) => (backfill?.delivered ?? 0) > 5);
  const paused = await lab.jobs.backfill(job, { action: 'pause' });
  expect(paused.backfill).toMatchObject({ state: 'paused' });
  await lab.jobs.enter(job, { audience: 'news', user: 'live', profile: {} });
  await lab.arrives('live');
  await lab.jobs.stop(job, { waiting: 'keep' });
  await lab.statusWhen(job, ({ kept }) => kept !== undefined);
  const { delivered } = (await lab.jobs.status(job)).backfill ?? { delivered: 0 };
  expect(delivered).toBeLessThan(400);
  await lab.jobs.resume(job);
  await lab.jobs.edit(job, { backfillPerSecond: null });
  await lab.jobs.backfill(job, { action: 'resume' });
  const { backfill } = await isSent(job);
  expect(backfill).toMatchObject({ delivered: 400, difference: { enters: 200, exits: 200 } });
  const exits = people(200, 300).map((user) => `exit ${user}`);
  expect(told().filter((one) => one.startsWith('exit'))).toEqual(exits);
});

test('compare looks only at the events that the job sends, and an equal list starts nothing', async () => {
  await open(people(20));
  const job = await lab.start({ events: ['enter'] });
  const difference = await lab.jobs.compare(job, [...people(19), 'stranger'], { audience: 'vip' });
  expect(difference).toMatchObject({ enters: 1, exits: 0, theirs: 20 });
  await lab.jobs.reconcile(job, difference);
  await isSent(job);
  expect(told()).toEqual(['enter person-00019']);
  const none: Difference = await lab.jobs.compare(job, people(20), { audience: 'vip' });
  expect(await lab.jobs.reconcile(job, none)).toMatchObject({ backfill: { n: 1 } });
  const exits = await lab.jobs.compare(await lab.start(), [...people(20), 'stranger'], { audience: 'vip' });
  await expect(lab.jobs.reconcile(job, exits)).rejects.toThrow(/has exits, and the job leaves them out/);
});

test('workers without a folder say what to do, and read only the beginning of a long list', async () => {
  await open(people(3), { config: { watch: {} } });
  const job = await lab.start();
  let read = 0;
  function* list(): Generator<string> {
    for (const user of people(50_000)) {
      read += 1;
      yield user;
    }
  }
  await expect(lab.jobs.compare(job, list(), { audience: 'vip' })).rejects.toMatchObject({
    name: 'WorkerFailed',
    message: expect.stringContaining('TRIGGERS_WATCH_FOLDER'),
  });
  expect(read).toBeLessThan(10_000);
});

describe('by a command and by the API', () => {
  const id = randomUUID().replaceAll('-', '');
  const slug = `slug-${id}`;
  const members = Array.from({ length: 40 }, (_, i) => `7076027172059065${String(i).padStart(3, '0')}`);

  const folder = tempFolder();
  let lab: Lab;
  let api: Api;
  let operator: Operator;
  let job: string;

  beforeAll(async () => {
    lab = await Lab.open({
      content: { audiences: [{ id, slug, name: 'Of one test', members }] },
      config: { watch: { folder } },
    });
    job = await lab.start({ audiences: [id] });
    operator = new Operator(lab.taskQueue);
    api = await apiOf(lab);
  });
  afterAll(async () => {
    await api.close();
    await lab.close();
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
    expect(unwrapped(dry.stderr)).toContain('40 on the list, 40 members, 39 in both.');
    expect(unwrapped(dry.stderr)).toContain(
      `Members missing from the list, to enter: 1 (${members[0]}) On the list but not members, to exit: 1 (gone)`,
    );
    expect(unwrapped(dry.stdout)).toBe('At most 1 enter and 1 exit would be sent. Nothing was sent.');
    expect(leftBehind()).toEqual([]);
    const unasked = await operator.run(['reconcile', job, '--they-have', csv]);
    expect(unasked.code).toBe(2);
    expect(unwrapped(unasked.stderr)).toContain('At most 1 enter and 1 exit would be sent. Nothing was done.');
    expect(leftBehind()).toEqual([]);
    expect(told()).toEqual([]);
    const sent = await operator.json<Reconciled>(['reconcile', job, '--they-have', csv, '--yes']);
    expect(sent).toMatchObject({ difference: { enters: 1, exits: 1 }, status: { backfill: { n: 1 } } });
    await isSent(1);
    expect(told()).toEqual([`enter ${members[0]}`, 'exit gone']);
    const same = await operator.run(['reconcile', job, '--they-have', '-'], { stdin: `${members.join('\n')}\n` });
    expect(unwrapped(same.stdout)).toBe('Nothing to send: the list and the source have the same people.');
  });

  test('reconcile reports a mistake with its line, and refuses a list that cannot be right', async () => {
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
        doubts: ['no-match'],
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
    expect(unwrapped(dry.stdout)).toContain('To send it anyway, add --force. Nothing was sent.');
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

  test('by HTTP: NDJSON or a CSV of any length; the API reports mistakes with the difference', async () => {
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
});
