import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, expect, jest, test } from '@jest/globals';
import { stopText } from '../../src/cli/commands/stop.ts';
import { resumedText } from '../../src/cli/commands/pause.ts';
import { confirmPlan } from '../../src/features/apply/command.ts';
import { UserAborted } from '../../src/cli/ask.ts';
import { recoveredText } from '../../src/features/recover/command.ts';
import { run } from '../../src/app/program.ts';
import { JobClient } from '../../src/client/job-client.ts';
import { Watches } from '../../src/features/watch/watches.ts';
import { JobNotFound } from '../../src/client/calls/errors.ts';
import type { WatchStatus } from '../../src/features/watch/sandbox/watch.ts';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { aBackfill, aStatus } from './a-status.ts';
import { NOBODY } from '../client/an-easy-worker.ts';
import { aTerminal } from './a-terminal.ts';
import { tempFolder } from '../support/temp-folder.ts';

const backfill = aBackfill({ expected: 3000, taken: 410, delivered: 400, waiting: 10 });

test('stop says what will become of what waits', () => {
  type Status = Parameters<typeof stopText>[1];
  type Before = Parameters<typeof stopText>[3];
  const says = (status: Partial<Status>, request: Parameters<typeof stopText>[2] = {}, before: Partial<Before> = {}) =>
    stopText('vip', { waiting: 12, waits: {}, ...status }, request, { state: 'running', ...before });
  const keep = { waiting: 'keep' } as const;
  const discard = { waiting: 'discard' } as const;
  const keptAt = '2026-11-27T03:10:00Z';
  const stopped = { state: 'stopped', kept: { waiting: 5, keptAt } } as const;
  expect({
    'sent first, for an hour, then kept': says({}),
    'sent first, for as long as it was told': says({}, { deadlineMs: 90_000 }),
    'in quiet hours nothing is sent before their end': says({ waits: { quiet: '2026-11-26T07:00:00.000000000Z' } }),
    'kept, and how to go on': says({ kept: { waiting: 9, keptAt } }, keep),
    'it has yet to stop, so nobody knows how much it will keep': says({ inFlight: 3, batch: null }, keep),
    'dropped, by its own count': says({ waiting: 0, dropped: 9 }, discard),
    'it has yet to stop, so nobody knows how much it drops': says({ waiting: 40, inFlight: 23, batch: null }, discard),
    'batches in flight': says({ inFlight: 2, batch: { size: 5, afterMs: 0 } }, keep),
    nothing: says({ waiting: 0 }),
    'nothing, and how to go on all the same': says({ waiting: 0, kept: { waiting: 0, keptAt } }, keep),
    'nothing was dropped': says({ waiting: 0, dropped: 0 }, discard),
    'dropped, of a job that had stopped': says({ dropped: 6 }, discard, stopped),
    'nothing, of a job that had stopped': says({ dropped: 0 }, discard, stopped),
    'members that a backfill has not read are sent': says({ backfill }),
    'members that a backfill has not read are kept': says({ waiting: 0, kept: { waiting: 0, keptAt, backfill } }, keep),
    'members that a backfill has not read are dropped': says(
      { dropped: 0, backfill: { ...backfill, state: 'cancelled' } },
      discard,
      { backfill },
    ),
    'a backfill that is over': says({ backfill: { ...backfill, state: 'finished' } }),
    'a backfill that waits for a person is kept': says({ backfill: { ...backfill, state: 'paused' } }),
  }).toMatchSnapshot();
});

test('recover says what is true of the job afterwards', () => {
  const says = (status: Partial<Parameters<typeof recoveredText>[1]>) =>
    recoveredText('vip', { state: 'running', waiting: 12, waits: {}, ...status });
  expect({
    'its triggers are sent': says({}),
    'its one trigger is sent': says({ waiting: 1 }),
    'nothing waits': says({ waiting: 0 }),
    'it is paused, by whom, and how to go on': says({ state: 'paused', reason: 'Paused by an operator.', waiting: 1 }),
    'it goes on dropping, as it was asked to': says({
      state: 'stopping',
      reason: 'Asked to stop; the rest is dropped.',
    }),
    'its endpoint is unhealthy': says({ endpoint: { state: 'unhealthy' } }),
    'its endpoint asked to wait': says({ waits: { endpoint: '2026-11-25T09:30:00Z' } }),
  }).toMatchSnapshot();
});

test('only what was paused or stopped is said to be resumed; a stopping job that sends again is still stopping', () => {
  const running = { state: 'running', waiting: 2 } as const;
  const reason = 'Asked to stop; what is waiting is sent first.';
  const stopping = { state: 'stopping', reason, waiting: 2 } as const;
  expect({
    paused: resumedText('vip', running, { state: 'paused', waiting: 2 }),
    stopped: resumedText('vip', running, { state: 'stopped', waiting: 2 }),
    'stopped, and had kept, by its answer': resumedText('vip', running, {
      state: 'stopped',
      waiting: 0,
      kept: { waiting: 5 },
    }),
    'not known': resumedText('vip', running, undefined),
    'not paused': resumedText('vip', running, running),
    'stopping, paused by its endpoint': resumedText('vip', stopping, { ...stopping, reason: 'It answered 410 Gone.' }),
    'stopping, not paused': resumedText('vip', stopping, stopping),
  }).toMatchSnapshot();
});

const folder = tempFolder();
afterEach(() => void jest.restoreAllMocks());

const nothingLost = {
  state: 'waiting',
  audience: { slug: 'vip' },
  last: { published: { jobs: 1 } },
};
const behind = { ...nothingLost, last: { published: { jobs: 1, behind: ['crm', 'led'] } } };

async function* aLetter() {
  yield 'a letter';
}

/** Jobs that can be looked at, and all that was done to them. */
function someJobs(changed: Partial<JobStatus> = {}, letters?: () => AsyncGenerator, watch: object = behind) {
  const did: string[] = [];
  const doing = (name: string) => async () => {
    did.push(name);
    return status;
  };
  const status = aStatus({ waiting: 4, ...changed });
  const asked = async (_: unknown, __: unknown, { isMeant }: { isMeant: (loss: string) => Promise<boolean> }) => {
    if (!(await isMeant('2 people would be left out.'))) return undefined;
    throw new Error('It was meant.');
  };
  const decide = async (_: unknown, { confirm }: { confirm: (extent: unknown) => Promise<boolean> }) => {
    const isAgreed = await confirm({ letters: 1, users: 1, jobs: [], audiences: [] });
    if (isAgreed) did.push('decide');
    return { done: 0, failures: [] };
  };
  const jobs = {
    check: async (definition: unknown) => ({ ok: true, definition, audiences: [{ size: 3 }], warnings: [] }),
    status: async () => status,
    list: async () => [{ jobId: 'other' }, { jobId: status.jobId }],
    retry: async (jobId: string) => {
      throw new JobNotFound(jobId);
    },
    start: doing('start'),
    backfill: doing('backfill'),
    stop: doing('stop'),
    edit: asked,
    core: { open: () => NOBODY, taskQueue: 'q' },
    deadLetters: {
      list: async function* () {},
      waiting: letters ?? async function* () {},
      discard: decide,
      redeliver: decide,
    },
    close: async () => undefined,
  };
  jest.spyOn(JobClient, 'connect').mockResolvedValue(jobs as unknown as JobClient); // What these commands use of one.
  jest.spyOn(Watches.prototype, 'status').mockResolvedValue(watch as WatchStatus); // What a stop looks at.
  jest.spyOn(Watches.prototype, 'stop').mockImplementation(async () => {
    did.push('stop watch');
    return nothingLost as WatchStatus;
  });
  return did;
}

test('a second stop that says nothing new leaves the deadline as it is', async () => {
  const reason = 'Asked to stop; what is waiting is sent first; what is left at 2026-11-27T03:10:00Z is kept.';
  const did = someJobs({ state: 'stopping', reason });
  const { terminal, out } = aTerminal();
  await expect(run(['stop', 'vip'], terminal)).resolves.toBe(0);
  expect(did).toEqual([]);
  expect(out.join(' ').replaceAll(/\s+/g, ' ')).toBe(
    `vip is already stopping, and goes on as it was asked to. ${reason} To change that: --deadline, or --waiting.`,
  );
  await run(['stop', 'vip', '--deadline', '5m'], terminal);
  await run(['stop', 'vip', '--waiting', 'keep'], terminal);
  expect(did).toEqual(['stop', 'stop']);
});

test('before the stop of a job that has stopped nothing is foretold, unless it discards what the job kept', async () => {
  const kept = { waiting: 4, keptAt: '2026-11-27T03:10:00Z' };
  someJobs({ state: 'stopped', kept }, aLetter);
  for (const waiting of ['deliver', 'keep', 'discard']) {
    const { terminal, err } = aTerminal();
    await run(['stop', 'vip', '--waiting', waiting, '--yes'], terminal);
    const foretold = ['4 waiting triggers of vip will not be sent', '1 dead letter of vip waits for a decision.'];
    expect(foretold.filter((text) => err.join(' ').replaceAll(/\s+/g, ' ').includes(text))).toEqual(
      waiting === 'discard' ? foretold : [],
    );
  }
});

test.each([
  [
    'waiting triggers',
    { inFlight: 0, waiting: 1 },
    undefined,
    ['--waiting', 'discard'],
    /1 waiting trigger of vip will not be sent/,
  ],
  ['dead letters', { waiting: 0 }, aLetter, [], /1 dead letter of vip waits/],
] as const)('without a terminal, a stop that loses %s needs --yes', async (_, status, letters, options, says) => {
  const did = someJobs(status, letters);
  const { terminal, err } = aTerminal();
  await expect(run(['stop', 'vip', ...options], terminal)).resolves.toBe(2);
  expect({ did, said: err.join(' ') }).toEqual({ did: [], said: expect.stringMatching(says) });
  await expect(run(['stop', 'vip', ...options, '--yes'], terminal)).resolves.toBe(0);
  expect(did).toEqual(['stop']);
});

test.each([
  ['discard where nothing waits', { waiting: 0 }, undefined, 'discard'],
  ['keep', { waiting: 4 }, aLetter, 'keep'],
  ['deliver', { waiting: 4 }, undefined, 'deliver'],
] as const)('a stop that loses nothing asks nothing: %s', async (_, status, letters, waiting) => {
  const did = someJobs(status, letters);
  await expect(run(['stop', 'vip', '--waiting', waiting], aTerminal().terminal)).resolves.toBe(0);
  expect(did).toEqual(['stop']);
});

test('without a terminal, the stop of a watch names the jobs that lose rounds, and needs --yes', async () => {
  const did = someJobs();
  const { terminal, err } = aTerminal();
  await expect(run(['watch', 'vip', 'news', '--stop'], terminal)).resolves.toBe(2);
  expect({ did, said: err.join(' ') }).toEqual({ did: [], said: expect.stringMatching(/missed: crm, led\..*--yes/s) });
  await expect(run(['watch', 'vip', 'news', '--stop', '--yes'], terminal)).resolves.toBe(0);
  expect(did).toEqual(['stop watch', 'stop watch']);
});

test('the stop of a watch that loses nothing asks nothing', async () => {
  const did = someJobs({}, undefined, nothingLost);
  await expect(run(['watch', 'vip', '--stop', '--json'], aTerminal().terminal)).resolves.toBe(0);
  expect(did).toEqual(['stop watch']);
});

test.each([
  [[], 'No dead letters are waiting.'],
  [['--user', '7'], 'No matching dead letters are waiting.'],
])('the list says that no matching dead letters wait, and claims no more than that: %j', async (filter, said) => {
  someJobs();
  const { terminal, err } = aTerminal();
  await expect(run(['dead-letters', 'list', ...filter], terminal)).resolves.toBe(0);
  expect(err).toEqual([said]);
});

test.each([
  ['export-job-vip-to-crm', 'vip-to-crm'],
  ['VIP', 'vip-to-crm'],
  ['news', undefined],
])('the command finds no job %s, and suggests %s', async (typed, near) => {
  someJobs();
  const { terminal, err } = aTerminal();
  await expect(run(['retry', typed], terminal)).resolves.toBe(1);
  const asks = near === undefined ? '' : ` Did you mean "${near}"?`;
  expect(err.join(' ').replaceAll(/\s+/g, ' ')).toBe(`There is no job "${typed}".${asks} See all jobs: triggers list`);
});

const START = ['start', '--label', 'VIP', '--audience', 'vip', '--url', 'https://example.com/'];

test.each([
  [[...START, '--existing-users'], 'Nothing was started.'],
  [[...START, '--sample', '1'], 'Nothing was started.'],
  [['stop', 'vip', '--waiting', 'discard'], 'Nothing was done.'],
  [['watch', 'vip', '--stop'], 'Nothing was done.'],
  [['edit', 'vip', '--audience', 'news'], 'Nothing was done.'],
  [['dead-letters', 'discard', '--job', 'vip'], 'Nothing was done.'],
  [['dead-letters', 'redeliver', '--job', 'vip'], 'Nothing was done.'],
])('%j: a person who says no ends it with exit code 1, and nothing was done', async (args, said) => {
  const did = someJobs();
  const { terminal, out, err } = aTerminal({ interactive: true });
  const stdin = Object.assign(Readable.from(['n\n']), { isTTY: true });
  await expect(run(args, { ...terminal, stdin })).resolves.toBe(1);
  expect({ did, out, last: err.at(-1) }).toEqual({ did: [], out: [], last: said });
});

test('start reads its job file once, as a pipe can be', async () => {
  const path = join(folder, 'once.json');
  writeFileSync(
    path,
    JSON.stringify({ id: 'vip', label: 'VIP', audiences: ['vip'], webhookUrl: 'https://example.com/' }),
  );
  const did = someJobs();
  const jobs = await JobClient.connect();
  jest.spyOn(JobClient, 'connect').mockImplementation(async () => {
    rmSync(path);
    return jobs;
  });
  await run(['start', path], aTerminal().terminal);
  expect(did).toEqual(['start']);
});

test.each([false, true])('apply asks at a terminal before it stops a job, with --json too: %j', async (json) => {
  const { terminal, err } = aTerminal({ interactive: true });
  const stdin = Object.assign(Readable.from(['n\n']), { isTTY: true });
  const stop = { jobId: 'vip', action: 'stop', waiting: 4, deadLettersWaiting: 0 } as const;
  const confirmed = confirmPlan([stop], { terminal: { ...terminal, stdin }, yes: false, json });
  await expect(confirmed).rejects.toBeInstanceOf(UserAborted);
  expect(err.some((line) => line.includes('Apply it?'))).toBe(true);
});

test.each([
  ['an option', [...START, '--sample', '2', '--no-existing-users'], /--no-existing-users says not to/],
  ['the job file', ['start', join(folder, 'job.json'), '--sample', '2'], /Say\s+--existing-users as well/],
])('a sample of existing users, where %s says that none are to be sent, is refused', async (_, args, says) => {
  const file = { label: 'VIP', audiences: ['vip'], webhookUrl: 'https://example.com/', existingUsers: false };
  writeFileSync(join(folder, 'job.json'), JSON.stringify(file));
  const did = someJobs();
  const { terminal, err } = aTerminal();
  await expect(run(args, terminal)).resolves.toBe(2);
  expect({ did, said: err.join('\n') }).toEqual({ did: [], said: expect.stringMatching(says) });
});
