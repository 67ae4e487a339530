import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { editableOf, FORM_DEFAULTS } from '../../src/domain/job-form.ts';
import { detailsOf } from '../../src/domain/status-rows.ts';
import { always } from '../support/properties.ts';

const status: JobStatus = {
  v: 1,
  jobId: 'vip',
  subscriptionId: '5'.repeat(32),
  state: 'running',
  ...editableOf(FORM_DEFAULTS),
  label: 'VIP to CRM',
  audiences: [
    { id: 'a'.repeat(32), slug: 'vip', name: 'VIP' },
    { id: 'b'.repeat(32), slug: 'news', name: 'News' },
  ],
  webhookUrl: 'https://example.com/…',
  authorization: null,
  revision: 1,
  received: 9,
  delivered: 7,
  ratePerSecond: { oneMinute: 0, fiveMinutes: 0 },
  retried: 1,
  rejected: 0,
  repeated: 0,
  deadLetters: 0,
  overflow: 0,
  waiting: 2,
  held: 0,
  inFlight: 2,
  rejects: [],
  notices: [],
  stateBytes: 0,
  stateBudgetBytes: 0,
};

test('a healthy job shows as a small table', () => {
  expect(detailsOf(status)).toBe(
    [
      '**VIP to CRM**',
      '',
      '| | |',
      '|---|---|',
      '| State | running |',
      '| Audiences | vip, news |',
      '| Sends to | https://example.com/… |',
      '| Authorization | none |',
      '| Format | new, all fields |',
      '| Received | 9 |',
      '| Delivered | 7, 1 repeated attempt |',
      '| Waiting | 2 |',
      '| In flight | 2 of at most 5 |',
    ].join('\n'),
  );
});

test('what a stop dropped has a line, beside what was received and delivered', () => {
  expect(detailsOf({ ...status, state: 'stopped', waiting: 0, discarded: 1_002 })).toContain(
    '| Discarded | 1,002 that waited when the job was stopped with "discard" |',
  );
  expect(detailsOf(status)).not.toContain('Discarded');
});

test('of many audiences the first are shown, and how many more there are', () => {
  const audiences = Array.from({ length: 100 }, (_, i) => ({ id: String(i), slug: `slug-${i}`, name: '' }));
  expect(detailsOf({ ...status, audiences })).toMatch(/\| Audiences \| slug-0, .*, slug-9 and 90 more \|/);
  expect(detailsOf({ ...status, audiences: [] })).not.toContain('Audiences');
});

test('what is amiss has a line each', () => {
  const details = detailsOf({
    ...status,
    state: 'paused',
    reason: 'Paused by an operator.',
    held: 3,
    repeated: 5,
    deadLetters: 4,
    overflow: 1,
    rejected: 2,
    rejects: [{ at: '2026-01-01T00:00:00Z', reason: 'no "user"' }],
    throttledUntil: '2026-01-01T00:00:00Z',
    lastDeliveredAt: '2026-01-01T00:00:01Z',
    lastFailure: { at: '2026-01-01T00:00:02Z', code: 'ECONNREFUSED' },
    endpoint: { state: 'unhealthy', nextProbeAt: '2026-01-01T00:00:03Z', advice: 'Check the URL.' },
    backfill: {
      n: 1,
      state: 'running',
      at: '',
      audiences: [],
      taken: 10,
      delivered: 6,
      superseded: 1,
      leftOut: [{ audience: 'news', members: 1 }],
      deadLetters: 2,
      waiting: 3,
      ratePerSecond: 0,
      notice: 'It waits.',
    },
    notices: ['Signal without profiles.'],
  });
  expect(details.split('\n').slice(4)).toEqual([
    '| State | paused |',
    '| Why | Paused by an operator. |',
    '| Audiences | vip, news |',
    '| Sends to | https://example.com/… |',
    '| Authorization | none |',
    '| Format | new, all fields |',
    '| Received | 9, of which 5 were repeats and not sent again, beside 2 that were rejected |',
    '| Delivered | 7, 1 repeated attempt, last at 2026-01-01 00:00:01 UTC |',
    "| Waiting | 2, 3 people wait for the next attempt, 1 outside the job's own state |",
    '| In flight | 2 of at most 5 |',
    '| Dead letters | 4 so far |',
    '| Endpoint | unhealthy; only single probes are sent, the next one at 2026-01-01 00:00:03 UTC. Check the URL. |',
    '| Throttled | the endpoint asked to wait; the next request goes at 2026-01-01 00:00:00 UTC |',
    '| Last failure | connection refused, at 2026-01-01 00:00:02 UTC |',
    '| Backfill | ████████████████████████ running, 6 sent of 10 read, 1 left out (newer live trigger), 1 left out (news was removed), 2 dead letters |',
    '|  | It waits. |',
    '| Notice | Signal without profiles. |',
    '| Rejected | at 2026-01-01 00:00:00 UTC: no "user" |',
  ]);
});

test('which events a job sends stands there where it says so, and how many were left out', () => {
  expect(detailsOf(status)).not.toContain('Events');
  const details = detailsOf({ ...status, events: ['enter'], received: 3, filtered: 2 });
  expect(details).toContain('| Events | enter |');
  expect(details).toMatch(/Received \| 3, .*of which 2 were left out/);
});

test('a status says how many came after a newer change and were dropped, once there is one', () => {
  expect(detailsOf(status)).not.toContain('too late');
  expect(detailsOf({ ...status, received: 3, staleDropped: 2 })).toContain('of which 2 came too late and were dropped');
});

test('what answers mean stands there where it is not the usual', () => {
  expect(detailsOf(status)).not.toContain('Answers');
  const answers = { '404': 'delivered', '5xx': 'dead-letter', '409': 'delivered' } as const;
  expect(detailsOf({ ...status, answers })).toContain('| Answers | 404, 409 mean delivered; 5xx means dead-letter |');
});

test('what answers mean for one event stands there, too', () => {
  const onExit = { answers: { '404': 'delivered' } } as const;
  expect(detailsOf({ ...status, onExit })).toContain('| Answers | exit: 404 means delivered |');
  const details = detailsOf({
    ...status,
    answers: { '5xx': 'pause' },
    onEnter: { answers: { '409': 'retry' } },
    onExit,
  });
  expect(details).toContain('| Answers | 5xx means pause; enter: 409 means retry; exit: 404 means delivered |');
  expect(details).not.toContain('| Request |');
});

test('what a backfill is limited to stands with it, until it is over', () => {
  const of = { n: 1, at: '', audiences: [], taken: 9, delivered: 6, superseded: 0, deadLetters: 0, waiting: 3 };
  const backfill = { ...of, state: 'paused' as const, ratePerSecond: 0 };
  const limited = { ...status, backfill, backfillPerSecond: 0.05, backfillParallelCount: 2 };
  expect(detailsOf(limited)).toMatch(
    /\| Backfill \| .* paused, 6 sent of 9 read, at most 0\.05\/s, at most 2 in flight \|/,
  );
  expect(detailsOf({ ...limited, backfillPerSecond: 1500, backfillParallelCount: null })).toContain(
    '6 sent of 9 read, at most 1,500/s |',
  );
  expect(detailsOf({ ...status, backfill })).toContain('6 sent of 9 read |');
  for (const state of ['finished', 'cancelled'] as const)
    expect(detailsOf({ ...limited, backfill: { ...backfill, state } })).toContain('6 sent of 9 read |');
});

test('numbers and times are as people read them, and an option keeps its two hyphens in the UI, which makes a dash of bare ones', () => {
  const details = detailsOf({
    ...status,
    delivered: 1234567,
    ratePerSecond: { oneMinute: 12.5, fiveMinutes: 2 },
    deadLetters: 1000,
    lastDeliveredAt: '2026-11-25T08:30:00.123456789Z',
  });
  expect(details).toContain(
    '| Delivered | 1,234,567, 12.5 a second in the last minute, 2 in the last five, 1 repeated attempt, last at 2026-11-25 08:30:00 UTC |',
  );
  expect(details).toContain(String.raw`| 1,000 so far |`);
});

test('a job that has nothing to do has no rate in the UI, where it would stand for as long as nothing happens', () => {
  const ratePerSecond = { oneMinute: 301, fiveMinutes: 300 };
  expect(detailsOf({ ...status, ratePerSecond, waiting: 1, inFlight: 0 })).toContain('301 a second');
  expect(detailsOf({ ...status, ratePerSecond, waiting: 0, inFlight: 1 })).toContain('301 a second');
  expect(detailsOf({ ...status, ratePerSecond, waiting: 0, inFlight: 0 })).not.toContain('301 a second');
});

test('whatever an endpoint answers, it stays in its cell and is no markup', () => {
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

test('what an endpoint answers cannot drive a terminal, turn the direction of the text or hide behind a NUL there', () => {
  const answer = 'no \u001b[2J\u0000 \u202egnp.exe\u2066';
  const details = detailsOf({ ...status, lastFailure: { at: '', status: 500, answer } });
  expect(details).toContain(String.raw`: no \\u001b\[2J\\u0000 \\u202egnp.exe\\u2066 |`);
});

test('a label cannot be markup either', () => {
  expect(detailsOf({ ...status, label: '**x** <b>' })).toMatch(/^\*\*\\\*\\\*x\\\*\\\* \\<b\\>\*\*\n/);
});

test('however long its parts are, the whole is valid Unicode under the 20,000 bytes that the server takes', () => {
  const details = detailsOf({ ...status, notices: Array.from({ length: 50 }, (_, i) => '顧😀'.repeat(100 + i)) });
  expect(Buffer.byteLength(details)).toBeLessThan(20_000);
  expect(details.isWellFormed()).toBe(true);
});

test('a probe that is due is under way, or nothing is sent while the job is paused; no time of the past is named', () => {
  const unhealthy = { ...status, endpoint: { state: 'unhealthy' } } as const;
  expect(detailsOf({ ...unhealthy, inFlight: 1 })).toContain('only single probes are sent, one is being sent now |');
  expect(detailsOf({ ...unhealthy, state: 'paused' })).toContain('probes are sent, and none while the job is paused |');
});

test('no fewer dead letters have been than wait', () => {
  const letters = { ...status, deadLetters: 464, deadLettersWaiting: 808 };
  expect(detailsOf(letters)).toContain('808 wait for a decision, 808 so far');
});
