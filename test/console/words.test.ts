import { describe, expect, test } from '@jest/globals';
import {
  ago,
  backfillSentence,
  clockTime,
  jobSentence,
  shellWord,
  spanWord,
  toneOf,
  utc,
} from '../../src/console/words.ts';
import { readDuration } from '../../src/contract/duration.ts';
import type { BackfillStatus, JobStatus } from '../../src/contract/job-status.ts';

const NOW = Date.parse('2026-11-27T12:00:00Z');
const at = (seconds: number): string => new Date(NOW + seconds * 1000).toISOString();

describe('times', () => {
  test('are said as seen from now, on either side of it', () => {
    expect([at(-8), at(0), at(1), at(120)].map((one) => ago(one, NOW))).toEqual(['8 s ago', 'now', 'now', 'in 2 min']);
  });

  test('of another day have that day', () => {
    expect(clockTime(at(0), NOW)).not.toContain(',');
    expect(clockTime(at(-3 * 86_400), NOW)).toMatch(/24.*, |24, /);
  });

  test('are said in UTC, and what is none is said as it is', () => {
    expect(utc('2026-11-27T12:00:00.123456789+01:00')).toBe('2026-11-27 11:00:00.123 UTC');
    expect([utc('soon'), ago('soon', NOW), clockTime('soon', NOW)]).toEqual(['soon', 'soon', 'soon']);
  });
});

test('a state that nobody listed is bad', () => {
  expect([toneOf('running'), toneOf('kept'), toneOf('terminated')]).toEqual(['good', 'quiet', 'bad']);
});

describe('what a job does, in one sentence', () => {
  const status = (more: Partial<JobStatus>): JobStatus =>
    ({ state: 'running', waiting: 0, inFlight: 0, held: 0, parallelRequestCount: 5, ...more }) as JobStatus; // All that it reads.
  const said = (more: Partial<JobStatus>): string => jobSentence(status(more), NOW);

  test.each<[string, Partial<JobStatus>]>([
    ['Up to date: nothing is waiting.', {}],
    // What is left for a person to decide about is no part of what waits, and is not passed over.
    ['Up to date: nothing is waiting apart from 5 dead letters.', { deadLettersWaiting: 5 }],
    ['Paused: nothing is waiting apart from 1 dead letter.', { state: 'paused', deadLettersWaiting: 1 }],
    ['Sending: 1 request of at most 5 in flight, 1 trigger waits.', { waiting: 1, inFlight: 1 }],
    ['2 triggers wait, of 1 person for the next attempt.', { waiting: 2, held: 1 }],
    ['3 triggers wait, of 2 people for the next attempt.', { waiting: 3, held: 2 }],
    [
      'Paused by an operator. Triggers are accepted and kept. 2 triggers wait.',
      { state: 'paused', reason: 'Paused by an operator. Triggers are accepted and kept.', waiting: 2 },
    ],
    ['Paused: nothing is waiting.', { state: 'paused' }],
    ['Stopped. It takes no more triggers.', { state: 'stopped' }],
    [
      'Stopped. The label is missing. It takes no more triggers.',
      { state: 'stopped', reason: 'The label is missing.' },
    ],
    [
      'Stopped. It keeps 1 trigger for when it is resumed, and takes no more until then.',
      { state: 'stopped', kept: { waiting: 1, keptAt: at(-60) } },
    ],
    // How to do so in a terminal is not said where there is a button.
    [
      'Ended from outside. What it had not delivered can be recovered; until then it takes no more triggers.',
      { state: 'stopped', reason: 'Recover it before you start it again.', recoverableUntil: at(3600) },
    ],
    [
      'Stopped. Its definition is wrong. It takes no more triggers.',
      { state: 'stopped', reason: 'Its definition is wrong.', recoverableUntil: at(3600), problems: [] },
    ],
    ['Stopping: nothing is waiting.', { state: 'stopping' }],
    [
      'Asked to stop; what is waiting is kept for a later resume. 1 trigger waits.',
      { state: 'stopping', reason: 'Asked to stop; what is waiting is kept for a later resume.', waiting: 1 },
    ],
    [
      'The endpoint asked to wait; the next request goes in 30 s. 1 trigger waits.',
      { waiting: 1, throttledUntil: at(30) },
    ],
    ['Quiet hours, which end in 2 h: 1 trigger waits.', { waiting: 1, quietUntil: at(7200) }],
  ])('%s', (sentence, more) => {
    expect(said(more)).toBe(sentence);
  });

  test('times in a reason are by the clock of whoever looks', () => {
    const reason = `Asked to stop; what is left at ${at(-60)} is kept.`;
    expect(said({ state: 'stopping', reason })).toBe(
      `Asked to stop; what is left at ${clockTime(at(-60), NOW)} is kept. Nothing is waiting.`,
    );
  });

  test('what is wrong comes before what is going on', () => {
    const endpoint = { state: 'unhealthy', nextProbeAt: at(5) } as const;
    expect(said({ endpoint, waiting: 4, inFlight: 1, lastFailure: { at: at(-1), status: 503 } })).toBe(
      'The endpoint does not take what is sent (HTTP 503): 4 triggers wait; the next try is in 5 s.',
    );
  });
});

test('a backfill says what became of everybody, and its pace only while it runs', () => {
  const backfill = { state: 'running', delivered: 1200, waiting: 3, superseded: 1, deadLetters: 1, ratePerSecond: 40 };
  const said = (more: object): string => backfillSentence({ ...backfill, ...more } as BackfillStatus); // All that it reads.
  expect(said({ secondsLeft: 30 })).toBe(
    '1,200 delivered, 3 waiting, 1 left out, since something newer is known of them, 1 dead letter, 40 a second, 30 s left',
  );
  expect(said({ state: 'finished', waiting: 0, superseded: 0, deadLetters: 0 })).toBe('1,200 delivered');
});

test.each([
  ['vip', 'vip'],
  ['a b', "'a b'"],
  ["it's; rm", String.raw`'it'\''s; rm'`],
  ['', "''"],
])('%s is a word of a command as %s', (text, word) => {
  expect(shellWord(text)).toBe(word);
});

test.each([1_000, 90_000, 300_000, 5_400_000, 7_200_000, 604_800_000, 1_500])(
  'a span of %d ms is written as commands take it',
  (ms) => expect(readDuration(spanWord(ms))).toBe(ms),
);

test('a span has the largest unit of which it is a whole number', () => {
  expect([300_000, 5_400_000, 604_800_000].map(spanWord)).toEqual(['5m', '90m', '7d']);
});
