import { expect, test } from '@jest/globals';
import { Listeners, tellListeners } from '../../../src/client/push/listeners.ts';
import { checked, createPushClock } from '../../../src/client/push/push.ts';
import type { ListeningJob } from '../../../src/client/push/publish.ts';

class World {
  jobs: ListeningJob[] = [];
  now = 0;
  asked = { all: 0, one: 0 };
  readonly listeners = new Listeners({
    all: async () => {
      this.asked.all += 1;
      return await Promise.resolve(this.jobs);
    },
    one: async (jobId) => {
      this.asked.one += 1;
      return await Promise.resolve(this.jobs.find((job) => job.jobId === jobId));
    },
    now: () => this.now,
  });
}

test('one list serves many requests for ten seconds', async () => {
  const world = new World();
  world.jobs = [{ jobId: 'crm', audiences: ['vip', '0a'] }];
  const found = await Promise.all(Array.from({ length: 20 }, () => world.listeners.of('vip')));
  expect(found.every((jobs) => jobs[0]?.jobId === 'crm')).toBe(true);
  world.now = 9_000;
  await world.listeners.of('0a');
  expect(world.asked.all).toBe(1);
  world.now = 11_000;
  await world.listeners.of('vip');
  expect(world.asked.all).toBe(2);
});

test('who says no is asked again after a second: a job or an audience may have come since', async () => {
  const world = new World();
  world.jobs = [{ jobId: 'crm', audiences: ['vip'] }];
  expect(await world.listeners.listens('crm', 'news')).toBe(false);
  expect(await world.listeners.of('news')).toEqual([]);
  world.jobs = [{ jobId: 'crm', audiences: ['vip', 'news'] }];
  world.now = 1_500;
  expect(await world.listeners.listens('crm', 'news')).toBe(true);
  expect((await world.listeners.of('news')).map(({ jobId }) => jobId)).toEqual(['crm']);
});

test('a job of which it is not known what it listens to is sent to when it is named, and not otherwise', async () => {
  const world = new World();
  world.jobs = [{ jobId: 'foreign', audiences: [] }];
  expect(await world.listeners.listens('foreign', 'vip')).toBe(true);
  expect(await world.listeners.of('vip')).toEqual([]);
});

test('what could not be found out is asked anew', async () => {
  let isAway = true;
  const listeners = new Listeners({
    all: async () => await (isAway ? Promise.reject(new Error('away')) : Promise.resolve([])),
    one: async () => await (isAway ? Promise.reject(new Error('away')) : Promise.resolve(undefined)),
  });
  await expect(listeners.of('vip')).rejects.toThrow('away');
  await expect(listeners.listens('crm', 'vip')).rejects.toThrow('away');
  isAway = false;
  expect(await listeners.of('vip')).toEqual([]);
  expect(await listeners.listens('crm', 'vip')).toBe(true);
});

const about = (user: string, audience: string) => checked({ event: 'enter', audience, user }, createPushClock());

test('what a job has not taken when it ends is told to those that were listed by then, and nothing twice', async () => {
  const triggers = [about('1', 'vip'), about('2', 'news'), about('3', 'vip')];
  const lists: Record<string, string[]>[] = [
    { vip: ['old', 'other'], news: ['old', 'new'] },
    { vip: ['old', 'other', 'new'], news: ['old', 'new'] },
  ];
  const told: [string, string[]][] = [];
  const untaken = await tellListeners(
    triggers,
    async (audience) => await Promise.resolve(lists[0]?.[audience] ?? []),
    async (jobId, own) => {
      told.push([jobId, own.map(({ trigger }) => trigger.user)]);
      if (jobId !== 'old') return await Promise.resolve(own.length);
      lists.shift();
      return 1;
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

test('of what no job took it is known that none did', async () => {
  const triggers = [about('1', 'vip'), about('2', 'else')];
  const listening = async (audience: string) => await Promise.resolve(audience === 'vip' ? ['old'] : []);
  expect(await tellListeners(triggers, listening, async () => await Promise.resolve(0))).toEqual(triggers);
});
