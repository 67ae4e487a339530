import { expect, test } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { shownTo } from '../../../src/features/watch/routes.ts';
import { ExportJobs, type WatchStatus } from '../../../src/app/export-jobs.ts';
import { newApiKey } from '../../../src/config/references.ts';
import { apiWithoutTemporal, askOf } from '../../api/an-api.ts';

const watch: WatchStatus = {
  v: 1,
  state: 'waiting',
  audience: { id: 'ab'.repeat(16), slug: 'vip', name: 'VIP' },
  everyMs: 60_000,
  existingUsers: false,
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
    published: {
      jobs: 2,
      unreadable: ['crm', 'theirs'],
      behind: ['theirs'],
      lost: [{ jobId: 'theirs', from: '2026-11-27T08:00:00Z', to: '2026-11-27T08:30:00Z' }],
    },
  },
};

test('[S34] a watch tells a key for some jobs nothing of other jobs', () => {
  const own = shownTo({ jobs: ['crm'], mayJob: (jobId) => jobId === 'crm' }, watch);
  expect(own.last).toMatchObject({ members: 1, published: { jobs: 2, unreadable: ['crm'], behind: [], lost: [] } });
  expect(JSON.stringify(own)).not.toContain('theirs');
  expect(shownTo({ mayJob: () => true }, watch)).toBe(watch);
});

test('[S34] the list of watches and a single watch show a key for some jobs nothing of other jobs and audiences', async () => {
  const { secret, hash } = newApiKey();
  const jobs = new ExportJobs(
    new Client({ connection: Connection.lazy({ address: '127.0.0.1:1', interceptors: [] }) }),
  );
  Object.assign(jobs.watches, {
    list: async () =>
      await Promise.resolve([
        { audience: watch.audience, status: watch },
        { audience: { ...watch.audience, id: 'cd'.repeat(16), slug: 'theirs' }, status: watch },
      ]),
    status: async () => await Promise.resolve(watch),
  });
  const api = await apiWithoutTemporal({ some: { hash, may: ['read'], jobs: ['crm'], audiences: ['vip'] } }, { jobs });
  try {
    const their = await askOf(api, '/v1/watches/theirs', { headers: { authorization: `Bearer ${secret}` } });
    expect(their).toMatchObject({ status: 404, body: { code: 'WatchNotFound' } });
    for (const path of ['/v1/watches', '/v1/watches/vip']) {
      const { status, body } = await askOf(api, path, { headers: { authorization: `Bearer ${secret}` } });
      expect([path, status]).toEqual([path, 200]);
      expect(JSON.stringify(body)).toContain('crm');
      expect(JSON.stringify(body)).not.toContain('theirs');
    }
  } finally {
    await api.close();
    await jobs.close();
  }
});

test('a reason for a watch is told as the reason, and is no option of it', async () => {
  const { secret, hash } = newApiKey();
  const jobs = new ExportJobs(
    new Client({ connection: Connection.lazy({ address: '127.0.0.1:1', interceptors: [] }) }),
  );
  const asked: unknown[] = [];
  Object.assign(jobs.watches, {
    start: (...all: unknown[]) => {
      asked.push(...all);
      return Promise.resolve([]);
    },
  });
  const api = await apiWithoutTemporal({ ops: { hash, may: ['operate'] } }, { jobs });
  try {
    const body = { audiences: ['vip'], everyMs: 60_000, reason: 'the source is slow' };
    const headers = { authorization: `Bearer ${secret}` };
    expect(await askOf(api, '/v1/watches', { body, headers })).toMatchObject({ status: 200 });
    expect(asked).toMatchObject([['vip'], {}, { reason: 'the source is slow' }]);
    expect(asked[1]).toEqual({ everyMs: 60_000 });
  } finally {
    await api.close();
    await jobs.close();
  }
});

const ACTIONS = [
  ['/v1/watches', { audiences: ['vip'] }],
  ...['now', 'accept', 'stop'].map((name) => [`/v1/watches/vip/${name}`, undefined] as const),
] as const;

test.each(ACTIONS)(
  'a key that may only read, or is for some jobs, is refused POST %s, which affects every job',
  async (path, body) => {
    const secrets = { reads: newApiKey(), some: newApiKey() };
    const api = await apiWithoutTemporal({
      reads: { hash: secrets.reads.hash, may: ['read', 'trigger'] },
      some: { hash: secrets.some.hash, may: ['read', 'operate'], jobs: ['crm'] },
    });
    const told = async ({ secret }: { readonly secret: string }) =>
      await askOf(api, path, { method: 'POST', body, headers: { authorization: `Bearer ${secret}` } });
    try {
      expect(await told(secrets.reads)).toMatchObject({
        status: 403,
        body: { detail: expect.stringContaining('"operate"') },
      });
      expect(await told(secrets.some)).toMatchObject({
        status: 403,
        body: { code: 'NotAllowed', detail: expect.stringContaining('for some jobs only') },
      });
    } finally {
      await api.close();
    }
  },
);
