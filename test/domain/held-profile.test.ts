import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { heldProfile, isProfileHolder, profileFrom, profileHolderName } from '../../src/domain/held-profile.ts';

test('the name of a holder comes from the id of its signal, and is no name of a holder of triggers', () => {
  const requestId = randomUUID();
  expect(profileHolderName(requestId)).toBe(profileHolderName(requestId));
  expect(profileHolderName(requestId)).not.toBe(profileHolderName(randomUUID()));
  expect(isProfileHolder(profileHolderName(requestId))).toBe(true);
  for (const other of ['12', 'p12', 'h12', `h${'g'.repeat(15)}`, `h${'0'.repeat(16)}`, '', 7, null, undefined])
    expect(isProfileHolder(other)).toBe(false);
});

const NAME = `h${'0'.repeat(15)}`;

test.each([
  [NAME, 0, [NAME, 0]],
  [NAME, 699, [NAME, 699]],
  [NAME, -1, undefined],
  [NAME, 0.5, undefined],
  [NAME, '0', undefined],
  [NAME, undefined, undefined],
  ['../other', 0, undefined],
  [undefined, 0, undefined],
])('the place %p, %p is %p', (holder, place, held) => {
  expect(heldProfile(holder, place)).toEqual(held);
});

test.each([
  [{ profiles: ['{}', '{"a":{"b":1}}'] }, '{"a":{"b":1}}'],
  [{ profiles: ['{}', '{"a":1,"a":2}'] }, '{"a":1,"a":2}'],
  [{ profiles: ['{}'] }, undefined],
  [{ profiles: ['{}', '[1]'] }, undefined],
  [{ profiles: ['{}', '7'] }, undefined],
  [{ profiles: ['{}', '{"a":'] }, undefined],
  [{ profiles: ['{}', {}] }, undefined],
  [{ audiences: [], triggers: [] }, undefined],
  ['{}', undefined],
  [undefined, undefined],
])('the second profile of %j is %p', (content, profile) => {
  expect(profileFrom(content, [NAME, 1])).toBe(profile);
});
