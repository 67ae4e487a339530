import { expect, test } from '@jest/globals';
import { askedFor, BackfillRequests } from '../../../src/domain/job/backfill-requests.ts';
import { BackfillIntake } from '../../../src/domain/job/backfill.ts';
import { backfillChildGone, beginBackfill, cancelBackfill } from '../../../src/domain/job/operating.ts';
import { carriedBytes, carryJob, estimateBytes, restoreJob } from '../../../src/domain/job/carrying.ts';
import { AJob } from './a-job.ts';

const AUDIENCE = 'a'.repeat(32);
const NOW = Date.parse('2026-11-25T08:30:00Z');

function backfill(n: number): BackfillIntake {
  return BackfillIntake.begin({ n, audiences: [AUDIENCE], at: '2026-11-25T08:30:00Z', now: NOW });
}

test('a backfill and its outcome are known by the request id, even when others have run since', () => {
  const { state } = new AJob();
  beginBackfill(state, [AUDIENCE], NOW, { requestId: 'r1' });
  cancelBackfill(state);
  beginBackfill(state, [AUDIENCE], NOW, { requestId: 'r2' });
  backfillChildGone(state, 2);
  beginBackfill(state, [AUDIENCE], NOW, { requestId: 'r1' });
  expect(state.backfill).toMatchObject({ n: 2 });
  const { backfillRequests } = restoreJob(carryJob(state));
  expect(backfillRequests.standing('r1', state.backfill)).toEqual({ n: 1, state: 'cancelled' });
  expect(backfillRequests.standing('r2', state.backfill)).toEqual({ n: 2, state: 'lost' });
  expect(backfillRequests.standing('r3', state.backfill)).toBeUndefined();
});

test('a different request with a used id is detected, also by the next run; audience order does not matter', () => {
  const { state } = new AJob();
  const B = 'b'.repeat(32);
  beginBackfill(state, [AUDIENCE, B], NOW, { requestId: 'r1', sample: 5 });
  const { backfillRequests } = restoreJob(carryJob(state));
  expect(backfillRequests.otherThan('r1', askedFor([B, AUDIENCE, B], 5))).toBeUndefined();
  for (const other of [
    askedFor([AUDIENCE], 5),
    askedFor([AUDIENCE, B], 6),
    askedFor([AUDIENCE, B], undefined),
    askedFor(undefined, 5),
  ])
    expect(backfillRequests.otherThan('r1', other)).toBe(1);
  expect(backfillRequests.otherThan('r2', askedFor([AUDIENCE], 5))).toBeUndefined();
});

test('the last 64 ids are remembered, fewer if they are long, and their bytes are counted', () => {
  const requests = new BackfillRequests();
  for (let n = 1; n <= 65; n++) requests.remember(`r${n}`, '', n, undefined);
  expect(requests.carry().map(({ id }) => id)).toEqual(Array.from({ length: 64 }, (_, i) => `r${i + 2}`));
  for (let n = 66; n <= 100; n++) requests.remember('長'.repeat(255), '', n, undefined);
  expect(requests.carry().length).toBe(10);

  const { state } = new AJob();
  const before = estimateBytes(state) - carriedBytes(carryJob(state));
  const asked = askedFor([AUDIENCE], 1);
  for (let n = 1; n <= 64; n++)
    state.backfillRequests.remember(`\u0000${'r'.repeat(100)}${n}`, asked, n, backfill(n - 1));
  expect(estimateBytes(state) - carriedBytes(carryJob(state))).toBeGreaterThanOrEqual(before);
});
