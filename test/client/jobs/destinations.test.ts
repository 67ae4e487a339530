import { expect, test } from '@jest/globals';
import { Destinations } from '../../../src/client/jobs/destinations.ts';
import type { Destination } from '../../../src/client/jobs/twins.ts';

const at = (jobId: string, url = 'a'): Destination => ({ jobId, urls: [url, ''], audiences: [{ id: 'vip' }] });

test('jobs that are started at once share one list, and know each other', async () => {
  let lists = 0;
  const destinations = new Destinations(() => {
    lists += 1;
    return Promise.resolve([at('listed'), at('elsewhere', 'b')]);
  });
  const twins = await Promise.all([at('one'), at('two'), at('three', 'c')].map((job) => destinations.add(job)));
  expect(twins).toEqual([['listed'], ['listed', 'one'], []]);
  expect(lists).toBe(1);
});

test('after a list that failed, the next start asks again', async () => {
  const answers = [Promise.reject(new Error('down')), Promise.resolve([at('listed')])];
  const destinations = new Destinations(() => answers.shift()!);
  await expect(destinations.add(at('one'))).rejects.toThrow('down');
  expect(await destinations.add(at('one'))).toEqual(['listed']);
});
