import { setImmediate } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { JobNotRunning, PushInterrupted } from '../../../src/client/calls/errors.ts';
import { GroupedSignals, type CheckedTrigger } from '../../../src/client/push/job-pusher.ts';
import { SIGNAL_BYTES } from '../../../src/client/push/signal-sender.ts';
import { checkedAll, createPushClock, reasonOf } from '../../../src/client/push/push.ts';
import { GRPC } from '../../../src/client/calls/server-errors.ts';
import { profileHolderName, spilledRun, triggerRun } from '../../../src/client/push/writing-runs.ts';
import { RecordedJob, serverError, trigger } from '../recorded-job.ts';
import { always } from '../../support/properties.ts';

const clock = createPushClock();
/** Payloads of more than 64 KiB are refused. */
const TAKES_NO_MORE = { failHold: () => serverError(GRPC.INVALID_ARGUMENT) };
const checkedUsers = (...users: string[]): CheckedTrigger[] =>
  checkedAll(
    users.map((user) => trigger(user)),
    clock,
  );
const groupedFor = (job: RecordedJob, patienceMs = 1000, gatherMs = 10) =>
  new GroupedSignals(() => job, patienceMs, gatherMs);

/** A job that answers no signal before it is told to. */
function jobThatWaits(): { readonly job: RecordedJob; readonly answer: () => void } {
  let answer = (): void => undefined;
  const until = new Promise<void>((resolve) => (answer = resolve));
  return { job: new RecordedJob({ until }), answer: () => answer() };
}

test('a call that is alone is one signal, sent at once', async () => {
  const job = new RecordedJob();
  const grouped = groupedFor(job);
  for (const user of ['ada', 'bob']) await grouped.signal('vip', checkedUsers(user));
  expect(job.batches.map((batch) => batch.length)).toEqual([1, 1]);
});

test('the next signal carries everything that fifty calls bring while one is under way', async () => {
  const { job, answer } = jobThatWaits();
  const grouped = groupedFor(job);
  const first = grouped.signal('vip', checkedUsers('first'));
  await job.hasSignals(1);
  const users = Array.from({ length: 50 }, (_, i) => `p${i}`);
  const others = users.map((user) => grouped.signal('vip', checkedUsers(user)));
  answer();
  await Promise.all([first, ...others]);
  expect(job.batches.map((batch) => batch.length)).toEqual([1, 50]);
  expect(job.mostInFlight).toBe(1);
  expect(job.users()).toEqual(['first', ...users]);
});

test('callers that were answered together share the next signal, even if they call one after the other', async () => {
  const job = new RecordedJob({ delayMs: 1 });
  const grouped = groupedFor(job, 1000, 60_000);
  const caller = async (n: number): Promise<void> => {
    for (let round = 0; round < 10; round++) {
      await grouped.signal('vip', checkedUsers(`p${n}`));
      for (let turn = 0; turn < n; turn++) await setImmediate();
    }
  };
  await Promise.all(Array.from({ length: 20 }, async (_, n) => await caller(n)));
  expect(job.batches.map((batch) => batch.length)).toEqual(Array.from({ length: 10 }, () => 20));
});

test('a caller that came while others were answered shares the next signal with them', async () => {
  const { job, answer } = jobThatWaits();
  const grouped = groupedFor(job, 1000, 60_000);
  const call = async (user: string): Promise<void> => await grouped.signal('vip', checkedUsers(user));
  const first = call('ada');
  await job.hasSignals(1);
  const second = call('bob');
  answer();
  await first;
  for (let turn = 0; turn < 5; turn++) await setImmediate();
  const third = call('ada');
  await Promise.all([second, third]);
  expect(job.batches.map((batch) => batch.length)).toEqual([1, 2]);
});

test('a lone caller waits once for earlier callers, and then for nobody', async () => {
  const job = new RecordedJob();
  const grouped = groupedFor(job, 1000, 300);
  await Promise.all(['ada', 'bob', 'eve'].map((user) => grouped.signal('vip', checkedUsers(user))));
  const startedAt = performance.now();
  for (let i = 0; i < 100; i++) await grouped.signal('vip', checkedUsers('ada'));
  // Half of what it would take if each waited.
  expect(performance.now() - startedAt).toBeLessThan(15_000);
  expect(job.batches.map((batch) => batch.length)).toEqual([3, ...Array.from({ length: 100 }, () => 1)]);
});

test('a full signal waits for nobody', async () => {
  const job = new RecordedJob(TAKES_NO_MORE);
  const grouped = groupedFor(job, 1000, 120_000);
  const half = { ...trigger('ada'), profile: { text: 'x'.repeat(40_000) } };
  const call = async (...halves: object[]): Promise<void> => await grouped.signal('vip', checkedAll(halves, clock));
  await Promise.all([call(trigger('ada')), call(trigger('bob'))]);
  const startedAt = performance.now();
  await call(half, half);
  expect(performance.now() - startedAt).toBeLessThan(60_000);
  expect(job.batches.map((batch) => batch.length)).toEqual([2, 1, 1]);
});

test('the client checks the history of a job only as often as signalled bytes fill it, without omitted times', async () => {
  let looks = 0;
  const job = new RecordedJob({
    history: () => {
      looks += 1;
      return { bytes: 0, events: 0 };
    },
  });
  const grouped = groupedFor(job);
  const users = Array.from({ length: 500 }, (_, i) => `p${i}`);
  const call = () =>
    checkedAll(
      users.map((user) => ({ event: 'enter', audience: 'vip', user })),
      clock,
    );
  const runBytes = JSON.stringify(triggerRun(call().map(({ trigger }) => trigger))).length;
  const calls = Math.floor((4 * 1024 * 1024) / runBytes) - 2;
  for (let i = 0; i < calls; i++) await grouped.signal('vip', call());
  expect(looks).toBe(1);
});

test('jobs do not wait for each other', async () => {
  const { job: slow, answer } = jobThatWaits();
  const fast = new RecordedJob();
  const grouped = new GroupedSignals((jobId) => (jobId === 'slow' ? slow : fast), 1000);
  const waiting = grouped.signal('slow', checkedUsers('ada'));
  await grouped.signal('fast', checkedUsers('ada'));
  answer();
  await waiting;
});

test('each of many calls at once resolves when the job has its triggers, in order, in signals of 64 KiB', async () => {
  const calls = fc.array(fc.array(fc.nat(9000), { minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: 12 });
  await always(
    fc.asyncProperty(calls, async (sizes) => {
      const job = new RecordedJob();
      const grouped = groupedFor(job);
      await Promise.all(
        sizes.map(async (call, n) => {
          const triggers = call.map((bytes, i) => ({ ...trigger(`${n}.${i}`), profile: { text: 'x'.repeat(bytes) } }));
          await grouped.signal('vip', checkedAll(triggers, clock));
          const own = job.users().filter((user) => user.startsWith(`${n}.`));
          expect(own).toEqual(triggers.map(({ user }) => user));
        }),
      );
      expect(job.accepted).toBe(sizes.flat().length);
      for (const [i, batch] of job.batches.entries()) {
        const requestId = job.requestIds[i] ?? '';
        const run = job.spilled.has(requestId) ? spilledRun(batch, profileHolderName(requestId)).run : batch;
        expect(JSON.stringify(run).length).toBeLessThanOrEqual(SIGNAL_BYTES);
      }
    }),
    4,
  );
});

test('when a job has ended, each call learns how many triggers it took, and waiting calls fail at once', async () => {
  const job = new RecordedJob({
    ...TAKES_NO_MORE,
    delayMs: 5,
    fail: (call) => (call > 1 ? new JobNotRunning('vip', 'stopped') : undefined),
  });
  const grouped = groupedFor(job);
  const large = { profile: { text: 'x'.repeat(40_000) } };
  const one = grouped.signal(
    'vip',
    checkedAll(
      [
        { ...trigger('a'), ...large },
        { ...trigger('b'), ...large },
      ],
      clock,
    ),
  );
  const other = grouped.signal('vip', checkedUsers('c'));
  await expect(one).rejects.toMatchObject({ accepted: 1, unconfirmed: 0, cause: { name: 'JobNotRunning' } });
  await expect(other).rejects.toMatchObject({ accepted: 0, unconfirmed: 0 });
  expect(job.batches).toHaveLength(2);
  // The next call asks anew.
  await expect(grouped.signal('vip', checkedUsers('d'))).rejects.toThrow(PushInterrupted);
  expect(job.batches).toHaveLength(3);
});

test('a lone trigger fails with its plain cause, unless it may have been accepted', async () => {
  const ended = new RecordedJob({ fail: () => new JobNotRunning('vip', 'stopped') });
  const refused = await groupedFor(ended).signal('vip', checkedUsers('1')).catch(reasonOf);
  expect(refused).toBeInstanceOf(JobNotRunning);
  const silent = new RecordedJob({ fail: () => serverError(GRPC.UNAVAILABLE) });
  const unknown = await groupedFor(silent, 50).signal('vip', checkedUsers('1')).catch(reasonOf);
  expect(unknown).toMatchObject({ name: 'PushInterrupted', unconfirmed: 1 });
});

test('a call with a wrong trigger names its place, and sends none', () => {
  const mixed = [trigger('1'), { ...trigger('2'), event: 'gone' }];
  expect(() => checkedAll(mixed, clock)).toThrow(/Line 2 is not a trigger/);
});
