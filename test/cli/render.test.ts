import { watchStatus } from '../../src/cli/follow-status.ts';
import { expect, test } from '@jest/globals';
import { stopLoss } from '../../src/features/watch/sandbox/rows.ts';
import { startedText } from '../../src/features/watch/command.ts';
import { watchLines } from '../../src/features/watch/render.ts';
import { NoWorker } from '../../src/client/calls/errors.ts';
import type { DeadLetterReport, DeadLetterSummary, WatchStatus } from '../../src/app/export-jobs.ts';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { aStatus } from './a-status.ts';
import { aTerminal } from './a-terminal.ts';
import { answerLines, requestLines, tableLines, testedText } from '../../src/features/preview/render.ts';
import { indentedJson } from '../../src/words/indented-json.ts';
import { meaningOf } from '../../src/features/preview/meaning.ts';
import { plain } from '../../src/cli/terminal.ts';
import type { Sample } from '../../src/features/preview/sample.ts';
import { planLines } from '../../src/features/apply/command.ts';
import { editedLines } from '../../src/cli/commands/edit.ts';
import { reportLines, summaryLines } from '../../src/cli/commands/dead-letters.ts';

const AUDIENCE = { id: 'a'.repeat(32), slug: 'vip', name: 'Very important' };
const nowMs = Date.parse('2026-11-25T08:31:00Z');
const STATUS: WatchStatus = {
  v: 1,
  state: 'waiting',
  audience: AUDIENCE,
  everyMs: 300_000,
  existingUsers: false,
  largestExitPercent: 20,
  rounds: 12,
  enters: 1234,
  exits: 1,
  members: 56_789,
  nextAt: '2026-11-25T08:35:00.000000000Z',
  last: {
    at: '2026-11-25T08:30:00.000000000Z',
    members: 56_789,
    enters: 3,
    exits: 1,
    stayed: 0,
    durationMs: 4_000,
    isBaseline: false,
    published: { jobs: 2, unreadable: [] },
  },
};

test('a watch shows what it found, and when and how often it looks again', () => {
  expect(watchLines({ audience: AUDIENCE, status: STATUS }, { nowMs })).toEqual([
    'vip (Very important)',
    `  Id            ${AUDIENCE.id}`,
    '  State         waiting for the next round',
    '  Members       56,789',
    '  Published     1,234 enters and 1 exit in 12 rounds',
    '  Last round    60 s ago, 3 enters, 1 exit, to 2 jobs, took 4 s',
    '  Next round    in 4 min, every 5 min',
    '  Settings      If more than 20 % of the members leave at once, the round is',
    '                held until the next one finds the same. A round without an',
    '                earlier snapshot publishes nothing.',
  ]);
});

test('a running watch that is given other settings says all of them as they are now', () => {
  const settings = { ...STATUS, audience: AUDIENCE, existingUsers: true, largestExitPercent: 100 };
  expect(startedText(false, settings)).toBe(
    'Already watching vip, every 5 min. No exits are held. A round without an earlier snapshot publishes all members as enters.',
  );
});

test('a watch says what to do when held, why it fails, what is lost, and which jobs do not have the changes', () => {
  const at = '2026-11-25T08:30:00.000000000Z';
  const status: WatchStatus = {
    ...STATUS,
    state: 'held',
    held: { exits: 40_000, members: 16_789, at },
    trouble: { since: at, failures: 3, notHere: 0, reason: 'down\u001b[2J\ntoo' },
    lost: { from: at, to: at },
    last: {
      ...STATUS.last!,
      published: {
        jobs: 1,
        unreadable: ['secret-job'],
        behind: ['stopped-job'],
        lost: [{ jobId: 'late', from: at, to: at }],
      },
    },
  };
  const text = watchLines({ audience: AUDIENCE, status }, { nowMs, columns: 400 }).join('\n');
  expect(text).toContain('triggers watch vip --accept');
  expect(text).toContain('3 failures, the first 60 s ago: down\\u001b[2J too');
  expect(text).toContain('the snapshot was lost');
  expect(text).toContain('secret-job');
  expect(text).toContain('stopped-job (missed rounds follow once the job runs again)');
  expect(text).toContain('late can no longer get the changes from 2026-11-25 08:30:00 UTC to 2026-11-25 08:30:00 UTC');
});

test('before a stop, a watch says which changes are lost, and nothing when none are', () => {
  const held = { exits: 40_000, members: 16_789, at: '2026-11-25T08:30:00.000000000Z' };
  const published = { jobs: 1, unreadable: [], behind: ['crm', 'led\u001b[2J'] };
  const losing: WatchStatus = {
    ...STATUS,
    held,
    unpublished: { enters: 3, exits: 1, stayed: 0 },
    last: { ...STATUS.last!, published },
  };
  expect([stopLoss(losing), stopLoss({ ...losing, state: 'stopped' }), stopLoss(STATUS)]).toMatchInlineSnapshot(`
   [
     "These jobs will not get the rounds of vip that they missed: crm, led\\u001b[2J. The last round of vip (3 enters, 1 exit) has not reached every job, and will not. The held round of vip (40,000 exits) will not be published.",
     "",
     "",
   ]
  `);
});

test('a watch that no worker answers for is shown, and what to do', () => {
  expect(watchLines({ audience: AUDIENCE, status: undefined }, { nowMs }).join('\n')).toContain('triggers worker');
});

function jobThatSays(answers: readonly (JobStatus | Error)[]) {
  const rest = [...answers];
  return {
    status: () => {
      const next = rest.shift() ?? aStatus({ state: 'stopped' });
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
    },
  };
}

const quick = { json: false, signal: new AbortController().signal, refreshMs: 1 };

test('a pipe gets a line for each change, until the job has ended', async () => {
  const { terminal, out } = aTerminal();
  const once = aStatus({ state: 'paused' });
  await watchStatus(jobThatSays([once, once, aStatus({ state: 'stopped', waiting: 0 })]), 'vip', terminal, quick);
  expect(out.filter((line) => line.startsWith('paused')).length).toBeGreaterThanOrEqual(1);
  expect(out.at(-1)).toMatch(/^stopped/);
});

test('a person sees the status redrawn', async () => {
  const { terminal, out, drawn } = aTerminal({ interactive: true });
  await watchStatus(jobThatSays([aStatus()]), 'vip', terminal, quick);
  expect(out).toEqual([]);
  expect(drawn).toHaveLength(2);
});

test('a worker that is away does not end the watch', async () => {
  const { terminal, out, err } = aTerminal();
  await watchStatus(jobThatSays([new NoWorker('q', undefined, 10_000), aStatus()]), 'vip', terminal, quick);
  expect(err.join()).toContain('No worker polls the task queue "q"');
  expect(out.length).toBeGreaterThan(0);
});

test('watching ends when it is interrupted', async () => {
  const { terminal } = aTerminal();
  const controller = new AbortController();
  const watch = watchStatus({ status: () => Promise.resolve(aStatus()) }, 'vip', terminal, {
    json: false,
    signal: controller.signal,
  });
  setTimeout(() => controller.abort(), 20);
  await watch;
});

const body = '{"name":"a\u009Bb"}';
const sample: Sample = {
  user: '1',
  audience: { id: 'a'.repeat(32), slug: 'vip', name: 'VIP' },
  event: 'enter',
  request: { method: 'POST', url: 'https://a.example/…', headers: [['x-a', '…']], body, bodyBytes: 1_000_014 },
};

test('a body is printed byte for byte where a program reads it, and cannot control a terminal', () => {
  expect(requestLines(sample, { interactive: false, paint: plain })[3]).toBe(body);
  const shown = requestLines(sample, { interactive: true, paint: plain }).slice(3, -1).join('\n');
  expect(shown).not.toContain('\u009B');
  expect(JSON.parse(shown)).toEqual(JSON.parse(body));
});

test('on a terminal a body is indented, with every number and text as it is written', () => {
  const written = '{"id":"1","n":12345678901234567890.10,"none":{},"no":[],"list":[true,{"a":"x,{\\"y\\"]: "}]}';
  expect(indentedJson(written)).toEqual([
    '{',
    '  "id": "1",',
    '  "n": 12345678901234567890.10,',
    '  "none": {},',
    '  "no": [],',
    '  "list": [',
    '    true,',
    '    {',
    '      "a": "x,{\\"y\\"]: "',
    '    }',
    '  ]',
    '}',
  ]);
  expect(indentedJson('{"text":"cut in the mid')).toEqual(['{', '  "text": "cut in the mid']);
  expect(indentedJson('{}}]}')).toEqual(['{}', '}', ']', '}']);
  expect(indentedJson('['.repeat(10_000)).join('').length).toBeLessThan(1_000_000);
});

test('a body that was cut says how much there is yet', () => {
  expect(requestLines(sample, { interactive: false, paint: plain }).at(-1)).toBe('… and 999,999 more bytes');
});

test('a test explains its outcome in words', () => {
  const failed = { ok: false, verdict: 'transient', durationMs: 1, isSecond: false } as const;
  const asked = { status: 429, verdict: 'throttled', retryAfterMs: 90_000, durationMs: 1234 } as const;
  const refusedByUs = { ...failed, code: 'ADDRESS_REFUSED', verdict: 'worker-fault', durationMs: 0 } as const;
  const answered = { ...failed, status: 500 };
  const own = { '404': 'delivered', '5xx': 'dead-letter', '423': 'pause' } as const;
  expect({
    'an answer': answerLines({ answer: { ...failed, ...asked, answer: 'slow\u001Bdown' } }),
    'no request was made': [...answerLines({ answer: refusedByUs }), meaningOf(refusedByUs)],
    'sent once': testedText({ ...sample, answer: answered }),
    'tried, and never sent': testedText({ ...sample, answer: { ...failed, code: 'ENOTFOUND' } }),
    delivered: meaningOf({ verdict: 'delivered' }),
    misconfigured: meaningOf({ verdict: 'misconfigured' }),
    refused: meaningOf({ verdict: 'refused' }),
    'tried again': meaningOf(answered),
    'tried again by a job that tries for an hour': meaningOf(answered, { retryFor: '1h' }),
    'tried again for a week': answerLines({ answer: answered, retryFor: '7d' }),
    'what answers mean': tableLines(sample),
    'what answers mean to a job with its own': tableLines({ ...sample, answers: own, retryFor: '2d' }),
  }).toMatchSnapshot();
});

test('a warning of a plan is broken where the terminal ends, under its job', () => {
  const warnings = ['This looks like the job "old" under another name. It starts as another job.'];
  expect(planLines([{ jobId: 'new', action: 'create', warnings }], 60)).toEqual([
    'create     new',
    '           Warning: This looks like the job "old" under',
    '           another name. It starts as another job.',
  ]);
});

test('two URLs that look alike are not shown as if nothing had changed', () => {
  const shown = 'https://hooks.example.com/…';
  const changes = [{ field: 'webhookUrl', from: shown, to: shown } as const];
  expect(editedLines('vip', { changes, warnings: [] })).toEqual([
    'Changed vip:',
    `  webhookUrl  "${shown}" → "${shown}" (what is not shown may have changed)`,
  ]);
});

const letterNowMs = Date.parse('2026-11-25T12:00:00Z');
const id = '36e243f8fd8f4530bbd330fa7fb1a685-0';

const summary: DeadLetterSummary = {
  id,
  jobId: 'vip-to-crm',
  user: '7076027172059065053',
  audience: 'vip',
  audienceId: '42976a269a5e6b9d06c681b1c27292df',
  event: 'enter',
  at: '2026-11-25T08:30:00Z',
  failure: 'HTTP 422',
  attempts: 1,
  diedAt: '2026-11-25T09:00:00Z',
};

const report: DeadLetterReport = {
  v: 1,
  id,
  state: 'waiting',
  jobId: 'vip-to-crm',
  subscriptionId: '5b'.repeat(16),
  deliveryId: '36e243f8fd8f4530bbd330fa7fb1a685',
  redeliveries: 0,
  user: '7076027172059065053',
  audience: { id: '42976a269a5e6b9d06c681b1c27292df', slug: 'vip', name: 'Very important' },
  event: 'enter',
  at: '2026-11-25T08:30:00Z',
  failure: { at: '2026-11-25T09:00:00Z', status: 422, answer: 'email is missing' },
  attempts: 1,
  diedAt: '2026-11-25T09:00:00Z',
  expiresAt: '2026-12-25T09:00:00Z',
};

function shown(changed: Partial<DeadLetterReport> = {}): string {
  return reportLines({ ...report, ...changed }, { nowMs: letterNowMs })
    .join(' ')
    .replaceAll(/ +/g, ' ');
}

test('a dead letter is in words', () => {
  const at = report.failure.at;
  const [lost, left] = [{ at, code: 'PROFILE_LOST' }, 'The person is not in the audience today.'];
  expect({
    'in a list': summaryLines(summary, { nowMs: letterNowMs }),
    'in a list, not redelivered': summaryLines({ ...summary, notice: 'The person left.' }, { nowMs: letterNowMs }),
    'one that waits': shown(),
    'one whose job has ended': shown({ orphaned: true }),
    'one whose profile is lost': shown({ failure: lost }),
    'not redelivered, and how to send it all the same': shown({ notice: left, forceable: true }),
    'not redelivered, and nothing to force': shown({ notice: 'It belongs to an earlier job crm.' }),
    'came back once': shown({ redeliveries: 1 }),
    'came back twice': shown({ redeliveries: 2 }),
    discarded: shown({ state: 'discarded' }),
    redelivered: shown({ state: 'redelivered' }),
  }).toMatchSnapshot();
  // For a lost profile or a job that has ended, the advice is to push again, and not to redeliver.
  for (const changed of [{ failure: lost }, { orphaned: true } as const])
    expect(shown(changed)).not.toContain('redeliver');
});

test('a dead letter fits into 80 columns', () => {
  const long = { ...report, user: 'u'.repeat(255), failure: { ...report.failure, answer: 'word '.repeat(50) } };
  for (const line of reportLines(long, { nowMs: letterNowMs })) expect(line.length).toBeLessThanOrEqual(80);
});

test('nothing from outside can control the terminal', () => {
  const evil = '\u001b[2J\u202e';
  const lines = [
    ...summaryLines(
      { ...summary, user: evil, audience: evil, jobId: evil, failure: evil, notice: evil },
      { nowMs: letterNowMs },
    ),
    ...reportLines(
      {
        ...report,
        user: evil,
        at: evil,
        jobId: evil,
        notice: evil,
        audience: { id: '', slug: evil, name: evil },
        failure: { ...report.failure, answer: evil },
      },
      { nowMs: letterNowMs },
    ),
  ];
  expect(lines.join('')).not.toMatch(/[\p{Cc}\u202e]/u);
  expect(lines.join('')).toContain(String.raw`\u001b[2J\u202e`);
});
