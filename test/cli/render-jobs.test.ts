import { describe, expect, test } from '@jest/globals';
import { readDuration } from '../../src/contract/duration.ts';
import { jobTable, problemLines, startedLines, statusLine, statusLines } from '../../src/cli/render-jobs.ts';
import { fromNow, sentences, table, wrap } from '../../src/cli/text.ts';
import type { JobOverview } from '../../src/client/export-jobs.ts';
import { duration } from '../../src/domain/shown.ts';
import { aStatus } from './a-status.ts';

const nowMs = Date.parse('2026-11-25T12:00:00Z');

describe('a status for people', () => {
  test('says the state in words, the counts, and nothing that is not there', () => {
    const text = statusLines(aStatus(), { nowMs }).join('\n');
    expect(text).toContain('VIP to CRM (vip-to-crm)');
    expect(text).toMatch(/State +running/);
    expect(text).toMatch(/Received +12,345/);
    expect(text).toMatch(/In flight +3 of at most 20/);
    expect(text).not.toContain('undefined');
    expect(text).not.toContain('Last failure');
    expect(text).not.toContain('Backfill');
  });

  test('shows what went wrong, what was refused and what to do', () => {
    const text = statusLines(
      aStatus({
        state: 'paused',
        reason: 'the endpoint said 410',
        lastFailure: { at: '2026-11-25T11:59:00Z', status: 503, answer: 'try later' },
        rejects: [{ at: '2026-11-25T11:00:00Z', reason: '"user" must be a string' }],
        notices: ['The endpoint is gone.'],
        deadLetters: 2,
      }),
      { nowMs },
    ).join('\n');
    expect(text).toContain('HTTP 503, 60 s ago: try later');
    expect(text).toContain('60 min ago: "user" must be a string');
    expect(text).toContain('The endpoint is gone.');
    expect(text).toMatch(/Dead letters +2 so far/);
    const letters = (deadLettersWaiting: number): string =>
      statusLines(aStatus({ deadLetters: 2, deadLettersWaiting }), { nowMs, columns: 120 }).join('\n');
    expect(letters(1)).toMatch(/Dead letters +1 waits for a decision, 2 so far/);
    expect(letters(0)).toMatch(/Dead letters +none waits for a decision; 2 so far$/m);
    expect(text).toMatch(/Why +the endpoint said 410/);
  });

  test('says why an attempt failed in words, not in codes', () => {
    const lastFailure = { at: '2026-11-25T11:59:52Z', code: 'PROFILE_MISSING' };
    const text = statusLines(aStatus({ lastFailure }), { nowMs }).join('\n');
    expect(text).toMatch(/Last failure +the audience source does not know the person \(yet\), 8 s ago/);
  });

  test('says that the endpoint is unhealthy, when it is tried again, and what a person can do', () => {
    const endpoint = { state: 'unhealthy', nextProbeAt: '2026-11-25T12:00:20Z', advice: 'Check the URL.' } as const;
    const text = statusLines(aStatus({ endpoint }), { nowMs, columns: 120 }).join('\n');
    expect(text).toMatch(/Endpoint +unhealthy; only single probes are sent, the next one in 20 s\. Check the URL\./);
    expect(statusLine(aStatus({ endpoint }))).toContain('endpoint unhealthy');
  });

  test('says what a new endpoint gets, and why nothing it refuses is given up', () => {
    const text = statusLines(aStatus({ endpoint: { state: 'new' } }), { nowMs, columns: 120 }).join('\n');
    expect(text).toMatch(
      /Endpoint +new: it has accepted nothing yet, so it gets one request at a time, and what it refuses is kept/,
    );
  });

  test('says that an endpoint comes back', () => {
    const text = statusLines(aStatus({ endpoint: { state: 'recovering' } }), { nowMs }).join('\n');
    expect(text).toMatch(/Endpoint +recovering; requests in flight grow back to 20/);
  });

  test('says what waits outside the state, and what was signalled again', () => {
    const text = statusLines(aStatus({ overflow: 40, repeated: 7, rejected: 2 }), { nowMs }).join('\n');
    expect(text).toMatch(/Waiting +45, 40 outside the job's own state/);
    expect(text).toMatch(
      /Received +12,345, of which 7 were repeats and not sent again, beside 2\s+that\s+were\s+rejected/,
    );
  });

  test('says what a stopped job kept, and how to go on', () => {
    const kept = { waiting: 45, keptAt: '2026-11-25T10:00:00Z' };
    const text = statusLines(aStatus({ state: 'stopped', kept }), { nowMs }).join('\n');
    expect(text).toMatch(/Kept +45 triggers, 2 h ago; resume the job to send them/);
    expect(text).not.toContain('Waiting');
    const nothing = statusLines(aStatus({ state: 'stopped', kept: { ...kept, waiting: 0 } }), { nowMs }).join('\n');
    expect(nothing).toMatch(/Kept +0 triggers, 2 h ago$/m);
  });

  test('draws how far a backfill is', () => {
    const backfill = {
      n: 1,
      state: 'running' as const,
      at: '2026-11-25T11:00:00Z',
      audiences: ['vip'],
      taken: 1000,
      delivered: 480,
      superseded: 20,
      deadLetters: 1,
      waiting: 500,
      ratePerSecond: 0,
    };
    const text = statusLines(aStatus({ backfill }), { nowMs, columns: 160 }).join('\n');
    expect(text).toContain(
      '████████████░░░░░░░░░░░░ running, 480 sent of 1,000 read, 20 left out (newer live trigger), 1 dead letter',
    );
    const more = { ...backfill, expected: 2000, ratePerSecond: 120.4, secondsLeft: 13 };
    const known = aStatus({ backfill: more });
    expect(statusLines(known, { nowMs, columns: 160 }).join('\n')).toContain(
      '██████░░░░░░░░░░░░░░░░░░ running, 480 sent of 2,000, 20 left out (newer live trigger), 1 dead letter, 120/s, 13 s left',
    );
    expect(statusLine(known)).toContain('backfill 480 of 2,000, 13 s left');
    const paused = aStatus({ backfill: { ...more, state: 'paused', pausedBy: 'sample' } });
    expect(statusLines(paused, { nowMs, columns: 160 }).join('\n')).toContain(
      'paused, now that the sample is sent, 480 sent',
    );
    expect(statusLine(paused)).toContain('backfill paused at 480');
    const removed = aStatus({ backfill: { ...more, leftOut: [{ audience: 'news', members: 1000 }] } });
    expect(statusLines(removed, { nowMs, columns: 160 }).join('\n')).toContain(
      '██████████████████░░░░░░ running, 480 sent of 2,000, 20 left out (newer live trigger), 1,000 left out (news was removed), 1',
    );
    const trouble = 'The source was asked and failed: HTTP\u001b[2J 503.';
    const stuck = aStatus({ backfill: { ...more, trouble } });
    expect(statusLines(stuck, { nowMs, columns: 160 }).join('\n')).toContain('failed: HTTP\\u001b[2J 503.');
    expect(statusLine(stuck)).toContain('backfill 480 of 2,000, 13 s left, its source is failing');
  });

  test('fits into 80 columns, however long its parts are', () => {
    const status = aStatus({ webhookUrl: `https://example.com/${'a'.repeat(300)}`, notices: ['word '.repeat(60)] });
    for (const line of statusLines(status, { nowMs })) expect(line.length).toBeLessThanOrEqual(80);
  });

  test.each([
    ['a terminal escape', '\u001b[2J\u001b]0;title\u0007'],
    ['a control of eight bits', '\u009b31m'],
    ['a NUL and a bell', '\u0000\u0007'],
    ['a carriage return', 'first\rsecond'],
    ['a turned direction', 'safe\u202egnp.exe\u2066'],
    ['a line separator', 'one\u2028two'],
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
        backfill: {
          n: 1,
          state: 'lost',
          at,
          audiences: [],
          taken: 0,
          delivered: 0,
          superseded: 0,
          deadLetters: 0,
          waiting: 0,
          ratePerSecond: 0,
          notice: hostile,
        },
      }),
      { nowMs },
    );
    expect(lines.join('')).not.toMatch(/[\p{Cc}\u2028\u202e\u2066]/u);
    expect(lines.join('').split(String.raw`\u`).length).toBeGreaterThan(10);
  });

  test('fits onto one line for logs', () => {
    expect(statusLine(aStatus(), 1234.4)).toBe('running  delivered 12,300  waiting 45  in flight 3  1,234/s');
  });
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

test('the list of jobs says of each running one what waits, was delivered and died, and whether its endpoint is unhealthy', () => {
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

test('nothing from outside can control the terminal', () => {
  const evil = '\u001b[2J';
  const failure = { at: '2026-11-25T11:59:00Z', status: 500, answer: evil };
  const status = aStatus({
    label: evil,
    reason: evil,
    notices: [evil],
    rejects: [{ at: '2026-11-25T11:00:00Z', reason: evil }],
    lastFailure: failure,
  });
  const lines = [
    ...statusLines(status, { nowMs }),
    ...listed([{ ...STOPPED, label: evil, audiences: [{ id: '1', slug: evil }] }]),
  ];
  expect(lines.join('')).not.toContain('\u001b');
});

test('the list of jobs says what a stopped one kept', () => {
  const [, line] = listed([{ ...STOPPED, kept: { waiting: 1234, keptAt: '2026-11-25T10:00:00Z' } }]);
  expect(line).toMatch(/^old +stopped, 1,234 kept$/);
});

test.each([
  [{ waiting: 1234, backfill: true, aside: 0 }, 'stopped, 1,234 recoverable, and a backfill'],
  [{ waiting: undefined, backfill: false, aside: 0 }, 'stopped, recoverable'],
  [{ waiting: 0, backfill: false, aside: 1 }, 'stopped, recoverable'],
  [{ waiting: 0, backfill: false, letters: 2 }, 'stopped, recoverable'],
])(
  'the list of jobs says that what a stopped one kept can be recovered, where it was ended from outside: %j',
  (left, text) => {
    const ended = {
      ended: 'terminated',
      kept: true,
      aside: 0,
      letters: 0,
      recoverableUntil: '2026-11-28T10:00:00.000Z',
    };
    const [, line] = listed([{ ...STOPPED, recoverable: { ...ended, ...left } }]);
    expect(line).toBe(`old  ${text}`);
  },
);

test('of one that did not end normally, the list does not say that nothing waits', () => {
  const [, line] = listed([{ ...STOPPED, state: 'terminated' }]);
  expect(line).toMatch(/^old +terminated +\?$/);
});

test('problems stand under each other by field', () => {
  expect(
    problemLines([
      { field: 'label', message: 'Give the job a label.' },
      { field: 'webhookUrl', message: 'This is not a web address.' },
      { field: '', message: 'A job is a JSON object.' },
    ]),
  ).toEqual([
    '  label       Give the job a label.',
    '  webhookUrl  This is not a web address.',
    '  job         A job is a JSON object.',
  ]);
});

test('lines break at spaces, and inside a word only when it is longer than a line', () => {
  expect(wrap('one two three', 7)).toEqual(['one two', 'three']);
  expect(wrap('abcdefghij', 4)).toEqual(['abcd', 'efgh', 'ij']);
  expect(wrap('', 10)).toEqual(['']);
});

test('a table cuts what does not fit', () => {
  expect(table([['a', 'bbbbbbbbbb']], 8)).toEqual(['a  bbbb…']);
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
  ['30m', 1_800_000],
  ['2h', 7_200_000],
  ['7d', 604_800_000],
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
  expect(sentences('It listens to "\u001b[2J\u202e".\nNothing else.', { columns: 80 })).toBe(
    String.raw`It listens to "\u001b[2J\u202e".` + '\nNothing else.',
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
