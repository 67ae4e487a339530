import { setImmediate, setTimeout } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { InvalidTrigger, JobNotRunning, PublishInterrupted } from '../../../src/client/calls/errors.ts';
import { JobDirectory, type ListedJob } from '../../../src/client/push/job-directory.ts';
import { JobPusher } from '../../../src/client/push/job-pusher.ts';
import { type OpenPusher, type PublishProgress, publishTo } from '../../../src/client/push/publish.ts';
import { GRPC } from '../../../src/client/calls/server-errors.ts';
import type { EventTrigger } from '../../../src/contract/trigger.ts';
import { RecordedJob, serverError, trigger, triggers } from '../recorded-job.ts';

const VIP_ID = '42976a269a5e6b9d06c681b1c27292df';

const directoryOf = (all: () => Promise<readonly ListedJob[]>) =>
  new JobDirectory({ all, one: () => Promise.reject(new Error('No job is asked for by itself.')) });

function world(jobs: Record<string, RecordedJob>, listening: Record<string, string[]>) {
  const running = async () =>
    await Promise.resolve(
      Object.entries(listening).map(([jobId, audiences]) => ({ jobId, audiences: new Set(audiences) })),
    );
  const open: OpenPusher = (jobId, onProgress, room) =>
    new JobPusher(jobId, jobs[jobId] ?? new RecordedJob(), { onProgress, patienceMs: 150 }, { room });
  return { running, open };
}

test('every running job that subscribes to the audience gets the trigger, by slug or by id', async () => {
  const jobs = { crm: new RecordedJob(), mail: new RecordedJob(), other: new RecordedJob() };
  const { running, open } = world(jobs, { crm: [VIP_ID, 'vip'], mail: [VIP_ID, 'vip', 'news'], other: ['else'] });
  const result = await publishTo(directoryOf(running), open, [
    trigger('1'),
    trigger('2', VIP_ID),
    trigger('3', 'news'),
  ]);
  expect(jobs.crm.users()).toEqual(['1', '2']);
  expect(jobs.mail.users()).toEqual(['1', '2', '3']);
  expect(jobs.other.users()).toEqual([]);
  expect(result).toMatchObject({ read: 3, unmatched: 0 });
  expect(result.jobs.map(({ jobId, accepted }) => [jobId, accepted])).toEqual([
    ['crm', 2],
    ['mail', 3],
  ]);
});

test('triggers that nobody subscribes to are counted', async () => {
  const { running, open } = world({}, { crm: ['vip'] });
  await expect(publishTo(directoryOf(running), open, [trigger('1', 'unknown')])).resolves.toEqual({
    read: 1,
    unmatched: 1,
    jobs: [],
    unreadable: [],
  });
});

test('a job that ends meanwhile is left out, and the others get theirs', async () => {
  const jobs = { crm: new RecordedJob({ fail: () => new JobNotRunning('crm', 'stopped') }), mail: new RecordedJob() };
  const { running, open } = world(jobs, { crm: ['vip'], mail: ['vip'] });
  const result = await publishTo(directoryOf(running), open, [trigger('1'), trigger('2')]);
  expect(result.jobs).toMatchObject([{ jobId: 'mail', accepted: 2 }]);
});

test('a job that accepts no more is left out and named, and the others get everything', async () => {
  const jobs = {
    crm: new RecordedJob({ fail: (call) => (call > 1 ? serverError(GRPC.INVALID_ARGUMENT) : undefined) }),
    mail: new RecordedJob(),
  };
  const { running, open } = world(jobs, { crm: ['vip'], mail: ['vip'] });
  const leftOut: string[] = [];
  const sent: EventTrigger[] = [];
  async function* untilLeftOut(): AsyncGenerator<EventTrigger> {
    for (let n = 0; leftOut.length === 0 || n < 5_000; n++) {
      if (n % 1_000 === 0) await setTimeout(5);
      const next = trigger(String(n));
      sent.push(next);
      yield next;
    }
  }
  const error = await publishTo(directoryOf(running), open, untilLeftOut(), {
    onLeftOut: ({ jobId }) => leftOut.push(jobId),
  }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(PublishInterrupted);
  expect(error).toMatchObject({
    read: sent.length,
    failures: [{ jobId: 'crm', accepted: jobs.crm.batches[0]?.length, unconfirmed: 0 }],
  });
  expect(jobs.mail.users()).toEqual(sent.map(({ user }) => user));
  expect(leftOut).toEqual(['crm']);
});

test('one full job delays no other, and gets its own triggers in order when it takes some again', async () => {
  let isFull = true;
  const crm = new RecordedJob({ history: () => ({ bytes: 0, events: isFull ? 20_000 : 0 }) });
  const jobs = { crm, mail: new RecordedJob() };
  const { running } = world(jobs, { crm: ['vip'], mail: ['vip'] });
  const open: OpenPusher = (jobId, onProgress, room) =>
    new JobPusher(jobId, jobs[jobId as 'crm' | 'mail'], { onProgress }, { room });
  const publishing = publishTo(directoryOf(running), open, triggers(5_000));
  await jobs.mail.hasAccepted(5_000);
  expect(crm.accepted).toBe(0);
  isFull = false;
  await expect(publishing).resolves.toMatchObject({ read: 5_000 });
  expect(crm.users()).toEqual(triggers(5_000).map(({ user }) => user));
});

test('publish bounds what waits for jobs that take nothing: the input waits, too, and nothing is lost', async () => {
  let isFull = true;
  const jobs = {
    crm: new RecordedJob({ history: () => ({ bytes: 0, events: isFull ? 20_000 : 0 }) }),
    mail: new RecordedJob(),
  };
  const { running } = world(jobs, { crm: ['vip'], mail: ['vip'] });
  const open: OpenPusher = (jobId, onProgress, room) =>
    new JobPusher(jobId, jobs[jobId as 'crm' | 'mail'], { onProgress }, { room });
  let read = 0;
  function* counted(): Generator<EventTrigger> {
    for (const next of triggers(7_000)) {
      read += 1;
      yield next;
    }
  }
  const room = { leftBytes: 256 * 1024 };
  const publishing = publishTo(directoryOf(running), open, counted(), {}, undefined, room);
  // It stands still once the other job has all that was read but the one that must wait.
  const standsStill = () => read >= 2_000 && jobs.mail.accepted >= read - 1;
  while (!standsStill()) await setTimeout(5);
  const readMeanwhile = read;
  isFull = false;
  await expect(publishing).resolves.toMatchObject({ read: 7_000 });
  expect(jobs.crm.users()).toEqual(triggers(7_000).map(({ user }) => user));
  expect(jobs.mail.users()).toEqual(triggers(7_000).map(({ user }) => user));
  expect(room.leftBytes).toBe(256 * 1024);
  // 256 KiB are some 2,400 of these triggers; what is on its way comes to that.
  expect(readMeanwhile).toBeLessThan(5_000);
});

test('a job that ended is asked again when it runs again, and its accepted triggers are counted together', async () => {
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
  const result = await publishTo(directoryOf(running), open, stream(), { listAgeMs: 0 });
  expect(result.jobs).toMatchObject([{ jobId: 'crm' }]);
  expect(result.jobs[0]?.accepted).toBe(jobs.crm.accepted);
  expect(jobs.crm.accepted).toBeGreaterThan(1);
});

test('publish gives triggers that an ended job did not take to its successor, once and in order', async () => {
  let isOver = false;
  const old = new RecordedJob({ fail: () => (isOver ? new JobNotRunning('old', 'stopped') : undefined) });
  const jobs = { old, other: new RecordedJob(), new: new RecordedJob() };
  const listening: Record<string, string[]> = { old: ['vip'], other: ['vip'] };
  const { running, open } = world(jobs, listening);
  async function* stream(): AsyncGenerator<EventTrigger> {
    yield trigger('1');
    await old.hasAccepted(1);
    isOver = true;
    yield trigger('2');
    yield trigger('3');
    listening['new'] = ['vip'];
    while (old.batches.length < 2) await setTimeout(1);
    yield trigger('4');
    yield trigger('5');
  }
  const result = await publishTo(directoryOf(running), open, stream());
  expect(old.accepted).toBe(1);
  expect(jobs.new.users()).toEqual(['2', '3', '4', '5']);
  expect(jobs.other.users()).toEqual(['1', '2', '3', '4', '5']);
  expect(result).toMatchObject({ read: 5, unmatched: 0 });
});

test('triggers on their way when the input ends reach the successor of an ended job, too', async () => {
  const old = new RecordedJob({ fail: () => new JobNotRunning('old', 'stopped') });
  const jobs = { old, new: new RecordedJob() };
  let lists = 0;
  const { open } = world(jobs, {});
  const running = async () =>
    await Promise.resolve(
      (lists++ === 0 ? ['old'] : ['old', 'new']).map((jobId) => ({ jobId, audiences: new Set(['vip']) })),
    );
  await publishTo(directoryOf(running), open, [trigger('1'), trigger('2')]);
  expect(jobs.new.users()).toEqual(['1', '2']);
});

test('a list that cannot be had for a while is waited for, not done without', async () => {
  const jobs = { crm: new RecordedJob() };
  const { running, open } = world(jobs, { crm: ['vip'] });
  let asked = 0;
  const waits: unknown[] = [];
  const troubled = () => (++asked < 3 ? Promise.reject(serverError(GRPC.UNAVAILABLE)) : running());
  const onProgress = ({ waitingFor }: { waitingFor?: string }) => void waits.push(waitingFor);
  const result = await publishTo(directoryOf(troubled), open, [trigger('1')], { onProgress });
  expect(result.jobs).toMatchObject([{ jobId: 'crm', accepted: 1 }]);
  expect(waits).toEqual(['server', 'server', undefined]);
});

test('a list that cannot be had at all ends it, and says what was sent', async () => {
  const { open } = world({}, {});
  const troubled = () => Promise.reject(serverError(GRPC.UNAVAILABLE));
  const error = await publishTo(directoryOf(troubled), open, [trigger('1')], { patienceMs: 50 }).catch(
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(PublishInterrupted);
  expect(error).toMatchObject({ read: 0 });
});

test.each([
  ['where only a line is wrong, from that line on', 7, /Fix the line, and push again from line 7 on\.$/],
  [
    'otherwise, the whole input, which repeats what has no "at"',
    undefined,
    /Push the whole input again.*sent twice\.$/,
  ],
])('it says how to go on: %s', async (_, line, how) => {
  const { running, open } = world({ crm: new RecordedJob() }, { crm: ['vip'] });
  function* input() {
    yield trigger('1');
    throw line === undefined ? new Error('The disk is gone.') : new InvalidTrigger('it is not JSON', { line });
  }
  const error = await publishTo(directoryOf(running), open, input()).catch((e: unknown) => e);
  expect((error as PublishInterrupted).message).toMatch(how);
});

test('progress is that of all jobs together', async () => {
  const jobs = { crm: new RecordedJob(), mail: new RecordedJob(), other: new RecordedJob() };
  const { running, open } = world(jobs, { crm: ['vip'], mail: ['vip'], other: ['else'] });
  let last: PublishProgress | undefined;
  await publishTo(directoryOf(running), open, triggers(3_000), { onProgress: (progress) => (last = progress) });
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
  const error = await publishTo(directoryOf(running), open, triggers(50_000), { signal, onLeftOut }).catch(
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(PublishInterrupted);
  expect(String(error)).toContain('It was interrupted.');
  expect(leftOut).toEqual([]);
});

test('publish sends nothing to a job whose audiences it cannot read, and names the job', async () => {
  const { running, open } = world({ crm: new RecordedJob() }, { crm: ['vip'] });
  const unreadable = async () => [...(await running()), { jobId: 'secret', audiences: null }];
  const result = await publishTo(directoryOf(unreadable), open, [trigger('1', 'vip')]);
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
        await setImmediate();
      }
    } finally {
      isOpen = false;
    }
  }
  await expect(
    publishTo(directoryOf(running), open, input(), { signal: new AbortController().signal }),
  ).rejects.toThrow(PublishInterrupted);
  expect(isOpen).toBe(false);
});

test('a job that is stopping gets nothing more where another subscribes, and gets it again when that one ends', async () => {
  let isOver = false;
  const [old, next] = [
    new RecordedJob(),
    new RecordedJob({ fail: () => (isOver ? new JobNotRunning('new', 'stopped') : undefined) }),
  ];
  const { open } = world({ old, new: next }, {});
  const audiences = new Set(['vip']);
  const listed: ListedJob[] = [{ jobId: 'old', audiences }];
  async function* stream(): AsyncGenerator<EventTrigger> {
    yield trigger('1');
    await old.hasAccepted(1);
    listed.splice(0, 1, { jobId: 'old', audiences, isStopping: true });
    yield trigger('2');
    await old.hasAccepted(2);
    listed.push({ jobId: 'new', audiences });
    yield trigger('3');
    await next.hasAccepted(1);
    isOver = true;
    yield trigger('4');
  }
  const result = await publishTo(
    directoryOf(async () => await Promise.resolve([...listed])),
    open,
    stream(),
    {
      listAgeMs: 0,
    },
  );
  expect(old.users()).toEqual(['1', '2', '4']);
  expect(next.users()).toEqual(['3', '4']);
  expect(result).toMatchObject({ read: 4, unmatched: 0, jobs: [{ jobId: 'old', accepted: 3 }, { accepted: 1 }] });
});
