import { describe, expect, test } from '@jest/globals';
import { startedText } from '../../src/cli/commands/watch.ts';
import { RateMeter, watchLines, watchStatus } from '../../src/cli/render-watches.ts';
import { NoWorker } from '../../src/client/errors.ts';
import type { DeadLetterReport, DeadLetterSummary, WatchStatus } from '../../src/client/export-jobs.ts';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { aStatus } from './a-status.ts';
import { aTerminal } from './a-terminal.ts';
import { answerLines, requestLines, tableLines, testedText } from '../../src/cli/render-sample.ts';
import { indentedJson } from '../../src/domain/indented-json.ts';
import { meaningOf } from '../../src/domain/sample-meaning.ts';
import { plain } from '../../src/cli/terminal.ts';
import type { Sample } from '../../src/contract/sample.ts';
import { planLines } from '../../src/cli/render-plan.ts';
import { editedLines } from '../../src/cli/commands/edit.ts';
import { reportLines, summaryLines } from '../../src/cli/render-dead-letters.ts';

const AUDIENCE = { id: 'a'.repeat(32), slug: 'vip', name: 'Very important' };
const nowMs = Date.parse('2026-11-25T08:31:00Z');
const STATUS: WatchStatus = {
  v: 1,
  state: 'waiting',
  audience: AUDIENCE,
  everyMs: 300_000,
  emitExisting: false,
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
    told: { jobs: 2, unreadable: [] },
  },
};

test('a watch shows what it found, and when and how often it looks again', () => {
  expect(watchLines({ audience: AUDIENCE, status: STATUS }, { nowMs })).toEqual([
    'vip (Very important)',
    `  Id            ${AUDIENCE.id}`,
    '  State         waiting for the next round',
    '  Members       56,789',
    '  Reported      1,234 enters and 1 exit in 12 rounds',
    '  Last round    60 s ago, 3 in, 1 out, told to 2 jobs, took 4 s',
    '  Next round    in 4 min, every 5 min',
    '  Settings      When more than 20 % of the members leave at once, that is held',
    '                until it is seen twice. Where there is nothing to compare with,',
    '                nobody is reported.',
  ]);
});

test('a running watch that is given other settings says all of them as they are now', () => {
  const settings = { ...STATUS, audience: AUDIENCE, emitExisting: true, largestExitPercent: 100 };
  expect(startedText(false, settings)).toBe(
    'Already watching vip; now every 5 min. No exits are held. Where there is nothing to compare with, everybody is reported as entering.',
  );
});

test('what is held says what to do, what fails says why, what was missed and who was not told is named', () => {
  const at = '2026-11-25T08:30:00.000000000Z';
  const status: WatchStatus = {
    ...STATUS,
    state: 'held',
    held: { exits: 40_000, members: 16_789, at },
    trouble: { since: at, failures: 3, notHere: 0, reason: 'down\u001b[2J\ntoo' },
    missed: { from: at, to: at },
    last: {
      ...STATUS.last!,
      told: { jobs: 1, unreadable: ['secret-job'], absent: ['away-job'], lost: [{ jobId: 'late', from: at, to: at }] },
    },
  };
  const text = watchLines({ audience: AUDIENCE, status }, { nowMs, columns: 400 }).join('\n');
  expect(text).toContain('triggers watch vip --accept');
  expect(text).toContain('3 failures: down\\u001b[2J too');
  expect(text).toContain('because the snapshot was lost');
  expect(text).toContain('secret-job');
  expect(text).toContain('away-job: not running, and told what was missed in the first round after it runs again');
  expect(text).toContain('late was not told what changed from 2026-11-25T08:30:00 to 2026-11-25T08:30:00 UTC');
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

test('a program gets one status per line', async () => {
  const { terminal, out } = aTerminal({ interactive: true });
  await watchStatus(jobThatSays([aStatus()]), 'vip', terminal, { ...quick, json: true });
  expect(out.map((line) => (JSON.parse(line) as JobStatus).state)).toEqual(['running', 'stopped']);
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

test('the rate is that of the last ten seconds', () => {
  const meter = new RateMeter();
  expect(meter.read(1000, 0)).toBeUndefined();
  expect(meter.read(2000, 1000)).toBe(1000);
  expect(meter.read(2000, 12_000)).toBeUndefined();
  expect(meter.read(2100, 13_000)).toBe(100);
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
});

test('a body that was cut says how much there is yet', () => {
  expect(requestLines(sample, { interactive: false, paint: plain }).at(-1)).toBe('… and 999,999 more bytes');
});

test('an answer says what came, how long it took, what was asked, and what it would mean', () => {
  const answer = {
    ok: false,
    status: 429,
    verdict: 'throttled' as const,
    retryAfterMs: 90_000,
    durationMs: 1234,
    answer: 'slow\u001Bdown',
    isSecond: false,
  };
  expect(answerLines({ answer }).join('\n')).toBe(
    [
      '  Answer        HTTP 429',
      String.raw`  It said       slow\u001bdown`,
      '  Wait          90 s, according to Retry-After',
      '  Took          1,234 ms, including connecting',
      '  Verdict       The endpoint asks to wait. A job would wait that long with all',
      '                its triggers; no attempt is counted.',
    ].join('\n'),
  );
});

test('where no request was made, that is said', () => {
  const answer = {
    ok: false,
    code: 'ADDRESS_REFUSED',
    verdict: 'worker-fault' as const,
    durationMs: 0,
    isSecond: false,
  };
  expect(answerLines({ answer })[0]).toContain('the worker may not connect to this address');
  expect(meaningOf(answer)).toContain('The request was not made');
});

test('a message that never reached the endpoint was tried, not sent', () => {
  const answer = { ok: false, verdict: 'transient' as const, durationMs: 1, isSecond: false };
  const testedBy = (more: object): string => testedText({ ...sample, answer: { ...answer, ...more } });
  expect(testedBy({ status: 503 })).toBe('1 enters vip. It was sent once, as a test.');
  expect(testedBy({ code: 'ENOTFOUND' })).toBe('1 enters vip. It was tried once, as a test.');
});

test('what a refusal means depends on whether the endpoint ever took anything, and that is said', () => {
  const meaning = meaningOf({ verdict: 'refused' });
  expect(meaning).toMatch(/a dead letter at once.*has accepted nothing at all/);
});

test('how often a job would send it again, and for how long, is said by how long it tries', () => {
  const answer = { ok: false, status: 500, verdict: 'transient' as const, durationMs: 1, isSecond: false };
  const again = (times: string) =>
    `The endpoint is unhealthy. A job would send it again ${times}, then make it a dead letter.`;
  expect(meaningOf(answer)).toBe(again('9 times over 28 h'));
  expect(meaningOf(answer, { retryFor: '1h' })).toBe(again('6 times over 60 min'));
  expect(answerLines({ answer, retryFor: '7d' }).join(' ').replaceAll(/ +/g, ' ')).toContain('23 times over 7 days');
  expect(tableLines({ ...sample, retryFor: '2d' })).toContain('  Tried again   408, 425, 5xx; for 2d');
});

test('what answers mean is shown by statuses, and a class for the rest of its own', () => {
  expect(tableLines(sample)).toEqual([
    'What its answers mean',
    '  Delivered     2xx',
    '  Tried again   408, 425, 5xx',
    '  Set up wrong  3xx, 401, 403, 404, 405, 407; tried again',
    '  Waits         429, 503 with Retry-After',
    '  Pauses        410',
    '  Refused       other 4xx; a dead letter, unless the endpoint has accepted',
    '                nothing or refuses everybody',
  ]);
});

test('a meaning is the one that the worker says, where the job has answers of its own, and the table shows them', () => {
  expect(meaningOf({ verdict: 'delivered' })).toBe('A job would count it as delivered.');
  expect(meaningOf({ verdict: 'misconfigured' })).toMatch(/Only a person can fix this/);
  const lines = tableLines({ ...sample, answers: { '404': 'delivered', '5xx': 'dead-letter', '423': 'pause' } });
  expect(lines).toEqual(
    expect.arrayContaining(['  Delivered     2xx, 404', '  Pauses        410, 423', '  Dead letter   5xx']),
  );
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

test('the list says on two lines which, why, when, what, whose and of which job', () => {
  expect(summaryLines(summary, { nowMs: letterNowMs })).toEqual([
    '36e243f8fd8f4530bbd330fa7fb1a685-0  HTTP 422, 3 h ago',
    '  enter of 7076027172059065053, vip, job vip-to-crm',
  ]);
});

test('the list says why one was not redelivered', () => {
  expect(summaryLines({ ...summary, notice: 'The person left.' }, { nowMs: letterNowMs }).at(-1)).toBe(
    '  Not redelivered: The person left.',
  );
});

describe('one of them', () => {
  test('one whose profile is gone cannot be sent, so nobody is advised to', () => {
    const lost = shown({ failure: { at: '2026-11-25T09:00:00Z', code: 'PROFILE_LOST' } });
    expect(lost).toContain('push the trigger again');
    expect(lost).toContain(`triggers dead-letters discard ${id}`);
    expect(lost).not.toContain('redeliver');
  });

  test('who, what, when, which audience, what the endpoint answered, and how often it was tried', () => {
    expect(shown()).toContain('Person 7076027172059065053');
    expect(shown()).toContain('Trigger enter, at 2026-11-25T08:30:00Z');
    expect(shown()).toContain('Audience vip (Very important)');
    expect(shown()).toContain('Last attempt HTTP 422, 3 h ago: email is missing');
    expect(shown()).toContain('Attempts 1');
    expect(shown()).not.toMatch(/undefined|Not sent|Redelivered/);
  });

  test('what to do next, and until when', () => {
    expect(shown()).toContain(`triggers dead-letters redeliver ${id} Or`);
    expect(shown()).toContain(`triggers dead-letters discard ${id}`);
    expect(shown()).toContain('Without a decision it expires in 30 days.');
  });

  test('why it was not redelivered, and how to send it all the same', () => {
    const refused = shown({ notice: 'The person is not in the audience today.', forceable: true });
    expect(refused).toContain('Not sent The person is not in the audience today.');
    expect(refused).toContain(`redeliver ${id} --force`);
    expect(shown({ notice: 'It belongs to an earlier job crm.' })).not.toContain('--force');
  });

  test('how often it came back', () => {
    expect(shown({ redeliveries: 1 })).toContain('Redelivered once before');
    expect(shown({ redeliveries: 2 })).toContain('Redelivered 2 times before');
  });

  test('one that is decided needs nothing more', () => {
    expect(shown({ state: 'discarded' })).toContain('State discarded');
    expect(shown({ state: 'redelivered' })).not.toContain('Next');
  });

  test('fits into 80 columns', () => {
    const long = { ...report, user: 'u'.repeat(255), failure: { ...report.failure, answer: 'word '.repeat(50) } };
    for (const line of reportLines(long, { nowMs: letterNowMs })) expect(line.length).toBeLessThanOrEqual(80);
  });
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

test('what an endpoint answered, or a trigger said, does nothing to the terminal', () => {
  const hostile = '\u001b[2J\u009b31m\u0000\r\u202egnp.exe\u2028';
  const failure = { at: '2026-11-25T09:00:00Z', status: 422, answer: hostile };
  const lines = [
    ...reportLines({ ...report, user: hostile, failure, notice: hostile }, { nowMs: letterNowMs }),
    ...summaryLines({ ...summary, user: hostile, failure: hostile, notice: hostile }, { nowMs: letterNowMs }),
  ];
  expect(lines.join('')).not.toMatch(/[\p{Cc}\u202e\u2028]/u);
});
