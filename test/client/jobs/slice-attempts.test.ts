import { expect, test } from '@jest/globals';
import type { SliceEnd } from '../../../src/client/calls/attempt.ts';
import { attemptsOf, didAsk } from '../../../src/client/jobs/slice-attempts.ts';
import type { SliceInput } from '../../../src/contract/slice.ts';
import { deliveryId } from '../../../src/domain/delivery-id.ts';
import { SETTINGS } from '../../support/delivery-settings.ts';

const VIP = { id: 'ab'.repeat(16), slug: 'vip', name: 'Very important' };
const at = '2026-11-25T08:30:00Z';
const slice: SliceInput = {
  sliceId: 7,
  permits: 1,
  budgetMs: 1500,
  settings: SETTINGS,
  audiences: [VIP],
  triggers: ['a', 'b', 'c', 'd'].map((user) => ({ user, audience: VIP.id, event: 'enter', at })),
};
const place = { jobId: 'vip-to-crm', runId: 'run', atMs: Date.UTC(2026, 10, 25, 14, 3, 21) };

function attempts(end: SliceEnd) {
  return attemptsOf(place, { slice, end, startedAtMs: place.atMs - 500 }, () => true);
}

test('a trigger that a report lists neither as failed nor as unsent was delivered', () => {
  const failure = { index: 1, status: 503, verdict: 'transient', durationMs: 84, answer: 'busy' } as const;
  const told = attempts({ kind: 'reported', report: { failed: [failure], unsent: [3], sendingMs: 100 } });
  expect(told.map(({ outcome }) => outcome)).toEqual(['delivered', 'failed', 'delivered', 'unsent']);
  expect(told[1]).toMatchObject({ status: 503, durationMs: 84, answer: 'busy', verdict: 'transient' });
  expect(told[0]).not.toHaveProperty('durationMs');
});

test('an attempt gives person, job, run, slice, times and webhook-id, and nothing of the URL', () => {
  const [first] = attempts({ kind: 'reported', report: { failed: [], unsent: [], sendingMs: 1 } });
  expect(first).toEqual({
    jobId: 'vip-to-crm',
    runId: 'run',
    attempt: 1,
    sliceId: 7,
    startedAt: '2026-11-25T14:03:20.500000000Z',
    endedAt: '2026-11-25T14:03:21.000000000Z',
    user: 'a',
    event: 'enter',
    audience: 'vip',
    triggerAt: at,
    deliveryId: deliveryId(SETTINGS.subscriptionId, { user: 'a', audience: VIP.id, event: 'enter', at }),
    outcome: 'delivered',
  });
});

test('the last heartbeat of a lost slice says what is settled; the rest is unknown', () => {
  const failure = { index: 2, code: 'ECONNREFUSED', verdict: 'transient', durationMs: 1 } as const;
  const told = attempts({ kind: 'lost', progress: { delivered: [[0, 0]], failed: [failure] } });
  expect(told.map(({ outcome }) => outcome)).toEqual(['delivered', 'unknown', 'failed', 'unknown']);
  expect(attempts({ kind: 'lost' }).map(({ outcome }) => outcome)).toEqual(Array(4).fill('unknown'));
});

test('a running slice shows its unsettled triggers as running, and no attempt has an end', () => {
  const told = attempts({ kind: 'running', progress: { delivered: [[0, 1]], failed: [] } });
  expect(told.map(({ outcome }) => outcome)).toEqual(['delivered', 'delivered', 'running', 'running']);
  expect(told.every(({ endedAt }) => endedAt === undefined)).toBe(true);
});

test.each([
  [{ outcome: 'delivered' }, true],
  [{ outcome: 'failed', verdict: 'throttled' }, true],
  [{ outcome: 'failed', verdict: 'source' }, false],
  [{ outcome: 'failed', verdict: 'worker-fault' }, false],
  [{ outcome: 'unsent' }, false],
  [{ outcome: 'unknown' }, false],
] as const)('whether the endpoint was asked, of %j: %s', (attempt, asked) => {
  expect(didAsk(attempt)).toBe(asked);
});

test('each trigger of a request that failed has the details of the failure, which the report gives once', () => {
  const failure = { status: 409, verdict: 'given-up', answer: 'no', durationMs: 9 } as const;
  const failed = [
    { index: 3, like: 1, ...failure },
    { index: 1, ...failure },
  ];
  const came = attempts({ kind: 'reported', report: { failed, unsent: [0], sendingMs: 1 } });
  expect(came.map(({ outcome, status, answer }) => [outcome, status, answer])).toEqual([
    ['unsent', undefined, undefined],
    ['failed', 409, 'no'],
    ['delivered', undefined, undefined],
    ['failed', 409, 'no'],
  ]);
});
