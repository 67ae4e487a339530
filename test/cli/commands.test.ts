import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, afterEach, describe, expect, jest, test } from '@jest/globals';
import { stopText } from '../../src/cli/commands/stop.ts';
import { resumedText } from '../../src/cli/commands/pause.ts';
import { recoveredText } from '../../src/cli/commands/recover.ts';
import { run } from '../../src/cli/program.ts';
import { ExportJobs } from '../../src/client/export-jobs.ts';
import { JobNotFound } from '../../src/client/errors.ts';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { aStatus } from './a-status.ts';
import { aTerminal } from './a-terminal.ts';

const stopping = { state: 'stopping', waiting: 12 } as const;

describe('stop says what will become of what waits', () => {
  test('sent first, for an hour unless told otherwise, then kept', () => {
    expect(stopText('vip', stopping, {})).toBe(
      'Stopping vip; 12 waiting triggers will be sent first, for at most 60 min. The rest is kept. Watch it with: triggers status vip --watch',
    );
    expect(stopText('vip', stopping, { deadlineMs: 90_000 })).toContain('for at most 90 s.');
  });

  test('in quiet hours, that nothing is sent before their end', () => {
    expect(stopText('vip', { ...stopping, quietUntil: '2026-11-26T07:00:00.000000000Z' }, {})).toContain(
      'The rest is kept. These are quiet hours, so nothing is sent before 2026-11-26 07:00:00 UTC. Watch it',
    );
  });

  test('kept, and how to go on', () => {
    expect(stopText('vip', stopping, { waiting: 'keep' })).toBe(
      'Stopping vip; 12 waiting triggers will be kept. Resume it later with: triggers resume vip',
    );
  });

  test('dropped', () => {
    expect(stopText('vip', stopping, { waiting: 'discard' })).toBe(
      'Stopping vip; 12 waiting triggers will not be sent.',
    );
  });

  test('what is in flight apart, since it may arrive; what running slices had not begun is dropped', () => {
    const status = { ...stopping, waiting: 40, discarded: 11_000, inFlight: 23, batch: null };
    expect(stopText('vip', status, { waiting: 'discard' })).toBe(
      'Stopping vip; 11,017 waiting triggers will not be sent. 23 are in flight and may arrive.',
    );
    expect(stopText('vip', { ...stopping, inFlight: 2, batch: { size: 5, afterMs: 0 } }, { waiting: 'keep' })).toBe(
      'Stopping vip; 2 waiting triggers will be kept. 10 are in flight and may arrive. Resume it later with: triggers resume vip',
    );
  });

  test('nothing when nothing is waiting', () => {
    expect(stopText('vip', { state: 'stopping', waiting: 0 }, {})).toBe('Stopping vip; nothing is waiting.');
  });

  test('nothing, and how to go on all the same, when it is kept', () => {
    expect(stopText('vip', { state: 'stopping', waiting: 0 }, { waiting: 'keep' })).toBe(
      'Stopping vip; nothing is waiting. Resume it later with: triggers resume vip',
    );
  });

  test('discarded, when the job had stopped and kept it', () => {
    expect(stopText('vip', { state: 'stopped', waiting: 12 }, { waiting: 'discard' })).toBe(
      'vip had already stopped; what it kept (12 waiting triggers) has been discarded.',
    );
  });

  test('nothing, when the job had stopped and kept nothing', () => {
    const stopped = { state: 'stopped', waiting: 0 } as const;
    expect(stopText('vip', stopped, { waiting: 'discard' })).toBe(
      'vip had already stopped, and had kept nothing that waits. It can no longer be resumed.',
    );
    const aside = {
      ...stopped,
      unreadableHolders: [{ holder: '12', since: '', reason: 'no key', isAside: true }],
    } as const;
    expect(stopText('vip', aside, { waiting: 'discard' })).toContain(
      'what it kept (what 1 holder that was set aside keeps) has been discarded.',
    );
  });

  const backfill = {
    n: 1,
    state: 'running',
    at: '2026-01-01T00:00:00Z',
    audiences: ['vip'],
    expected: 3000,
    taken: 410,
    delivered: 400,
    superseded: 0,
    deadLetters: 0,
    waiting: 10,
    ratePerSecond: 0,
  } as const;

  test('with a backfill under way, of its members too', () => {
    const withBackfill = { ...stopping, backfill };
    expect(stopText('vip', withBackfill, {})).toContain(
      '12 waiting triggers, and 2,590 members that backfill 1 has not read yet will be sent first, for at most 60 min. The rest is kept. Watch',
    );
    expect(stopText('vip', { ...withBackfill, waiting: 0 }, { waiting: 'keep' })).toBe(
      'Stopping vip; 2,590 members that backfill 1 has not read yet will be kept. Resume it later with: triggers resume vip',
    );
    expect(stopText('vip', { ...withBackfill, backfill: { ...backfill, state: 'finished' } }, {})).not.toContain(
      'read',
    );
  });

  test('that a backfill which waits for a person is kept rather than sent', () => {
    const paused = { ...stopping, backfill: { ...backfill, state: 'paused' } } as const;
    expect(stopText('vip', paused, {})).toContain(
      '2 waiting triggers will be sent first, for at most 60 min. The rest is kept, and so is what backfill 1 has left, since it is paused.',
    );
  });
});

describe('recover says what is true of the job afterwards', () => {
  test('its triggers are sent', () => {
    expect(recoveredText('vip', { state: 'running', waiting: 12 })).toBe(
      'Recovered vip; 12 triggers waiting. They are tried now. See what comes of it: triggers status vip --watch',
    );
    expect(recoveredText('vip', { state: 'running', waiting: 1 })).toContain('1 trigger waiting. It is tried now.');
  });

  test('nothing waits', () => {
    expect(recoveredText('vip', { state: 'running', waiting: 0 })).toBe(
      'Recovered vip; 0 triggers waiting. It is running.',
    );
  });

  test('it is paused, by whom, and how to go on', () => {
    expect(recoveredText('vip', { state: 'paused', reason: 'Paused by an operator.', waiting: 1 })).toBe(
      'Recovered vip; 1 trigger waiting. It is paused: Paused by an operator. Resume it with: triggers resume vip',
    );
  });

  test('it goes on dropping what waits, as it was asked to before it was terminated', () => {
    const reason = 'Asked to stop; what is waiting will not be sent.';
    expect(recoveredText('vip', { state: 'stopping', reason, waiting: 12 })).toBe(
      `Recovered vip; 12 triggers waiting. It is stopping: ${reason}`,
    );
  });

  test.each([{ endpoint: { state: 'unhealthy' } as const }, { throttledUntil: '2026-11-25T09:30:00Z' }])(
    'its endpoint takes no requests: %j',
    (more) => {
      expect(recoveredText('vip', { state: 'running', waiting: 12, ...more })).toBe(
        'Recovered vip; 12 triggers waiting. They are sent once the endpoint takes requests again. See: triggers status vip',
      );
    },
  );
});

test('a stopping job that was paused by its endpoint sends again when it is resumed, and is said to be stopping all the same', () => {
  const reason = 'Asked to stop; what is waiting is sent first.';
  const undo = 'To undo the stop: triggers stop vip --waiting keep, then triggers resume vip';
  const now = { state: 'stopping', reason, waiting: 2 } as const;
  const gone = { ...now, reason: 'The endpoint answered 410 Gone.' };
  expect(resumedText('vip', now, gone)).toBe(
    `vip sends again, and is still stopping; 2 triggers waiting. ${reason} ${undo}`,
  );
  expect(resumedText('vip', now, now)).toBe(
    `vip was not paused, and is still stopping; 2 triggers waiting. ${reason} ${undo}`,
  );
});

test('only what was paused or stopped is said to be resumed', () => {
  const running = { state: 'running', waiting: 2 } as const;
  expect(resumedText('vip', running, { state: 'paused', waiting: 2 })).toBe('Resumed vip; 2 triggers waiting.');
  expect(resumedText('vip', running, { state: 'stopped', waiting: 2 })).toBe('Resumed vip; 2 triggers waiting.');
  expect(resumedText('vip', { ...running, waiting: 0 }, { state: 'stopped', waiting: 0, kept: { waiting: 5 } })).toBe(
    'Resumed vip, with 5 triggers that it had kept.',
  );
  expect(resumedText('vip', running, undefined)).toBe('Resumed vip; 2 triggers waiting.');
  expect(resumedText('vip', running, running)).toBe('vip was not paused; 2 triggers waiting.');
});

const folder = mkdtempSync(join(tmpdir(), 'declining-'));
afterEach(() => void jest.restoreAllMocks());
afterAll(() => rmSync(folder, { recursive: true }));

/** Jobs that can be looked at, and all that was done to them. */
function someJobs(changed: Partial<JobStatus> = {}, letters?: () => AsyncGenerator) {
  const did: string[] = [];
  const doing = (name: string) => async () => {
    did.push(name);
    return status;
  };
  const unreadableHolders = [{ holder: '12', since: '', reason: 'no key' }];
  const status = aStatus({ waiting: 4, unreadableHolders, ...changed });
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
    decideHolder: doing('holder'),
    deadLetters: {
      list: async function* () {},
      waiting: letters ?? async function* () {},
      discard: decide,
      redeliver: decide,
    },
    close: async () => undefined,
  };
  jest.spyOn(ExportJobs, 'connect').mockResolvedValue(jobs as unknown as ExportJobs); // What these commands use of one.
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
  someJobs({ state: 'stopped', kept }, async function* () {
    yield 'a letter';
  });
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
  [[], 'No dead letter waits.'],
  [['--user', '7'], 'No such dead letter waits.'],
])('only of those that were asked for it is said that no such dead letter waits: %j', async (filter, said) => {
  someJobs();
  const { terminal, err } = aTerminal();
  await expect(run(['dead-letters', 'list', ...filter], terminal)).resolves.toBe(0);
  expect(err).toEqual([said]);
});

test.each([
  ['export-job-vip-to-crm', 'vip-to-crm'],
  ['VIP', 'vip-to-crm'],
  ['news', undefined],
])('there is no job %s: the one that was most likely meant is %s', async (typed, near) => {
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
  [['edit', 'vip', '--audience', 'news'], 'Nothing was done.'],
  [['holders', 'vip', '--set-aside', '12'], 'Nothing was done.'],
  [['dead-letters', 'discard', '--job', 'vip'], 'Nothing was done.'],
  [['dead-letters', 'redeliver', '--job', 'vip'], 'Nothing was done.'],
])('%j: a person who says no ends it with exit code 1, and nothing was done', async (args, said) => {
  const did = someJobs();
  const { terminal, out, err } = aTerminal({ interactive: true });
  const stdin = Object.assign(Readable.from(['n\n']), { isTTY: true });
  await expect(run(args, { ...terminal, stdin })).resolves.toBe(1);
  expect({ did, out, last: err.at(-1) }).toEqual({ did: [], out: [], last: said });
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
