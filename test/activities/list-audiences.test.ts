import { expect, test } from '@jest/globals';
import { createAudienceLists } from '../../src/activities/list-audiences.ts';
import { MemorySource } from '../support/memory-source.ts';

const anAudience = (n: number, name = '') => ({
  id: String(n).padStart(32, '0'),
  slug: `a${n}`,
  name,
  members: ['x', 'ann'],
});

test('all audiences are listed with their sizes', async () => {
  const { listAudiences } = createAudienceLists(new MemorySource({ audiences: [anAudience(1), anAudience(2)] }));
  expect(await listAudiences()).toMatchObject({ audiences: [{ slug: 'a1', size: 2 }, { slug: 'a2' }], total: 2 });
});

test('of more than an answer has room for, the first are listed, and all are counted', async () => {
  const audiences = Array.from({ length: 400 }, (_, n) => anAudience(n, 'é'.repeat(1000)));
  const listed = await createAudienceLists(new MemorySource({ audiences })).listAudiences();
  expect([listed.audiences[0]?.slug, listed.total]).toEqual(['a0', 400]);
  expect(Buffer.byteLength(JSON.stringify(listed))).toBeLessThan(300 * 1024);
});

test('the fields are those of the first member with a profile, by name, and none of nobody', async () => {
  const source = new MemorySource({
    audiences: [anAudience(1)],
    profiles: { ann: { email: 'ann@example.com', more: { a: 1 } } },
  });
  const { listProfileFields } = createAudienceLists(source);
  expect(await listProfileFields('a1')).toEqual(['email', 'more', 'more.a']);
  expect(await listProfileFields('unknown')).toEqual([]);
  source.setProfile('ann', undefined);
  expect(await listProfileFields('a1')).toEqual([]);
});
