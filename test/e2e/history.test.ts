import { expect, test } from '@jest/globals';
import proto from '@temporalio/proto';
import type { AuditEntry, JobStatus } from '../../src/app/export-jobs.ts';
import { newApiKey } from '../../src/config/references.ts';
import { apiOf, askOf } from '../api/an-api.ts';
import { labOfFile } from '../support/lab.ts';
import { until } from '../support/patience.ts';
import { Operator } from '../support/triggers-cli.ts';
import { afterFile } from '../webhook/a-server.ts';

const lab = await labOfFile({ receiver: { keepBodies: true } });
const operator = new Operator(lab.taskQueue);
const key = newApiKey();
const api = await apiOf(lab, { keys: { ops: { hash: key.hash, may: ['read', 'operate'] } } });
afterFile(() => api.close());

const headers = { authorization: `Bearer ${key.secret}` };
const post = async (path: string, body: object, more: object = {}) =>
  await askOf(api, `/v1/jobs/${path}`, { body, headers, ...more });

test('a job tells who did what by which door, when, why, and what changed, by every door', async () => {
  const job = await lab.start({ label: 'Before', parallelRequestCount: 3 });
  await operator.run(['pause', job, '--reason', 'their database moves']);
  expect((await lab.jobs.status(job)).reason).toMatch(/^Paused by .+: their database moves\./);
  expect((await post(`${job}/resume`, {})).status).toBe(200);
  const edit = { label: 'After', reason: 'a better name' };
  expect((await post(job, edit, { method: 'PATCH' })).status).toBe(200);
  await lab.handle(job).executeUpdate('pause');
  await lab.jobs.stop(job, { waiting: 'keep' }, { reason: 'done with it' });
  await lab.statusWhen(job, ({ state }) => state === 'stopped');
  await lab.jobs.resume(job, { by: { who: 'a program', door: 'client' } });

  const person = expect.stringMatching(/^.+@.+$/);
  const expected = [
    { n: 7, action: 'resume', who: 'a program', door: 'client' },
    { n: 6, action: 'stop', door: 'client', reason: 'done with it', waiting: 'keep' },
    { n: 5, action: 'pause', door: 'temporal' },
    {
      n: 4,
      action: 'edit',
      who: 'ops',
      door: 'api',
      reason: 'a better name',
      revision: 2,
      changes: [{ field: 'label', from: 'Before', to: 'After' }],
    },
    { n: 3, action: 'resume', who: 'ops', door: 'api' },
    { n: 2, action: 'pause', who: person, door: 'cli', reason: 'their database moves' },
    { n: 1, action: 'start', door: 'client', revision: 1 },
  ].map((entry) => ({ at: expect.stringMatching(/^\d{4}-.*Z$/), ...entry }));
  expect(await lab.jobs.history(job)).toEqual(expected);
  const { body } = await askOf(api, `/v1/jobs/${job}/history`, { headers });
  expect(body).toEqual({ entries: expected });
  const { stdout } = await operator.run(['history', job]);
  expect(stdout).toMatch(/ ops +api +edited \(revision 2\) +a better name\n +label +"Before" → "After"\n/);
});

test('a job that was terminated says so in its history, with the reason and who, and goes on after it is recovered', async () => {
  const job = await lab.start();
  await lab.handle(job).terminate('it hung: https://a.example/s3cret');
  const end = {
    n: 0,
    at: expect.any(String),
    action: 'end',
    who: expect.stringContaining('@'),
    door: 'temporal',
    reason: 'terminated: it hung: https://a.example/…',
  };
  const start = expect.objectContaining({ n: 1, action: 'start' });
  await until(async () => (await lab.jobs.history(job)).length === 2);
  expect(await lab.jobs.history(job)).toEqual([end, start]);
  await lab.jobs.recover(job);
  expect(await lab.jobs.history(job)).toEqual([expect.objectContaining({ n: 2, action: 'recover' }), end, start]);
  expect((await lab.jobs.endings({ onlyJobs: [job] })).map(({ jobId }) => jobId)).toEqual([job]);
  expect(await lab.jobs.endings({ jobId: job, until: new Date(0).toISOString() })).toEqual([]);
});

test('[S22] a URL in a reason is masked before Temporal gets it', async () => {
  const job = await lab.start();
  await lab.jobs.pause(job, { reason: 'see https://a.example/s3cret?token=s3cret' });
  expect((await lab.jobs.history(job))[0]).toMatchObject({ reason: 'see https://a.example/…?token=…' });
  const history = await lab.handle(job).fetchHistory();
  const sent = Buffer.from(proto.temporal.api.history.v1.History.encode(history).finish()).toString();
  expect(sent).toContain('see https://a.example/…');
  expect(sent).not.toContain('s3cret');
});

test('an edit is taken back to a revision, with the whole URL, and a revision that is not known is refused', async () => {
  const job = await lab.start({ webhookUrl: new URL('/s3cret', lab.receiver.url).href });
  await lab.jobs.edit(job, { webhookUrl: 'https://nobody.example/0ther', parallelRequestCount: 2 });
  const { code, stdout } = await operator.run(['edit', job, '--to-revision', '1']);
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/parallelRequestCount +2 → 5/) });
  await lab.jobs.enter(job, { audience: 'vip', user: 'taken-back', profile: {} });
  await lab.arrives('taken-back');
  const [latest] = await lab.jobs.history(job);
  expect(latest).toMatchObject({ action: 'edit', revision: 3, door: 'cli', reason: 'Back to revision 1.' });
  expect(JSON.stringify(await lab.jobs.history(job))).not.toMatch(/s3cret|0ther/);

  await expect(lab.jobs.edit(job, {}, { toRevision: 9 })).rejects.toMatchObject({
    name: 'RevisionUnknown',
    revision: 9,
    oldest: 1,
    current: 3,
  });
  await expect(lab.jobs.edit(job, { label: 'x' }, { toRevision: 2 })).rejects.toMatchObject({ name: 'InvalidRequest' });
  const { status } = await post(job, { toRevision: 9 }, { method: 'PATCH' });
  expect(status).toBe(409);
  expect(await operator.json<JobStatus>(['status', job])).toMatchObject({ revision: 3 });
});

test('a repeated request that starts nothing is not told, and a cancelled backfill is, with its reason', async () => {
  const job = await lab.start();
  await lab.jobs.backfill(job, { requestId: 'r', sample: 1 });
  await lab.jobs.backfill(job, { requestId: 'r', sample: 1 });
  await lab
    .handle(job)
    .executeUpdate('edit', { args: [{ label: 'x' }, { who: 'cron', door: 'client', reason: 'why' }] });
  const told = async () => (await lab.jobs.history(job)).map(({ action, who }: AuditEntry) => [action, who]);
  expect(await told()).toEqual([
    ['edit', 'cron'],
    ['backfill', undefined],
    ['start', undefined],
  ]);
});
