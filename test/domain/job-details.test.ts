import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { detailsOf } from '../../src/domain/job-details.ts';

const status: JobStatus = {
  v: 1,
  jobId: 'vip',
  subscriptionId: '5'.repeat(32),
  state: 'running',
  label: 'VIP to CRM',
  audiences: [],
  webhookUrl: 'https://example.com/hook',
  authorization: null,
  exportFields: [],
  userLegacyMessageFormat: false,
  parallelRequestCount: 5,
  backfillPerSecond: null,
  backfillParallelCount: null,
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
      '| Waiting | 2 |',
      '| In flight | 2 of at most 5 |',
      '| Delivered | 7 |',
      '| Retried | 1 |',
    ].join('\n'),
  );
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
    rejects: [{ at: '', reason: 'no "user"' }],
    throttledUntil: '2026-01-01T00:00:00Z',
    lastDeliveredAt: '2026-01-01T00:00:01Z',
    lastFailure: { at: '2026-01-01T00:00:02Z', code: 'ECONNREFUSED' },
    endpoint: { state: 'unwell', nextProbeAt: '2026-01-01T00:00:03Z', advice: 'Check the URL.' },
    backfill: {
      n: 1,
      state: 'running',
      at: '',
      audiences: [],
      taken: 10,
      delivered: 6,
      superseded: 1,
      deadLetters: 2,
      waiting: 3,
      ratePerSecond: 0,
      notice: 'It waits.',
    },
    notices: ['Signal without profiles.'],
  });
  expect(details.split('\n').slice(4)).toEqual([
    '| State | paused: Paused by an operator. |',
    "| Waiting | 2 (3 people wait for their next attempt, 1 outside the job's own state) |",
    '| In flight | 2 of at most 5 |',
    '| Delivered | 7 |',
    '| Retried | 1 |',
    '| Signalled again | 5 |',
    '| Dead letters so far | 4; see: triggers dead-letters list \\-\\-job vip |',
    '| Rejected signals | 2, last: no "user" |',
    '| Endpoint asked to wait until | 2026-01-01 00:00:00 UTC |',
    '| Last delivery | 2026-01-01 00:00:01 UTC |',
    '| Last failure | 2026-01-01 00:00:02 UTC: connection refused |',
    '| Endpoint | unwell, next probe 2026-01-01 00:00:03 UTC. Check the URL. |',
    '| Backfill | 1: ██████████████████░░ running, 6 sent of 10 read, 3 waiting, 1 left out for newer live triggers, 2 dead letters, 0 a second. It waits. |',
    '| Notice | Signal without profiles. |',
  ]);
});

test('numbers and times are as people read them, and an option keeps its two hyphens in the UI, which makes a dash of bare ones', () => {
  const details = detailsOf({
    ...status,
    delivered: 1234567,
    deadLetters: 1000,
    lastDeliveredAt: '2026-11-25T08:30:00.123456789Z',
  });
  expect(details).toContain('| Delivered | 1,234,567 |');
  expect(details).toContain('| Last delivery | 2026-11-25 08:30:00 UTC |');
  expect(details).toContain(String.raw`| 1,000; see: triggers dead-letters list \-\-job vip |`);
});

test('whatever an endpoint answers, it stays in its cell and is no markup', () => {
  const lines = detailsOf(status).split('\n').length + 1;
  fc.assert(
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
  expect(details).toContain(String.raw`"no \\u001b\[2J\\u0000 \\u202egnp.exe\\u2066"`);
});

test('a label cannot be markup either', () => {
  expect(detailsOf({ ...status, label: '**x** <b>' })).toMatch(/^\*\*\\\*\\\*x\\\*\\\* \\<b\\>\*\*\n/);
});

test('however long its parts are, the whole is valid Unicode under the 20,000 bytes that the server takes', () => {
  const details = detailsOf({ ...status, notices: Array.from({ length: 50 }, (_, i) => '顧😀'.repeat(100 + i)) });
  expect(Buffer.byteLength(details)).toBeLessThan(20_000);
  expect(details.isWellFormed()).toBe(true);
});
