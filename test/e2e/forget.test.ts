import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { openDeliveryReader } from '../../src/features/delivery-log/open-log.ts';
import { sealingWith } from '../../src/temporal/sealed-text.ts';
import { labOfFile, labOfTest, VIP } from '../support/lab.ts';
import { answerWhen, until } from '../support/patience.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { Operator, unwrapped } from '../support/triggers-cli.ts';
import { afterFile } from '../webhook/a-server.ts';

const SETTINGS = { certificateAuthorities: [], connectTimeoutMs: 5_000, statementTimeoutMs: 10_000 };
const folder = tempFolder();
const reader = openDeliveryReader({ folder }, sealingWith([]));
afterFile(async () => await reader.close());
const lab = await labOfFile({
  config: { deliveryLog: { ...SETTINGS, folder, retentionDays: 30, bodies: 'all' } },
  receiver: {
    answer: ({ message }) => {
      if (message?.user === 'slow') return { status: 200, delayMs: 3_000 };
      return message?.user?.startsWith('refused') === true ? { status: 422 } : undefined;
    },
  },
});
const config = join(tempFolder(), 'triggers.config.json');
writeFileSync(config, JSON.stringify({ deliveryLog: { folder } }));
const operator = new Operator(lab.taskQueue);
const forget = async (...args: string[]) =>
  await operator.run(['forget', ...args], { env: { TRIGGERS_CONFIG: config } });

async function rowsOf(user: string): Promise<number> {
  return (await reader.find({ user }, 100)).rows.length;
}

/** A job in which each of these people was refused, listed as dead letters; and their ids, in the order of the people. */
async function jobThatRefused(...users: string[]): Promise<{ job: string; ids: string[] }> {
  const job = await lab.start();
  // What a new endpoint refuses is kept until it has taken something.
  await lab.jobs.enter(job, { audience: VIP.slug, user: 'taken', profile: {} });
  await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  for (const user of users) await lab.jobs.enter(job, { audience: VIP.slug, user, profile: { email: 'a@b.c' } });
  await lab.statusWhen(job, ({ deadLetters }) => deadLetters === users.length);
  const idOf = async (user: string): Promise<string> => {
    const { value, done } = await lab.jobs.deadLetters.waiting({ user }).next();
    return done === true || (await rowsOf(user)) === 0 ? '' : value.id;
  };
  const ids: string[] = [];
  for (const user of users)
    ids.push(
      await answerWhen(
        async () => await idOf(user),
        (id) => id !== '',
      ),
    );
  return { job, ids };
}

test('a forgotten person is in no row and no dead letter, another one stays, and it says until when the histories have both', async () => {
  const { job, ids } = await jobThatRefused('refused-ada', 'refused-bob');
  const [decided = '', ofBob = ''] = ids;
  await lab.jobs.deadLetters.discard(decided);
  await lab.jobs.enter(job, { audience: VIP.slug, user: 'refused-ada', profile: {} });
  await until(async () => (await rowsOf('refused-ada')) === 2);
  await until(async () => (await lab.jobs.people.places('refused-ada')).deadLetters === 2);

  const dry = await forget('refused-ada', '--dry-run');
  expect(dry).toMatchObject({ code: 0, stderr: '' });
  expect(unwrapped(dry.stdout)).toMatch(/^WHERE FOUND REMAINS delivery log 2 rows dead letters 2 histories of lab-/);
  const asked = await forget('refused-ada');
  expect(asked.code).toBe(2);
  expect(unwrapped(asked.stderr)).toContain('2 rows of the delivery log and 2 dead letters of refused-ada will be');
  expect(await rowsOf('refused-ada')).toBe(2);

  const { code, stdout } = await forget('refused-ada', '--yes', '--json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    user: 'refused-ada',
    isRemoved: true,
    deliveryLog: { rows: 2, shared: 0 },
    deadLetters: 2,
    failures: [],
    jobs: [{ jobId: job, waiting: 0 }],
  });
  expect([await rowsOf('refused-ada'), await rowsOf('refused-bob')]).toEqual([0, 1]);

  // The server deletes them in its own time. Her triggers are in the history of the job, which ends now: that has its day.
  await lab.jobs.stop(job, { waiting: 'discard' });
  await lab.handle(job).result();
  const left = await answerWhen(
    async () => await lab.jobs.people.places('refused-ada'),
    ({ deadLetters }) => deadLetters === 0,
  );
  await expect(lab.jobs.deadLetters.show(decided)).rejects.toMatchObject({ name: 'DeadLetterNotFound' });
  expect(await lab.jobs.deadLetters.show(ofBob)).toMatchObject({ user: 'refused-bob', state: 'waiting' });
  const { closeTime } = await lab.handle(job).describe();
  const retentionMs = (left.retentionDays ?? 0) * 24 * 60 * 60 * 1000;
  expect(left.jobs).toMatchObject([{ jobId: job, waiting: 0 }]);
  expect(Date.parse(left.jobs[0]?.until ?? '')).toBe((closeTime?.getTime() ?? 0) + retentionMs);
});

test('what was forgotten, by whom and why stands in the history, without the person, also if there were only rows', async () => {
  const job = await lab.start();
  await lab.jobs.enter(job, { audience: VIP.slug, user: 'only-rows', profile: {} });
  await until(async () => (await rowsOf('only-rows')) === 1);
  const { code, stdout } = await forget('only-rows', '--yes', '--json', '--reason', 'asked: https://a.example/s3cret');
  expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 0, isRecorded: true });
  const { entries } = await reader.deeds({}, 1);
  expect(entries).toMatchObject([
    {
      kind: 'person',
      target: 'person',
      action: 'erase',
      door: 'cli',
      who: expect.stringContaining('@'),
      reason: 'asked: https://a.example/…',
      erased: { rows: 1, shared: 0, deadLetters: 0 },
    },
  ]);
  expect(JSON.stringify(entries)).not.toContain('only-rows');
  const told = await operator.run(['history', '--limit', '1'], { env: { TRIGGERS_CONFIG: config } });
  expect(unwrapped(told.stdout)).toContain(
    'person erased: 1 row of the log, 0 dead letters asked: https://a.example/…',
  );
});

test('triggers that wait for a forgotten person are shown, and stay', async () => {
  const job = await lab.start();
  await lab.jobs.pause(job);
  await lab.jobs.enter(job, { audience: VIP.slug, user: 'eve', profile: {} });
  const { code, stdout } = await forget('eve', '--yes');
  expect(code).toBe(0);
  expect(unwrapped(stdout)).toContain(`waiting in ${job} 1 trigger, until sent`);
  expect(await lab.jobs.status(job)).toMatchObject({ waiting: 1 });

  await lab.jobs.enter(job, { audience: VIP.slug, user: 'bob', profile: {} });
  const dry = await forget('eve', '--stop-waiting', '--dry-run');
  expect(unwrapped(dry.stdout)).toContain(`waiting in ${job} 1 trigger, would be dropped`);
  const asked = await forget('eve', '--stop-waiting');
  expect(unwrapped(asked.stderr)).toContain('1 waiting trigger, 0 rows');
  const stopped = await forget('eve', '--stop-waiting', '--yes', '--json');
  expect(stopped.code).toBe(0);
  expect(JSON.parse(stopped.stdout)).toMatchObject({ jobs: [{ jobId: job, waiting: 0, noLongerWaiting: 1 }] });
  expect(await lab.jobs.status(job)).toMatchObject({ waiting: 1, discarded: 1 });
  const [deed] = await lab.jobs.history(job);
  expect(deed).toMatchObject({ action: 'forget', door: 'cli' });
  expect(JSON.stringify(deed)).not.toContain('eve');
});

test('the row of a request that was under way is removed, too', async () => {
  const job = await lab.start();
  await lab.jobs.enter(job, { audience: VIP.slug, user: 'slow', profile: {} });
  await lab.statusWhen(job, ({ inFlight }) => inFlight === 1);
  const { code, stdout } = await forget('slow', '--stop-waiting', '--yes', '--json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ deliveryLog: { rows: 1 }, jobs: [{ waiting: 0, noLongerWaiting: 1 }] });
  // It was sent: nothing was dropped.
  const status = await lab.jobs.status(job);
  expect(status).toMatchObject({ delivered: 1 });
  expect(status).not.toHaveProperty('discarded');
  // Rows are written in order.
  await lab.jobs.enter(job, { audience: VIP.slug, user: 'later', profile: {} });
  await until(async () => (await rowsOf('later')) === 1);
  expect(await rowsOf('slow')).toBe(0);
});

test('a job that does not answer is asked, too, and the command fails until it has dropped what waits', async () => {
  const own = await labOfTest();
  const job = await own.start();
  await own.jobs.pause(job);
  await own.jobs.enter(job, { audience: VIP.slug, user: 'dan', profile: {} });
  await own.statusWhen(job, ({ waiting }) => waiting === 1);
  await own.stopWorkers();
  const there = new Operator(own.taskQueue);
  const stop = async () => await there.run(['forget', 'dan', '--stop-waiting', '--without-log', '--yes', '--json']);
  const silent = await stop();
  expect(silent.code).toBe(1);
  expect(JSON.parse(silent.stdout)).toMatchObject({ leftOut: [{ jobId: job }] });
  expect(JSON.parse(silent.stderr)).toMatchObject({ error: { name: 'PartlyDone', failed: 0, unknown: 1 } });
  await own.addWorker();
  const { code, stdout } = await stop();
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ jobs: [{ jobId: job, waiting: 0 }], leftOut: [] });
  expect(await own.jobs.status(job)).toMatchObject({ waiting: 0, discarded: 1 });
});

test('a job that was terminated drops nothing, and the command fails', async () => {
  const job = await lab.start();
  await lab.jobs.pause(job);
  await lab.jobs.enter(job, { audience: VIP.slug, user: 'tom', profile: {} });
  await lab.statusWhen(job, ({ waiting }) => waiting === 1);
  await lab.handle(job).terminate();
  const { code, stdout, stderr } = await forget('tom', '--stop-waiting', '--yes', '--json');
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({ jobs: [{ jobId: job, waiting: 1 }], leftOut: [{ jobId: job }] });
  expect(JSON.parse(stderr)).toMatchObject({ error: { name: 'PartlyDone', unknown: 1 } });
});

test('rows in a collector remain, and it says so', async () => {
  const job = await lab.start();
  await lab.jobs.enter(job, { audience: VIP.slug, user: 'far', profile: {} });
  await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  const file = join(tempFolder(), 'triggers.config.json');
  writeFileSync(file, JSON.stringify({ deliveryLog: { otlp: { endpoint: 'http://127.0.0.1:9/v1/logs' } } }));
  const there = { env: { TRIGGERS_CONFIG: file } };
  const { code, stdout } = await operator.run(['forget', 'far', '--without-log', '--yes'], there);
  expect(code).toBe(0);
  expect(unwrapped(stdout)).toContain('delivery log all: it is in a collector');
});

test('an id that nobody has is an error, also one that is almost right', async () => {
  const job = await lab.start();
  await lab.jobs.enter(job, { audience: VIP.slug, user: 'near', profile: {} });
  await until(async () => (await rowsOf('near')) > 0);
  const { code, stderr } = await forget('Near', '--yes', '--json');
  expect(code).toBe(1);
  expect(JSON.parse(stderr)).toMatchObject({ error: { name: 'PersonNotFound', user: 'Near' } });
});
