import { expect, test } from '@jest/globals';
import { JobFull, JobNotFound, JobNotRunning, PushInterrupted } from '../../src/client/errors.ts';
import type { CheckedTrigger } from '../../src/client/push/job-pusher.ts';
import { checked, createPushClock } from '../../src/client/push/push.ts';
import { JobDirectory } from '../../src/client/push/job-directory.ts';
import { ConsumerMetrics } from '../../src/consumers/consumer-metrics.ts';
import { Handover } from '../../src/consumers/handover.ts';
import { until } from '../support/patience.ts';
import { Said } from './a-consumer.ts';

const trigger = checked({ audience: 'vip', user: 'u', event: 'enter' }, createPushClock());
const never = async (): Promise<never> => await new Promise(() => undefined);
const heard = new JobDirectory({
  all: async () => await Promise.resolve([{ jobId: 'crm', audiences: new Set(['vip']) }]),
  one: never,
});
const hanging = new JobDirectory({ all: never, one: never });

test.each([
  ['a job that hangs', heard, undefined],
  ['a Temporal that does not say which jobs listen', hanging, undefined],
  ['a job that cannot be asked', hanging, ['crm']],
])('%s holds up nobody who stops waiting', async (_, directory, jobs) => {
  const handover = new Handover({ directory, signal: never, jobs, log: new Said(), metrics: new ConsumerMetrics() });
  const stop = new AbortController();
  const doing = [handover.give([trigger], stop.signal), handover.nameOf(['other', 'vip'], stop.signal)];
  const reason = new Error('The consumer was ended.');
  stop.abort(reason);
  for (const one of await Promise.allSettled(doing)) expect(one).toEqual({ status: 'rejected', reason });
});

test('whoever has stopped waiting before waits for nothing', async () => {
  const handover = new Handover({ directory: heard, signal: never, log: new Said(), metrics: new ConsumerMetrics() });
  await expect(handover.give([trigger], AbortSignal.abort(new Error('over')))).rejects.toThrow('over');
});

test('a job that was edited a moment ago is asked once more before it is said not to listen', async () => {
  const audiences = ['news'];
  const one = async () => await Promise.resolve({ jobId: 'crm', audiences: new Set(audiences) });
  const directory = new JobDirectory({ all: never, one });
  const options = { directory, signal: never, log: new Said(), metrics: new ConsumerMetrics() };
  const handover = new Handover({ ...options, jobs: ['crm'] });
  const { signal } = new AbortController();
  expect(await handover.hears('vip', signal)).toBe(false);
  audiences.push('vip');
  expect(await handover.hears('vip', signal)).toBe(true);
});

test('what a job has accepted of some is not given to it again with the rest', async () => {
  const given: string[][] = [];
  const signal = async (jobId: string, triggers: readonly CheckedTrigger[]): Promise<void> => {
    given.push(triggers.map(({ trigger: { user } }) => user));
    await Promise.resolve();
    if (given.length === 1) throw new PushInterrupted(jobId, 1, 0, new Error('It is full.'));
  };
  const handover = new Handover({ directory: heard, signal, log: new Said(), metrics: new ConsumerMetrics() });
  const clock = createPushClock();
  const [a, b, c] = ['a', 'b', 'c'].map((user) => checked({ audience: 'vip', user, event: 'enter' }, clock));
  expect(await handover.give([a!, b!, c!], new AbortController().signal)).toEqual([]);
  expect(given).toEqual([
    ['a', 'b', 'c'],
    ['b', 'c'],
  ]);
});

test('what a job has not taken when it ends goes to the one that took its place, though the list was made before', async () => {
  const taken: string[] = [];
  let running = ['old'];
  const all = async () => await Promise.resolve(running.map((jobId) => ({ jobId, audiences: new Set(['vip']) })));
  const signal = async (jobId: string, triggers: readonly CheckedTrigger[]): Promise<void> => {
    await Promise.resolve();
    if (!running.includes(jobId)) throw new PushInterrupted(jobId, 0, 0, new JobNotRunning(jobId, 'stopped'));
    taken.push(...triggers.map(({ trigger: { user } }) => `${user} to ${jobId}`));
  };
  const directory = new JobDirectory({ all, one: never });
  const handover = new Handover({ directory, signal, log: new Said(), metrics: new ConsumerMetrics() });
  const { signal: stop } = new AbortController();
  expect(await handover.give([trigger], stop)).toEqual([]);
  running = ['new'];
  expect(await handover.give([trigger], stop)).toEqual([]);
  running = [];
  expect(await handover.give([trigger], stop)).toEqual([trigger]);
  expect(taken).toEqual(['u to old', 'u to new']);
});

test('says why it waits for a job, and of what is given up that it waits no more', async () => {
  const metrics = new ConsumerMetrics();
  const log = new Said();
  let isFull = true;
  const signal = async (jobId: string): Promise<void> => {
    await Promise.resolve();
    if (isFull) throw new PushInterrupted(jobId, 0, 0, new JobFull(jobId));
  };
  const handover = new Handover({ directory: heard, signal, log, metrics });
  const waits = async () => [handover.problem, (await metrics.text()).match(/jobs_waited_for (\d)/)?.[1]];
  const why = ['A job takes nothing. ' + new JobFull('crm').message, '1'];
  const stop = new AbortController();
  const givenUp = handover.give([trigger], stop.signal);
  const lasting = handover.give([trigger], new AbortController().signal);
  await until(() => log.lines.length > 0);
  expect(await waits()).toEqual(why);
  stop.abort(new Error('The partition is given up.'));
  await expect(givenUp).rejects.toThrow('given up');
  expect(await waits()).toEqual(why);
  isFull = false;
  await lasting;
  expect(await waits()).toEqual([undefined, '0']);
  isFull = true;
  const last = new AbortController();
  const alone = handover.give([trigger], last.signal);
  await until(() => handover.problem !== undefined);
  last.abort(new Error('The partition is given up.'));
  await expect(alone).rejects.toThrow('given up');
  await until(() => handover.problem === undefined);
  expect(await waits()).toEqual([undefined, '0']);
  const [fills, takes] = ['warn a job takes nothing; what it is to be told waits', 'info the job takes triggers again'];
  expect(log.lines).toEqual([fills, takes, fills]);
});

test('which of the only jobs do not run is said before there is anything to tell', async () => {
  const log = new Said();
  const one = async (jobId: string) => {
    if (jobId === 'misspelt') throw new JobNotFound(jobId);
    return await Promise.resolve(jobId === 'ended' ? undefined : { jobId, audiences: new Set(['vip']) });
  };
  const all = async () => await Promise.resolve([{ jobId: 'misspell', audiences: new Set(['vip']) }]);
  const directory = new JobDirectory({ all, one });
  const options = { directory, signal: never, log, metrics: new ConsumerMetrics() };
  await new Handover({ ...options, jobs: ['crm', 'misspelt', 'ended'] }).lookAtJobs();
  await new Handover(options).lookAtJobs();
  const line = 'warn a job that is to be told does not run; what it is to be told will wait';
  expect(log.lines).toEqual([line, line]);
});

test('what nobody listens to is said once a minute, with how much that was', async () => {
  const log = new Said();
  const directory = new JobDirectory({ all: async () => await Promise.resolve([]), one: never });
  const handover = new Handover({ directory, signal: never, log, metrics: new ConsumerMetrics() });
  const { signal } = new AbortController();
  for (let i = 0; i < 3; i++) expect(await handover.give([trigger], signal)).toEqual([trigger]);
  expect(log.lines).toEqual(['warn nobody was told, since no running job listens']);
});
