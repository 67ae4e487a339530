import { expect, test } from '@jest/globals';
import { shownTo } from '../../src/api/overview-routes.ts';
import type { WatchSummary } from '../../src/client/export-jobs.ts';

const watch: WatchSummary = {
  audience: { id: 'ab'.repeat(16), slug: 'vip', name: 'VIP' },
  status: {
    v: 1,
    state: 'waiting',
    audience: { id: 'ab'.repeat(16), slug: 'vip', name: 'VIP' },
    everyMs: 60_000,
    emitExisting: false,
    largestExitPercent: 20,
    rounds: 1,
    enters: 1,
    exits: 0,
    last: {
      at: '2026-11-27T08:30:00Z',
      members: 1,
      enters: 1,
      exits: 0,
      stayed: 0,
      durationMs: 5,
      isBaseline: false,
      told: {
        jobs: 2,
        unreadable: ['crm', 'theirs'],
        absent: ['theirs'],
        lost: [{ jobId: 'theirs', from: '2026-11-27T08:00:00Z', to: '2026-11-27T08:30:00Z' }],
      },
    },
  },
};

test('[S34] a key for some jobs is not told by a watch which others there are', () => {
  const own = shownTo({ jobs: ['crm'], mayJob: (jobId) => jobId === 'crm' }, watch);
  expect(own.status?.last).toMatchObject({ members: 1, told: { jobs: 2, unreadable: ['crm'], absent: [], lost: [] } });
  expect(JSON.stringify(own)).not.toContain('theirs');
  expect(shownTo({ mayJob: () => true }, watch)).toBe(watch);
});
