import { expect, test } from '@jest/globals';
import { readDuration } from '../../src/contract/duration.ts';
import { jobTable, problemLines, startedLines, statusLine, statusLines } from '../../src/cli/render-jobs.ts';
import { fromNow, sentences, table, wrap } from '../../src/cli/text.ts';
import type { JobOverview } from '../../src/app/export-jobs.ts';
import { duration } from '../../src/domain/text.ts';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { aBackfill, aStatus } from './a-status.ts';

const nowMs = Date.parse('2026-11-25T12:00:00Z');

const TIME = '2026-11-25T11:59:00Z';

const BACKFILL = aBackfill({ taken: 1000, delivered: 480, superseded: 20, deadLetters: 1, waiting: 500 });

test('a status says what is so, in words, and nothing that is not there', () => {
  const linesOf = (changed: Partial<JobStatus>) => statusLines(aStatus(changed), { nowMs, columns: 160 });
  const usual = linesOf({});
  /** What a status says besides, or in place of, what it usually says. */
  const says = (changed: Partial<JobStatus>) => linesOf(changed).filter((line) => !usual.includes(line));
  const expected = { ...BACKFILL, expected: 2000, ratePerSecond: 120.4, secondsLeft: 13 };
  const kept = { waiting: 45, keptAt: '2026-11-25T10:00:00Z' };
  expect({
    usual,
    'why it is paused': says({ state: 'paused', reason: 'the endpoint said 410' }),
    'what an endpoint answered last': says({ lastFailure: { at: TIME, status: 503, answer: 'try later' } }),
    'why an attempt failed': says({ lastFailure: { at: TIME, code: 'PROFILE_MISSING' } }),
    'what was refused': says({ rejects: [{ at: TIME, reason: '"user" must be a string' }], rejected: 2 }),
    'what to do': says({ notices: ['The endpoint is gone.'] }),
    'dead letters': says({ deadLetters: 2 }),
    'dead letters, one of which waits': says({ deadLetters: 2, deadLettersWaiting: 1 }),
    'dead letters, none of which waits': says({ deadLetters: 2, deadLettersWaiting: 0 }),
    'an unhealthy endpoint': says({
      endpoint: { state: 'unhealthy', nextProbeAt: '2026-11-25T12:00:20Z', advice: 'Check the URL.' },
    }),
    'a new endpoint': says({ endpoint: { state: 'new' } }),
    'an endpoint that comes back': says({ endpoint: { state: 'recovering' } }),
    'what waits outside the state': says({ overflow: 40 }),
    repeats: says({ repeated: 7 }),
    'what a stopped job kept': says({ state: 'stopped', kept }),
    'a stopped job that kept nothing': says({ state: 'stopped', kept: { ...kept, waiting: 0 } }),
    'a backfill': says({ backfill: BACKFILL }),
    'a backfill whose end is known': says({ backfill: expected }),
    'a backfill after its sample': says({ backfill: { ...expected, state: 'paused', pausedBy: 'sample' } }),
    'a backfill of an audience that was removed': says({
      backfill: { ...expected, leftOut: [{ audience: 'news', members: 1000 }] },
    }),
    'a backfill whose source fails': says({ backfill: { ...expected, trouble: 'HTTP\u001b[2J 503.' } }),
  }).toMatchSnapshot();
  expect(linesOf({ state: 'stopped', kept }).join()).not.toContain('Waiting');
});

test('a status fits onto one line for logs', () => {
  const expected = { ...BACKFILL, expected: 2000, secondsLeft: 13 };
  expect({
    usual: statusLine(aStatus({ ratePerSecond: { oneMinute: 1234.4, fiveMinutes: 900 } })),
    unhealthy: statusLine(aStatus({ endpoint: { state: 'unhealthy' } })),
    'a backfill': statusLine(aStatus({ backfill: expected })),
    'a paused backfill': statusLine(aStatus({ backfill: { ...expected, state: 'paused' } })),
    'a backfill whose source fails': statusLine(aStatus({ backfill: { ...expected, trouble: 'HTTP 503.' } })),
  }).toMatchSnapshot();
});

test('a status fits into 80 columns, however long its parts are', () => {
  const status = aStatus({ webhookUrl: `https://example.com/${'a'.repeat(300)}`, notices: ['word '.repeat(60)] });
  for (const line of statusLines(status, { nowMs })) expect(line.length).toBeLessThanOrEqual(80);
});

test.each([
  ['a terminal escape', '\u001b[2J\u001b]0;title\u0007'],
  ['a turned direction', 'safe\u202egnp.exe\u2066'],
])('from wherever it comes, %s is spelt out and does nothing', (_, hostile) => {
  const at = '2026-11-25T11:59:00Z';
  const lines = statusLines(
    aStatus({
      reason: hostile,
      label: hostile,
      webhookUrl: hostile,
      authorization: hostile,
      exportFields: [hostile],
      audiences: [{ id: 'a', slug: hostile, name: hostile }],
      lastFailure: { at, status: 500, answer: hostile },
      rejects: [{ at, reason: hostile }],
      notices: [hostile],
      backfill: aBackfill({ state: 'lost', at, audiences: [], notice: hostile }),
    }),
    { nowMs },
  );
  expect(lines.join('')).not.toMatch(/[\p{Cc}\u2028\u202e\u2066]/u);
  expect(lines.join('').split(String.raw`\u`).length).toBeGreaterThan(10);
});

const STOPPED: JobOverview = {
  jobId: 'old',
  workflowId: 'w',
  taskQueue: 'q',
  state: 'stopped',
  running: false,
  startedAt: new Date(nowMs),
};

function listed(jobs: readonly JobOverview[]): string[] {
  return jobTable(jobs, { nowMs });
}

test('the list of running jobs shows what waits, was delivered and died, and whether an endpoint is unhealthy', () => {
  const job = { workflowId: 'w', taskQueue: 'q', state: 'running', running: true, startedAt: new Date(nowMs) };
  const lines = listed([
    { ...job, jobId: 'well', numbers: { waiting: 0, delivered: 12_345, lastDeliveredAt: '2026-11-25T11:59:30Z' } },
    { ...job, jobId: 'ill', numbers: { waiting: 7, delivered: 0, endpoint: 'unhealthy', deadLettersWaiting: 2 } },
    {
      ...job,
      jobId: 'again',
      numbers: { waiting: 0, delivered: 0, deadLettersWaiting: 3, deadLettersOfEarlierJobs: 2 },
    },
    { ...job, jobId: 'silent' },
  ]);
  expect(lines.slice(1).map((line) => line.split(/ {2,}/))).toEqual([
    ['well', 'running', '0', '12,345', '30 s ago'],
    ['ill', 'running, endpoint unhealthy', '7', '0', 'never', '2'],
    ['again', 'running', '0', '0', 'never', '3 (2 earlier)'],
    ['silent', 'running', '?', '?', '?', '?'],
  ]);
});

test('the list says how to get back what a job had not delivered when it was ended from outside', () => {
  const ended = {
    workflowId: 'w',
    taskQueue: 'q',
    running: false,
    startedAt: new Date(nowMs),
    endedFromOutside: true,
  } as const;
  const lines = listed([
    { ...ended, jobId: 'a', state: 'terminated', left: { until: '2026-11-26T12:00:00Z', waiting: 2_000 } },
    { ...ended, jobId: 'b', state: 'failed', left: { waiting: 0 } },
  ]);
  expect(lines[1]?.split(/ {2,}/)).toEqual(['a', 'terminated', 'about 2,000']);
  const advice = lines.slice(3).join(' ');
  expect(advice).toMatch(/About 2,000 .*2026-11-26 12:00:00 UTC.*triggers recover a/);
  expect(advice).not.toContain('recover b');
});

test('the list of jobs is a table that fits', () => {
  const startedAt = new Date(nowMs);
  const lines = listed([
    {
      jobId: 'vip-to-crm',
      workflowId: 'w',
      taskQueue: 'q',
      state: 'running',
      running: true,
      label: 'VIP to CRM',
      startedAt,
    },
    {
      jobId: 'old',
      workflowId: 'w',
      taskQueue: 'q',
      state: 'stopped',
      running: false,
      label: 'x'.repeat(100),
      audiences: [{ id: '1', slug: 'vip' }],
      startedAt,
    },
  ]);
  expect(lines[0]).toMatch(/^JOB +STATE +WAITING +DELIVERED +LAST +LETTERS +LABEL/);
  expect(lines[1]).toMatch(/^vip-to-crm +running .* VIP to CRM/);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
});

test('the list of jobs says what a stopped one kept, and what is not known', () => {
  const line = (more: Partial<JobOverview>) => listed([{ ...STOPPED, ...more }])[1];
  expect({
    kept: line({ kept: { waiting: 1234, keptAt: '2026-11-25T10:00:00Z' } }),
    'ended otherwise': line({ state: 'terminated' }),
  }).toMatchSnapshot();
});

test('lines break at spaces, and inside a word only when it is longer than a line', () => {
  expect(wrap('one two three', 7)).toEqual(['one two', 'three']);
  expect(wrap('abcdefghij', 4)).toEqual(['abcd', 'efgh', 'ij']);
  expect(wrap('', 10)).toEqual(['']);
});

test.each([
  [8_000, '8 s'],
  [180_000, '3 min'],
  [3 * 3_600_000, '3 h'],
  [5 * 86_400_000, '5 days'],
])('%i ms is said as %s', (ms, words) => {
  expect(duration(ms)).toBe(words);
});

test.each([
  ['90s', 90_000],
  ['2h', 7_200_000],
  ['1h30m', 5_400_000],
  ['500ms', 500],
])('%s is read as %i ms', (text, ms) => {
  expect(readDuration(text)).toBe(ms);
});

test.each(['', '30', 'm', '30 m', '-5m', '1.5h', '30m ago', '1e3s', '99999999999999d'])('%j is no duration', (text) => {
  expect(readDuration(text)).toBeUndefined();
});

test('a line has at least one character, also in a terminal without a size', () => {
  expect(wrap('ab c', 0)).toEqual(['a', 'b', 'c']);
  expect(wrap('ab c', -2)).toEqual(['a', 'b', 'c']);
});

test('a time is given relative to now', () => {
  expect(fromNow('2026-11-25T12:00:30Z', nowMs)).toBe('in 30 s');
  expect(fromNow('2026-11-25T11:59:30Z', nowMs)).toBe('30 s ago');
});

test('a list, and what is printed about a start, cannot control the terminal either', () => {
  const hostile = '\u001b[2J\u202e';
  const startedAt = new Date(nowMs);
  const lines = [
    ...listed([
      { jobId: hostile, workflowId: 'w', taskQueue: 'q', state: 'running', running: true, label: hostile, startedAt },
    ]),
    ...startedLines(
      {
        jobId: 'vip',
        workflowId: 'w',
        runId: 'r',
        audiences: [
          { id: 'a', slug: hostile, name: hostile },
          { id: 'b', slug: hostile, name: hostile, size: 3 },
        ],
        warnings: [hostile],
        twins: [],
        missingSearchAttributes: [],
      },
      '',
    ),
  ];
  expect(lines.join('')).not.toMatch(/[\p{Cc}\u202e]/u);
});

test('sentences that quote what somebody else wrote do nothing to the terminal', () => {
  expect(sentences('It subscribes to "\u001b[2J\u202e".\nNothing else.', { columns: 80 })).toBe(
    String.raw`It subscribes to "\u001b[2J\u202e".` + '\nNothing else.',
  );
});

test('sentences are broken at spaces where a line is full; lines that fit stay as they are', () => {
  const text = `  two   spaces\n${'word '.repeat(20)}end`;
  const lines = sentences(text, { columns: 40 }).split('\n');
  expect(lines[0]).toBe('  two   spaces');
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(40);
  expect(lines.slice(1).join(' ')).toBe(`${'word '.repeat(20)}end`);
});

test('letters that take two columns, and marks that take none, do not move the columns of a table', () => {
  const rows = [
    ['LABEL', 'STATE'],
    ['会员同步', 'running'],
    ['🎁 gifts', 'paused'],
    ['cafe\u0301', 'stopped'],
  ];
  expect(table(rows, 80)).toEqual([
    'LABEL     STATE',
    '会员同步  running',
    '🎁 gifts  paused',
    'cafe\u0301      stopped',
  ]);
  expect(table([['会员同步', 'running']], 8)).toEqual(['会员同…']);
  expect(wrap('会员同步 running', 8)).toEqual(['会员同步', 'running']);
  expect(wrap('会员同步', 5)).toEqual(['会员', '同步']);
});

test('a coloured text that is broken is coloured on each of its lines', () => {
  const red = (text: string): string => `\u001B[31m${text}\u001B[39m`;
  expect(wrap(red('one two'), 4)).toEqual([red('one'), red('two')]);
});

test('a problem of several lines keeps them, so that a caret stays below its place', () => {
  const message = 'it can never be valid JSON:\n  {"a" \u00071}\n       ^';
  expect(problemLines([{ field: 'body', message }])).toEqual([
    '  body  it can never be valid JSON:',
    '          {"a" \\u00071}',
    '               ^',
  ]);
});
