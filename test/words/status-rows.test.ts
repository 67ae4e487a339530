import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { detailsOf, statusRows, toneOf } from '../../src/words/status-rows.ts';
import { aBackfill, aStatus } from '../cli/a-status.ts';
import { always } from '../support/properties.ts';

const status = aStatus({
  jobId: 'vip',
  audiences: [
    { id: 'a'.repeat(32), slug: 'vip', name: 'VIP' },
    { id: 'b'.repeat(32), slug: 'news', name: 'News' },
  ],
  webhookUrl: 'https://example.com/…',
  parallelRequestCount: 5,
  received: 9,
  delivered: 7,
  retried: 1,
  waiting: 2,
  inFlight: 2,
});

const audiencesOf = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ id: `${i}`, slug: `s-${i}`, name: '' }));
const BACKFILL = aBackfill({ taken: 10, delivered: 6, superseded: 1, deadLetters: 2, waiting: 3 });

test('an unhealthy endpoint has one tone in all places', () => {
  const rows = statusRows({ ...status, endpoint: { state: 'unhealthy' } }, { time: String });
  expect(rows.find(({ name }) => name === 'Endpoint')?.tone).toBe(toneOf('unhealthy'));
});

test('a status has a row for each fact that applies, and none for the others', () => {
  const usual = detailsOf(status).split('\n');
  /** The rows that a status has besides, or in place of, its usual ones. */
  const rows = (changed: Partial<JobStatus>) =>
    detailsOf({ ...status, ...changed })
      .split('\n')
      .filter((row) => !usual.includes(row));
  const [at, second] = ['2026-01-01T00:00:00Z', '2026-11-25T08:30:00.123456789Z'];
  const limits = { backfillPerSecond: 0.05, backfillParallelCount: 2 };
  const rates = { ratePerSecond: { oneMinute: 301, fiveMinutes: 300 } };
  const unhealthy = { endpoint: { state: 'unhealthy' } } as const;
  const onExit = { answers: { '404': 'delivered' } } as const;
  expect({
    usual,
    'what a stop dropped': rows({ state: 'stopped', waiting: 0, discarded: 1_002 }),
    'many audiences': rows({ audiences: audiencesOf(100) }),
    'why it is paused': rows({ state: 'paused', reason: 'Paused by an operator.' }),
    'what waits, and where': rows({ delayed: 3, overflow: 1 }),
    'repeats and rejects': rows({ repeated: 5, rejected: 2, rejects: [{ at, reason: 'no "user"' }] }),
    'dead letters': rows({ deadLetters: 1000 }),
    'no fewer dead letters than wait': rows({ deadLetters: 464, deadLettersWaiting: 808 }),
    throttled: rows({ waits: { endpoint: at } }),
    'a throttle of a newer worker': rows({ waits: { stale: at } }),
    'the last delivery and failure': rows({ lastDeliveredAt: second, lastFailure: { at, code: 'ECONNREFUSED' } }),
    'the worker that was refused': rows({ lastFailure: { at, status: 401, answer: 'no', worker: '1@a' } }),
    'an unhealthy endpoint': rows({ endpoint: { state: 'unhealthy', nextProbeAt: at, advice: 'Check the URL.' } }),
    'a probe that is being sent': rows({ ...unhealthy, inFlight: 1 }),
    'no probe while it is paused': rows({ ...unhealthy, state: 'paused' }),
    notices: rows({ notices: ['Signal without profiles.'] }),
    'several, in their order': rows({
      state: 'paused',
      reason: 'Paused by an operator.',
      deadLetters: 4,
      waits: { endpoint: at },
      lastFailure: { at, code: 'ECONNREFUSED' },
      ...unhealthy,
      backfill: BACKFILL,
      notices: ['Signal without profiles.'],
      rejects: [{ at, reason: 'no "user"' }],
    }),
    'one event, and how many were left out': rows({ events: ['enter'], received: 3, filtered: 2 }),
    'what came too late': rows({ received: 3, staleDropped: 2 }),
    answers: rows({ answers: { '404': 'delivered', '5xx': 'dead-letter', '409': 'delivered' } }),
    'answers to one event': rows({ onExit }),
    'answers to each': rows({ answers: { '5xx': 'pause' }, onEnter: { answers: { '409': 'retry' } }, onExit }),
    'a backfill': rows({
      backfill: { ...BACKFILL, leftOut: [{ audience: 'news', members: 1 }], notice: 'It waits.' },
    }),
    'a backfill with limits': rows({ ...limits, backfill: { ...BACKFILL, state: 'paused' } }),
    'a backfill with one limit': rows({ backfillPerSecond: 1500, backfill: BACKFILL }),
    'a finished backfill with limits': rows({
      ...limits,
      backfill: { ...BACKFILL, state: 'finished', ratePerSecond: 40 },
    }),
    'a cancelled backfill with limits': rows({ ...limits, backfill: { ...BACKFILL, state: 'cancelled' } }),
    'large numbers, and rates': rows({ delivered: 1234567, ratePerSecond: { oneMinute: 12.5, fiveMinutes: 2 } }),
    // The UI would show a rate for as long as nothing happens.
    'no rate with nothing to do': rows({ ...rates, waiting: 0, inFlight: 0 }),
    'a rate with something to do': rows({ ...rates, waiting: 1, inFlight: 0 }),
  }).toMatchSnapshot();
  expect(detailsOf({ ...status, audiences: [] })).not.toContain('Audiences');
});

test("an endpoint's answer stays in its cell and is no markup, whatever it holds", () => {
  const lines = detailsOf(status).split('\n').length + 1;
  always(
    fc.property(fc.string({ unit: fc.constantFrom(...'|\\`<>[]()*_~&#!\r\n\u2028x ') }), (answer) => {
      const details = detailsOf({ ...status, lastFailure: { at: '', status: 500, answer } });
      expect(details.split(/\r\n|\r|\n/)).toHaveLength(lines);
      const cell = details.split('\n').at(-1)?.slice('| Last failure | '.length, -' |'.length) ?? '';
      expect(cell.replaceAll(/\\[\\|`<>[\]*_~&]/g, '')).not.toMatch(/[\\|`<>[\]*_~&]/);
    }),
  );
});

test("an endpoint's answer cannot control a terminal, reverse the text or hide behind a NUL", () => {
  const answer = 'no \u001b[2J\u0000 \u202egnp.exe\u2066';
  const advised = statusRows({ ...status, endpoint: { state: 'unhealthy', advice: answer } }, { time: String });
  expect(advised.some(({ value }) => value.includes(String.raw`no \u001b[2J\u0000 \u202egnp`))).toBe(true);
  const details = detailsOf({ ...status, lastFailure: { at: '', status: 500, answer } });
  expect(details).toContain(String.raw`: no \\u001b\[2J\\u0000 \\u202egnp.exe\\u2066 |`);
});

test('a label cannot be markup either', () => {
  expect(detailsOf({ ...status, label: '**x** <b>' })).toMatch(/^\*\*\\\*\\\*x\\\*\\\* \\<b\\>\*\*\n/);
});

test("the details are valid Unicode and under 20,000 bytes, the server's bound, however long their parts are", () => {
  const details = detailsOf({ ...status, notices: Array.from({ length: 50 }, (_, i) => '顧😀'.repeat(100 + i)) });
  expect(Buffer.byteLength(details)).toBeLessThan(20_000);
  expect(details.isWellFormed()).toBe(true);
});
