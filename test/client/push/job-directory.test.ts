import { expect, test } from '@jest/globals';
import { JobDirectory, type ListedJob } from '../../../src/client/push/job-directory.ts';
import { publishList } from '../../../src/client/push/publish.ts';
import type { CheckedTrigger } from '../../../src/client/push/job-pusher.ts';
import { checked, createPushClock } from '../../../src/client/push/push.ts';

class World {
  jobs: ListedJob[] = [];
  now = 0;
  listingMs = 0;
  asked = { all: 0, one: 0 };
  readonly directory = new JobDirectory({
    all: async () => {
      this.asked.all += 1;
      this.now += this.listingMs;
      return await Promise.resolve(this.jobs);
    },
    one: async (jobId) => {
      this.asked.one += 1;
      return await Promise.resolve(this.jobs.find((job) => job.jobId === jobId));
    },
    now: () => this.now,
  });
}

test('one list serves many requests for a second, so that a new job soon gets what others get', async () => {
  const world = new World();
  world.jobs = [{ jobId: 'crm', audiences: new Set(['vip', '0a']) }];
  const found = await Promise.all(Array.from({ length: 20 }, () => world.directory.subscribers('vip')));
  expect(found.every(([jobId]) => jobId === 'crm')).toBe(true);
  world.jobs.push({ jobId: 'new', audiences: new Set(['vip']) });
  world.now = 900;
  expect(await world.directory.subscribers('0a')).toEqual(['crm']);
  expect(world.asked.all).toBe(1);
  world.now = 1_100;
  expect(await world.directory.subscribers('vip')).toEqual(['crm', 'new']);
  expect(world.asked.all).toBe(2);
});

test.each([
  { listingMs: 200, known: 3_900, forgotten: 4_100 },
  { listingMs: 5_000, known: 9_900, forgotten: 10_100 },
])('a list that took $listingMs ms serves for longer, and at most ten seconds', async ({ listingMs, ...at }) => {
  const world = new World();
  world.listingMs = listingMs;
  world.jobs = [{ jobId: 'crm', audiences: new Set(['vip']) }];
  await world.directory.subscribers('vip');
  world.now = at.known;
  await world.directory.subscribers('vip');
  expect(world.asked.all).toBe(1);
  world.now = at.forgotten;
  await world.directory.subscribers('vip');
  expect(world.asked.all).toBe(2);
});

test('a no is asked again after a second: a job or an audience may have come since', async () => {
  const world = new World();
  world.jobs = [{ jobId: 'crm', audiences: new Set(['vip']) }];
  expect(await world.directory.subscribes('crm', 'news')).toBe(false);
  expect(await world.directory.subscribers('news')).toEqual([]);
  world.jobs = [{ jobId: 'crm', audiences: new Set(['vip', 'news']) }];
  world.now = 1_500;
  expect(await world.directory.subscribes('crm', 'news')).toBe(true);
  expect(await world.directory.subscribers('news')).toEqual(['crm']);
});

test('a job with unknown audiences gets triggers only when it is named', async () => {
  const world = new World();
  world.jobs = [{ jobId: 'foreign', audiences: new Set([]) }];
  expect(await world.directory.subscribes('foreign', 'vip')).toBe(true);
  expect(await world.directory.subscribers('vip')).toEqual([]);
});

test('the directory asks again after a failed look-up', async () => {
  let isAway = true;
  const directory = new JobDirectory({
    all: async () => await (isAway ? Promise.reject(new Error('away')) : Promise.resolve([])),
    one: async () => await (isAway ? Promise.reject(new Error('away')) : Promise.resolve(undefined)),
  });
  await expect(directory.subscribers('vip')).rejects.toThrow('away');
  await expect(directory.subscribes('crm', 'vip')).rejects.toThrow('away');
  isAway = false;
  expect(await directory.subscribers('vip')).toEqual([]);
  expect(await directory.subscribes('crm', 'vip')).toBe(true);
});

test('a job that is stopping counts only where no other job subscribes, of those that count at all', async () => {
  const world = new World();
  world.jobs = [
    { jobId: 'old', audiences: new Set(['vip', 'news']), isStopping: true },
    { jobId: 'new', audiences: new Set(['vip']) },
  ];
  expect(await world.directory.subscribers('vip')).toEqual(['new']);
  expect(await world.directory.subscribers('news')).toEqual(['old']);
  expect(await world.directory.subscribers('vip', (jobId) => jobId === 'old')).toEqual(['old']);
});

const about = (user: string, audience: string) => checked({ event: 'enter', audience, user }, createPushClock());

test('publish passes triggers that an ended job did not take to the jobs listed by then, and nothing twice', async () => {
  const triggers = [about('1', 'vip'), about('2', 'news'), about('3', 'vip')];
  const lists: Record<string, string[]>[] = [
    { vip: ['old', 'other'], news: ['old', 'new'] },
    { vip: ['old', 'other', 'new'], news: ['old', 'new'] },
  ];
  const told: [string, string[]][] = [];
  const untaken = await publishList(
    triggers,
    async (audience) => await Promise.resolve(lists[0]?.[audience] ?? []),
    async (jobId, own) => {
      told.push([jobId, own.map(({ trigger }) => trigger.user)]);
      if (jobId !== 'old') return await Promise.resolve([]);
      lists.shift();
      return own.slice(1);
    },
  );
  expect(told).toEqual([
    ['old', ['1', '2', '3']],
    ['other', ['1', '3']],
    ['new', ['2']],
    ['new', ['3']],
  ]);
  expect(untaken).toEqual([]);
});

test('publish returns the triggers that no job took', async () => {
  const triggers = [about('1', 'vip'), about('2', 'else')];
  const listening = async (audience: string) => await Promise.resolve(audience === 'vip' ? ['old'] : []);
  const send = async (_: string, own: readonly CheckedTrigger[]) => await Promise.resolve(own);
  expect(await publishList(triggers, listening, send)).toEqual(triggers);
});

const T = Date.UTC(2026, 10, 26, 8, 30);

test('each time is the present one, and later than those before it, whatever the clock and the draw say', () => {
  const times = [T, T, T + 1, T - 5000, T + 2, T + 2];
  const draws = [7, 999_999, 5, 0];
  const clock = createPushClock(
    () => times.shift() ?? 0,
    () => draws.shift() ?? 0,
  );
  expect(Array.from({ length: 6 }, clock)).toEqual([
    '2026-11-26T08:30:00.000000007+00:00',
    '2026-11-26T08:30:00.000000008+00:00',
    '2026-11-26T08:30:00.001999999+00:00',
    '2026-11-26T08:30:00.002000000+00:00',
    '2026-11-26T08:30:00.002000001+00:00',
    '2026-11-26T08:30:00.002000002+00:00',
  ]);
});

test('two programs that push in the same millisecond say two times', () => {
  const [one, other] = [createPushClock(() => T), createPushClock(() => T)];
  const times = Array.from({ length: 3 }, () => [one(), other()]).flat();
  expect(times.every((time) => time.startsWith('2026-11-26T08:30:00.000'))).toBe(true);
  expect(new Set(times).size).toBe(6);
});
