import { setTimeout } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { JobNotRunning, PublishInterrupted } from '../../src/client/errors.ts';
import { JobPusher } from '../../src/client/job-pusher.ts';
import { type OpenPusher, type PublishProgress, publishTo } from '../../src/client/publish.ts';
import { GRPC } from '../../src/client/server-errors.ts';
import type { EventTrigger } from '../../src/contract/trigger.ts';
import { RecordedJob, serverError, trigger, triggers } from './recorded-job.ts';

const VIP_ID = '42976a269a5e6b9d06c681b1c27292df';

function world(jobs: Record<string, RecordedJob>, listening: Record<string, string[]>) {
  const running = () => Promise.resolve(Object.entries(listening).map(([jobId, audiences]) => ({ jobId, audiences })));
  const open: OpenPusher = (jobId, onProgress) =>
    new JobPusher(jobId, jobs[jobId] ?? new RecordedJob(), { onProgress, patienceMs: 150 });
  return { running, open };
}

test('every running job that listens to the audience gets the trigger, by slug or by id', async () => {
  const jobs = { crm: new RecordedJob(), mail: new RecordedJob(), other: new RecordedJob() };
  const { running, open } = world(jobs, { crm: [VIP_ID, 'vip'], mail: [VIP_ID, 'vip', 'news'], other: ['else'] });
  const result = await publishTo(running, open, [trigger('1'), trigger('2', VIP_ID), trigger('3', 'news')]);
  expect(jobs.crm.users()).toEqual(['1', '2']);
  expect(jobs.mail.users()).toEqual(['1', '2', '3']);
  expect(jobs.other.users()).toEqual([]);
  expect(result).toMatchObject({ read: 3, unheard: 0 });
  expect(result.jobs.map(({ jobId, accepted }) => [jobId, accepted])).toEqual([
    ['crm', 2],
    ['mail', 3],
  ]);
});

test('triggers that nobody listens to are counted', async () => {
  const { running, open } = world({}, { crm: ['vip'] });
  await expect(publishTo(running, open, [trigger('1', 'unknown')])).resolves.toEqual({
    read: 1,
    unheard: 1,
    jobs: [],
    unreadable: [],
  });
});

test('a job that ends meanwhile is left out, and the others get theirs', async () => {
  const jobs = { crm: new RecordedJob({ fail: () => new JobNotRunning('crm', 'stopped') }), mail: new RecordedJob() };
  const { running, open } = world(jobs, { crm: ['vip'], mail: ['vip'] });
  const result = await publishTo(running, open, [trigger('1'), trigger('2')]);
  expect(result.jobs).toMatchObject([{ jobId: 'mail', accepted: 2 }]);
});

test('a job that accepts no more is left out and named, and the others get everything', async () => {
  const jobs = {
    crm: new RecordedJob({ fail: (call) => (call > 1 ? serverError(GRPC.INVALID_ARGUMENT) : undefined) }),
    mail: new RecordedJob(),
  };
  const { running, open } = world(jobs, { crm: ['vip'], mail: ['vip'] });
  const leftOut: string[] = [];
  const error = await publishTo(running, open, triggers(5_000), {
    onLeftOut: ({ jobId }) => leftOut.push(`${jobId} at ${jobs.mail.accepted < 5_000 ? 'once' : 'the end'}`),
  }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(PublishInterrupted);
  expect(error).toMatchObject({
    read: 5_000,
    failures: [{ jobId: 'crm', accepted: jobs.crm.batches[0]?.length, unconfirmed: 0 }],
  });
  expect(jobs.mail.users()).toEqual(triggers(5_000).map(({ user }) => user));
  expect(leftOut).toEqual(['crm at once']);
});

test('the input is read no further when no job is left that takes anything', async () => {
  const jobs = { crm: new RecordedJob({ fail: () => new Error('denied') }) };
  const { running, open } = world(jobs, { crm: ['vip'] });
  const error = await publishTo(running, open, triggers(50_000)).catch((e: unknown) => e);
  expect((error as PublishInterrupted).read).toBeLessThan(2_000);
  expect(String(error)).toContain('"crm"');
});

test('a job that ended is told again when it runs again, and what it accepted is counted together', async () => {
  const jobs = {
    crm: new RecordedJob({
      fail: (call) => (call === 2 ? new JobNotRunning('crm', 'stopped') : undefined),
    }),
  };
  const { running, open } = world(jobs, { crm: ['vip'] });
  async function* stream(): AsyncGenerator<EventTrigger> {
    yield trigger('before');
    await jobs.crm.hasAccepted(1);
    yield trigger('meanwhile');
    for (let i = 0; i < 1_000 && jobs.crm.accepted < 2; i++) {
      yield trigger('after');
      await setTimeout(1);
    }
  }
  const result = await publishTo(running, open, stream(), { listAgeMs: 0 });
  expect(result.jobs).toMatchObject([{ jobId: 'crm' }]);
  expect(result.jobs[0]?.accepted).toBe(jobs.crm.accepted);
  expect(jobs.crm.accepted).toBeGreaterThan(1);
});

test('a list that cannot be had for a while is waited for, not done without', async () => {
  const jobs = { crm: new RecordedJob() };
  const { running, open } = world(jobs, { crm: ['vip'] });
  let asked = 0;
  const waits: unknown[] = [];
  const troubled = () => (++asked < 3 ? Promise.reject(serverError(GRPC.UNAVAILABLE)) : running());
  const onProgress = ({ waitingFor }: { waitingFor?: string }) => void waits.push(waitingFor);
  const result = await publishTo(troubled, open, [trigger('1')], { onProgress });
  expect(result.jobs).toMatchObject([{ jobId: 'crm', accepted: 1 }]);
  expect(waits).toEqual(['server', 'server', undefined]);
});

test('a list that cannot be had at all ends it, and says what was sent', async () => {
  const { open } = world({}, {});
  const troubled = () => Promise.reject(serverError(GRPC.UNAVAILABLE));
  const error = await publishTo(troubled, open, [trigger('1')], { patienceMs: 50 }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(PublishInterrupted);
  expect(error).toMatchObject({ read: 0 });
});

test('progress is that of all jobs together', async () => {
  const jobs = { crm: new RecordedJob(), mail: new RecordedJob(), other: new RecordedJob() };
  const { running, open } = world(jobs, { crm: ['vip'], mail: ['vip'], other: ['else'] });
  let last: PublishProgress | undefined;
  await publishTo(running, open, triggers(3_000), { onProgress: (progress) => (last = progress) });
  const signals = jobs.crm.batches.length + jobs.mail.batches.length;
  expect(last).toEqual({ read: 3_000, jobs: 3, accepted: 6_000, signals });
});

test('an interruption leaves no job out: it ends the input', async () => {
  const jobs = { crm: new RecordedJob({ history: () => ({ bytes: 0, events: 20_000 }) }) };
  const { running } = world(jobs, { crm: ['vip'] });
  const stop = new AbortController();
  const { signal } = stop;
  const leftOut: unknown[] = [];
  void setTimeout(30).then(() => stop.abort(new Error('It was interrupted.')));
  const open: OpenPusher = (jobId) => new JobPusher(jobId, jobs.crm, { signal });
  const onLeftOut = (failure: unknown) => void leftOut.push(failure);
  const error = await publishTo(running, open, triggers(50_000), { signal, onLeftOut }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(PublishInterrupted);
  expect(String(error)).toContain('It was interrupted.');
  expect(leftOut).toEqual([]);
});

test('a job whose audiences cannot be read here is told nothing, and named', async () => {
  const { running, open } = world({ crm: new RecordedJob() }, { crm: ['vip'] });
  const unreadable = async () => [...(await running()), { jobId: 'secret', audiences: null }];
  const result = await publishTo(unreadable, open, [trigger('1', 'vip')]);
  expect(result.unreadable).toEqual(['secret']);
  expect(result.jobs.map(({ jobId }) => jobId)).not.toContain('secret');
});

test('an input that is not read to its end is closed, also where it may be interrupted', async () => {
  const jobs = { crm: new RecordedJob({ fail: () => new Error('denied') }) };
  const { running, open } = world(jobs, { crm: ['vip'] });
  let isOpen = false;
  async function* input() {
    isOpen = true;
    try {
      for (let user = 0; ; user++) {
        yield trigger(String(user));
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      isOpen = false;
    }
  }
  await expect(publishTo(running, open, input(), { signal: new AbortController().signal })).rejects.toThrow(
    PublishInterrupted,
  );
  expect(isOpen).toBe(false);
});
