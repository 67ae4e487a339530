import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import { InvalidTrigger, JobNotRunning, PushInterrupted } from '../../../src/client/calls/errors.ts';
import { JobPusher, type PushProgress } from '../../../src/client/push/job-pusher.ts';
import { type JobSignals, SIGNAL_BYTES } from '../../../src/client/push/signal-sender.ts';
import { checked, createPushClock, pushTo, withEvent } from '../../../src/client/push/push.ts';
import { GRPC } from '../../../src/client/calls/server-errors.ts';
import type { EventTrigger } from '../../../src/contract/trigger.ts';
import { parseJson, stringifyJson } from '../../../src/domain/json.ts';
import { type RunTrigger } from '../../../src/domain/trigger-run.ts';
import { profileHolderName, spilledRun, triggerRun } from '../../../src/client/push/writing-runs.ts';
import { RecordedJob, serverError, trigger, triggers } from '../recorded-job.ts';

describe('pushing to one job', () => {
  test('sends everything in the order in which it came, one signal at a time', async () => {
    const job = new RecordedJob({ delayMs: 2 });
    const result = await pushTo(new JobPusher('vip', job), triggers(5_000));
    expect(result.accepted).toBe(5_000);
    expect(job.users()).toEqual(triggers(5_000).map(({ user }) => user));
    expect(job.mostInFlight).toBe(1);
  });

  test('fills signals, but never beyond 64 KiB of JSON', async () => {
    const job = new RecordedJob();
    const result = await pushTo(new JobPusher('vip', job), triggers(5_000));
    const sizes = job.batches.map((batch) => Buffer.byteLength(JSON.stringify(batch)));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(SIGNAL_BYTES);
    // Full they are, too.
    expect(result.signals).toBe(Math.ceil(sizes.reduce((sum, size) => sum + size, 0) / (SIGNAL_BYTES - 200)));
  });

  test.each([
    [{}],
    [{ event: 'exit' }],
    [{ at: '2026-11-25T08:30:00.123456789Z' }],
    [{ profile: { name: 'ü', n: 12345678901234567890n } }],
    [{ user: '"\\\n\u0001ü', audience: '"' }],
  ])('knows how many bytes a trigger with %p takes', (more) => {
    const { trigger: taken, bytes } = checked({ ...trigger('1'), event: 'enter', ...more }, createPushClock());
    const exact = Buffer.byteLength(stringifyJson(taken));
    expect(bytes).toBeGreaterThanOrEqual(exact);
    expect(bytes).toBeLessThanOrEqual(exact + 1);
  });

  const withProfiles = (count: number) =>
    triggers(count).map((each) => ({ ...each, profile: { name: 'ü'.repeat(700), note: '"\n' } }));
  const bytesOf = (run: unknown) => Buffer.byteLength(JSON.stringify(run));

  test('a signal over 64 KiB has its profiles held, and stays within 64 KiB without them', async () => {
    const job = new RecordedJob({ delayMs: 2 });
    await pushTo(new JobPusher('vip', job), withProfiles(3_000));
    expect(job.users()).toEqual(triggers(3_000).map(({ user }) => user));
    let held = 0;
    for (const [i, batch] of job.batches.entries()) {
      const requestId = job.requestIds[i] ?? '';
      const { run, content } = spilledRun(batch, profileHolderName(requestId));
      expect(job.spilled.has(requestId)).toBe(bytesOf(triggerRun(batch)) > SIGNAL_BYTES);
      if (!job.spilled.has(requestId)) continue;
      held++;
      expect(bytesOf(run)).toBeLessThanOrEqual(SIGNAL_BYTES);
      expect(bytesOf(content)).toBeLessThanOrEqual(1024 * 1024 + 100);
    }
    // A MiB of profiles each, but for the first and the last.
    expect(held).toBeLessThanOrEqual(Math.ceil((3_000 * 1_450) / 1024 ** 2) + 1);
    expect(job.dropped).toEqual([]);
  });

  test('a few profiles go with their triggers', async () => {
    const job = new RecordedJob();
    await pushTo(new JobPusher('vip', job), withProfiles(40));
    expect(job.spilled.size).toBe(0);
  });

  test('a server that takes no payload so large gets signals of 64 KiB, in order', async () => {
    const job = new RecordedJob({ failHold: () => serverError(GRPC.INVALID_ARGUMENT), delayMs: 1 });
    const { accepted } = await pushTo(new JobPusher('vip', job), withProfiles(500));
    expect([accepted, job.accepted, job.spilled.size]).toEqual([500, 500, 0]);
    expect(job.users()).toEqual(triggers(500).map(({ user }) => user));
    expect(Math.max(...job.batches.map((batch) => bytesOf(triggerRun(batch))))).toBeLessThanOrEqual(SIGNAL_BYTES);
  });

  test('profiles are held again after a lost answer, before they are signalled, and released when the signal is refused', async () => {
    let holds = 0;
    const job = new RecordedJob({
      failHold: () => (++holds === 1 ? serverError(GRPC.UNAVAILABLE) : undefined),
      fail: () => new JobNotRunning('vip', 'completed'),
    });
    const pusher = new JobPusher('vip', job);
    const pushed = pushTo(pusher, withProfiles(500));
    await expect(pushed).rejects.toMatchObject({ accepted: 0, unconfirmed: 0 });
    expect(holds).toBe(2);
    expect(job.dropped).toEqual([...job.spilled]);
  });

  test('fills a signal with half as many again when it dates them itself', async () => {
    const [dating, dated] = [new RecordedJob(), new RecordedJob()];
    // All within a millisecond of its clock, however slow the machine is.
    const clock = createPushClock(() => Date.parse('2026-11-25T08:30:00Z'));
    const undated = triggers(3_000).map(({ audience, event, user }) => ({ audience, event, user }));
    await pushTo(new JobPusher('vip', dating), undated, undefined, clock);
    await pushTo(new JobPusher('vip', dated), triggers(3_000));
    expect(dating.batches.length).toBeLessThan(dated.batches.length / 1.4);
    const sizes = dating.batches.map((batch) => Buffer.byteLength(JSON.stringify(triggerRun(batch))));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(SIGNAL_BYTES);
  });

  test.each([0, 1])('a signal has 64 KiB to the byte if they are there, and no more: %i too many', async (more) => {
    const job = new RecordedJob({ delayMs: 20, failHold: () => serverError(GRPC.INVALID_ARGUMENT) });
    const withText = (user: string, length: number) => ({ ...trigger(user), profile: { text: 'x'.repeat(length) } });
    const runBytes = (triggers: readonly RunTrigger[]) => Buffer.byteLength(JSON.stringify(triggerRun(triggers)));
    const empty = ['1', '2'].map((user) => checked(withText(user, 0), createPushClock()).trigger);
    const left = SIGNAL_BYTES - runBytes(empty);
    async function* flood(): AsyncGenerator<EventTrigger> {
      yield trigger('0');
      // It is on its way, so what comes now fills the signal after it.
      await setImmediate();
      yield withText('1', Math.floor(left / 2));
      yield withText('2', Math.ceil(left / 2) + more);
    }
    await pushTo(new JobPusher('vip', job), flood());
    expect(job.batches.map((batch) => batch.length)).toEqual(more === 0 ? [1, 2] : [1, 1, 1]);
    expect(Math.max(...job.batches.map(runBytes)) === SIGNAL_BYTES).toBe(more === 0);
  });

  test('does not keep a lone trigger of a slow stream waiting for more', async () => {
    const job = new RecordedJob();
    let sentBeforeEnd = 0;
    async function* slow(): AsyncGenerator<EventTrigger> {
      yield trigger('1');
      await new Promise((resolve) => setTimeout(resolve, 20));
      sentBeforeEnd = job.batches.length;
    }
    await pushTo(new JobPusher('vip', job), slow());
    expect(sentBeforeEnd).toBe(1);
  });

  test('triggers that come soon after a signal go together in the next one', async () => {
    const job = new RecordedJob();
    async function* stream(): AsyncGenerator<EventTrigger> {
      yield trigger('1');
      await job.hasAccepted(1);
      for (const user of ['2', '3', '4']) {
        yield trigger(user);
        await setImmediate();
      }
    }
    // Nothing would go before an hour is over, but for the end of the input.
    await pushTo(new JobPusher('vip', job, { gatherMs: 3_600_000 }), stream());
    expect(job.batches.map((batch) => batch.length)).toEqual([1, 3]);
  });

  test('the pusher sends gathered triggers when their time is over, though the stream is still open', async () => {
    const job = new RecordedJob();
    async function* open(): AsyncGenerator<EventTrigger> {
      yield trigger('1');
      await job.hasAccepted(1);
      yield trigger('2');
      yield trigger('3');
      await job.hasAccepted(3);
    }
    await pushTo(new JobPusher('vip', job, { gatherMs: 50 }), open());
    expect(job.batches.map((batch) => batch.length)).toEqual([1, 2]);
  });

  test('a full signal gathers no longer', async () => {
    const job = new RecordedJob();
    const result = await pushTo(new JobPusher('vip', job, { gatherMs: 3_600_000 }), triggers(5_000));
    expect(result).toMatchObject({ accepted: 5_000, signals: job.batches.length });
  });

  test('keeps nothing of what it has sent, also when it can be interrupted', async () => {
    const heap: number[] = [];
    async function* stream(): AsyncGenerator<EventTrigger> {
      for (let i = 0; i <= 100_000; i++) {
        if (i % 50_000 === 0) heap.push(await heapBytes());
        yield trigger(String(i));
      }
    }
    const held = { spill: () => setImmediate(), drop: () => setImmediate() };
    const job = {
      ...held,
      signal: () => setImmediate(),
      history: async () => await Promise.resolve({ bytes: 0, events: 0 }),
    };
    const { signal } = new AbortController();
    await pushTo(new JobPusher('vip', job, { signal }), stream(), signal);
    const [, early = 0, late = 0] = heap;
    expect(late - early).toBeLessThan(5 * 1024 ** 2);
  });

  test('reads no further ahead of the server than two signals', async () => {
    let read = 0;
    const job = new RecordedJob({ fail: () => new JobNotRunning('vip', 'stopped') });
    function* counted(): Generator<EventTrigger> {
      for (const each of triggers(50_000)) {
        read += 1;
        yield each;
      }
    }
    await expect(pushTo(new JobPusher('vip', job), counted())).rejects.toThrow(PushInterrupted);
    expect(read).toBeLessThan(2_000);
  });
});

describe('when the server is in trouble', () => {
  test('asks again with the same request id until it is accepted', async () => {
    const job = new RecordedJob({ fail: (call) => (call <= 2 ? serverError(GRPC.UNAVAILABLE) : undefined) });
    const result = await pushTo(new JobPusher('vip', job), triggers(3));
    expect(result.accepted).toBe(3);
    expect(new Set(job.requestIds.slice(0, 3)).size).toBe(1);
  });

  test('waits for the next run when this one has had all the signals it may have', async () => {
    const job = new RecordedJob({ fail: (call) => (call === 1 ? serverError(GRPC.INVALID_ARGUMENT) : undefined) });
    await expect(pushTo(new JobPusher('vip', job), triggers(3))).resolves.toMatchObject({ accepted: 3 });
  });

  test('asks for a worker when no next run begins, and knows that the refused signal was not accepted', async () => {
    const job = new RecordedJob({ fail: (call) => (call > 1 ? serverError(GRPC.INVALID_ARGUMENT) : undefined) });
    const error = await pushTo(new JobPusher('vip', job, { patienceMs: 150 }), triggers(3_000)).catch(
      (e: unknown) => e,
    );
    expect(error).toMatchObject({ accepted: job.batches[0]?.length, unconfirmed: 0, cause: { name: 'JobFull' } });
    expect(String(error)).toMatch(/accepts no more signals until a worker/);
  });

  test('says exactly what was accepted when it gives up, and what may have been', async () => {
    const job = new RecordedJob({ fail: (call) => (call > 2 ? serverError(GRPC.UNAVAILABLE) : undefined) });
    const error = await pushTo(new JobPusher('vip', job, { patienceMs: 150 }), triggers(3_000)).catch(
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(PushInterrupted);
    expect(error).toMatchObject({ accepted: job.accepted, unconfirmed: job.batches[2]?.length });
  });

  test('says that the rest was not accepted when the job has ended', async () => {
    const job = new RecordedJob({ fail: (call) => (call > 1 ? new JobNotRunning('vip', 'stopped') : undefined) });
    const error = await pushTo(new JobPusher('vip', job), triggers(3_000)).catch((e: unknown) => e);
    expect(error).toMatchObject({ accepted: job.batches[0]?.length, unconfirmed: 0, jobId: 'vip' });
  });
});

describe('a job whose history is near its limit', () => {
  test('is waited for until it has caught up', async () => {
    const full = [
      { bytes: 17 * 1024 ** 2, events: 10 },
      { bytes: 100, events: 10 },
    ];
    const waits: PushProgress[] = [];
    const job: JobSignals = new RecordedJob({ history: () => full.shift() ?? { bytes: 0, events: 0 } });
    await pushTo(new JobPusher('vip', job, { onProgress: (progress) => waits.push(progress) }), triggers(2));
    expect(waits.map(({ waitingFor }) => waitingFor)).toEqual(['history', undefined]);
  });

  test('is not waited for forever', async () => {
    const job = new RecordedJob({ history: () => ({ bytes: 0, events: 20_000 }) });
    const error = await pushTo(new JobPusher('vip', job, { patienceMs: 50 }), triggers(2)).catch((e: unknown) => e);
    expect(error).toMatchObject({ accepted: 0, unconfirmed: 0, cause: { name: 'JobFull', jobId: 'vip' } });
  });
});

describe('an interrupted push', () => {
  test('says what was accepted, though the input is still open', async () => {
    const job = new RecordedJob();
    const stop = new AbortController();
    async function* open(): AsyncGenerator<EventTrigger> {
      yield* triggers(3);
      await new Promise(() => undefined);
    }
    setTimeout(() => stop.abort(new Error('it was interrupted.')), 30);
    const error = await pushTo(new JobPusher('vip', job), open(), stop.signal).catch((e: unknown) => e);
    expect(error).toMatchObject({ accepted: 3, unconfirmed: 0, cause: { message: 'it was interrupted.' } });
  });

  test('does not wait on for a job that does not work off its history', async () => {
    const job = new RecordedJob({ history: () => ({ bytes: 0, events: 20_000 }) });
    const stop = new AbortController();
    const { signal } = stop;
    setTimeout(() => stop.abort(new Error('it was interrupted.')), 30);
    const error = await pushTo(new JobPusher('vip', job, { signal }), triggers(3), signal).catch((e: unknown) => e);
    expect(error).toMatchObject({ accepted: 0, unconfirmed: 0, cause: { message: 'it was interrupted.' } });
  });
});

test('something that is not a trigger stops the push after everything before it', async () => {
  const job = new RecordedJob();
  const mixed = [trigger('1'), trigger('2'), { ...trigger('3'), event: 'gone' as never }, trigger('4')];
  const error = await pushTo(new JobPusher('vip', job), mixed).catch((e: unknown) => e);
  expect(error).toMatchObject({ accepted: 2, cause: { name: 'InvalidTrigger' } });
  expect(job.users()).toEqual(['1', '2']);
});

/** What is really in use: after a collection. */
async function heapBytes(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void; // What the flag puts there.
  await setImmediate();
  collect();
  return process.memoryUsage().heapUsed;
}

test.each([
  [{ profil: { email: 'a' } }, 'it has no "profile" but "profil"'],
  [{ At: '2026-11-25T08:30:00Z' }, 'it has no "at" but "At"'],
])(
  'a trigger whose %j most likely is misspelt is not sent: without its profile, the whole one would be',
  (more, why) => {
    expect(() => checked({ ...trigger('1'), at: undefined, ...more }, createPushClock())).toThrow(why);
  },
);

test('other keys of its own are ignored, so that the shape can grow', () => {
  expect(checked({ ...trigger('1'), score: 5 }, createPushClock()).trigger).toEqual(trigger('1'));
});

test('a trigger for enter that says exit is not sent', () => {
  expect(() => withEvent(trigger('1'), trigger('1').event === 'enter' ? 'exit' : 'enter')).toThrow(InvalidTrigger);
  expect(withEvent(trigger('1'), trigger('1').event)).toEqual(trigger('1'));
});

test('a number that no program can hold is refused, rather than sent as null; a long integer is not', () => {
  const withProfile = (json: string) => ({ ...trigger('1'), profile: parseJson(json) });
  const clock = createPushClock();
  for (const json of ['{"n":1e400}', '{"a":{"b":[1,-1e999]}}'])
    expect(() => checked(withProfile(json), clock)).toThrow('too large');
  expect(checked(withProfile('{"n":123456789012345678901234567890}'), clock).trigger.profile).toContain('4567890');
});

test('no call to the server gets more time than the patience of a push', async () => {
  const within: number[] = [];
  const job = new RecordedJob();
  const slow = {
    spill: () => Promise.resolve(),
    drop: () => Promise.resolve(),
    history: (withinMs: number) => (within.push(withinMs), job.history()),
    signal: (...[batch, requestId, , withinMs]: Parameters<JobSignals['signal']>) => (
      within.push(withinMs),
      job.signal(batch, requestId)
    ),
  };
  await pushTo(new JobPusher('vip', slow, { patienceMs: 8_000 }), triggers(1));
  expect(within).toHaveLength(2);
  for (const ms of within) expect(ms).toBeLessThanOrEqual(8_000);
});
