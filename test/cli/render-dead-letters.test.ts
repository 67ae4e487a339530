import { describe, expect, test } from '@jest/globals';
import { reportLines, summaryLines } from '../../src/cli/render-dead-letters.ts';
import type { DeadLetterReport, DeadLetterSummary } from '../../src/client/export-jobs.ts';

const nowMs = Date.parse('2026-11-25T12:00:00Z');
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
  return reportLines({ ...report, ...changed }, { nowMs })
    .join(' ')
    .replaceAll(/ +/g, ' ');
}

test('the list says on two lines which, why, when, what, whose and of which job', () => {
  expect(summaryLines(summary, { nowMs })).toEqual([
    '36e243f8fd8f4530bbd330fa7fb1a685-0  HTTP 422, 3 h ago',
    '  enter of 7076027172059065053, vip, job vip-to-crm',
  ]);
});

test('the list says why one was not redelivered', () => {
  expect(summaryLines({ ...summary, notice: 'The person left.' }, { nowMs }).at(-1)).toBe(
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
    for (const line of reportLines(long, { nowMs })) expect(line.length).toBeLessThanOrEqual(80);
  });
});

test('nothing from outside can control the terminal', () => {
  const evil = '\u001b[2J\u202e';
  const lines = [
    ...summaryLines({ ...summary, user: evil, audience: evil, jobId: evil, failure: evil, notice: evil }, { nowMs }),
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
      { nowMs },
    ),
  ];
  expect(lines.join('')).not.toMatch(/[\p{Cc}\u202e]/u);
  expect(lines.join('')).toContain(String.raw`\u001b[2J\u202e`);
});

test('what an endpoint answered, or a trigger said, does nothing to the terminal', () => {
  const hostile = '\u001b[2J\u009b31m\u0000\r\u202egnp.exe\u2028';
  const failure = { at: '2026-11-25T09:00:00Z', status: 422, answer: hostile };
  const lines = [
    ...reportLines({ ...report, user: hostile, failure, notice: hostile }, { nowMs }),
    ...summaryLines({ ...summary, user: hostile, failure: hostile, notice: hostile }, { nowMs }),
  ];
  expect(lines.join('')).not.toMatch(/[\p{Cc}\u202e\u2028]/u);
});
