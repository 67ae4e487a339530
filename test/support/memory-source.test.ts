import { expect, test } from '@jest/globals';
import { conformsToAudienceSource } from '../sources/source-conformance.ts';
import { MemorySource } from './memory-source.ts';

conformsToAudienceSource('the memory source', async (content) => new MemorySource(content));

const VIP = { id: 'a'.repeat(32), slug: 'vip', name: 'VIP' };

test('somebody who leaves between two pages is not shown, and nobody else is missed', async () => {
  const source = new MemorySource({ audiences: [{ ...VIP, members: ['1', '2', '3', '4'] }] });
  const first = await source.members(VIP.id, undefined, 2);
  source.exit('vip', '1');
  source.exit('vip', '3');
  source.enter('vip', '5');
  expect((await source.members(VIP.id, first.next, 10)).ids).toEqual(['4', '5']);
  expect(await source.isMember(VIP.id, '3')).toBe(false);
});

test('fails for as long as a test says', async () => {
  const source = new MemorySource({ audiences: [{ ...VIP, members: [] }] });
  source.failure = new Error('down');
  await expect(source.profiles(['1'])).rejects.toThrow('down');
  source.failure = undefined;
  expect((await source.profiles(['1'])).size).toBe(0);
  expect(source.calls.profiles).toBe(2);
});
