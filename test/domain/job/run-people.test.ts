import { expect, test } from '@jest/globals';
import { undecodable } from '../../../src/domain/errors.ts';
import type { Arrival } from '../../../src/domain/job/arriving.ts';
import type { Step } from '../../../src/domain/job/deciding.ts';
import { mayHaveHad, type PeopleFilter, RunPeople } from '../../../src/domain/job/run-people.ts';

const ROOM = 1_000_000;
const trigger = (raw: unknown): Arrival => ({ kind: 'trigger', raw, event: 'enter' });

function filterOf(users: Iterable<string>): PeopleFilter {
  const people = new RunPeople();
  for (const user of users) people.arrived(trigger({ user, audience: 'vip' }));
  return people.filter(ROOM) as PeopleFilter; // There is room.
}

/** The share of strangers that a filter takes for somebody who was there. */
function mistaken(filter: PeopleFilter, strangers: readonly string[]): number {
  return strangers.filter((stranger) => mayHaveHad(filter, stranger)).length / strangers.length;
}

const IDS: readonly (readonly [kind: string, id: (i: number) => string])[] = [
  ['counted', (i) => String(i)],
  ['long numbers', (i) => String(7_076_027_172_059_000_000n + BigInt(i))],
  [
    'hex',
    (i) =>
      Math.imul(i + 1, 0x9e3779b1)
        .toString(16)
        .padStart(32, '0'),
  ],
  ['e-mail addresses', (i) => `person.${i}@example.com`],
  ['with letters beyond ASCII', (i) => `Zoë ${i} 雪`],
];

test.each(IDS)('whoever was there is never denied, and of strangers about one in a hundred is: ids are %s', (_, id) => {
  for (const count of [1, 100, 10_000]) {
    const filter = filterOf(Array.from({ length: count }, (_unused, i) => id(i)));
    const all = Array.from({ length: count + 10_000 }, (_unused, i) => id(i));
    expect(mistaken(filter, all.slice(0, count))).toBe(1);
    const strangers = all.slice(count);
    expect(mistaken(filter, strangers)).toBeLessThan(count < 100 ? 0.15 : 0.015);
  }
});

test('it takes ten bits a person, and no more than 64 KiB for however many, who are not denied either', () => {
  const users = (count: number) => Array.from({ length: count }, (_, i) => `u${i}`);
  expect(filterOf(users(10_000)).bits).toHaveLength(10_000 * 2.5);
  const many = filterOf(users(50_000));
  expect(many.bits).toHaveLength(64 * 1024);
  expect(mistaken(many, users(50_000))).toBe(1);
  expect(mistaken(many, users(60_000).slice(50_000))).toBeLessThan(0.1);
});

test('the same people give the same filter, in whatever order and however often they came', () => {
  expect(filterOf(['a', 'b', 'c', 'a'])).toEqual(filterOf(['c', 'b', 'a']));
  expect(filterOf(['a', 'b'])).not.toEqual(filterOf(['a', 'c']));
});

test('a run that had to do with nobody denies everybody', () => {
  expect(mistaken(filterOf([]), ['a', 'b', 'c'])).toBe(0);
});

test('those are known who are in a signal, taken or refused, in a page, in a slice, and in a dead letter', () => {
  const people = new RunPeople();
  // A few of each, since one alone may be taken for somebody who was there.
  const some = (what: string) => [1, 2, 3].map((n) => `${what} ${n}`);
  for (const user of some('refused')) people.arrived(trigger({ user, audience: 7 }));
  for (const user of some('redelivered')) people.arrived({ kind: 'redelivery', raw: { user, trigger: {} } });
  people.arrived({ kind: 'page', raw: { ids: some('member'), exits: some('left') } });
  people.arrived({ kind: 'page', raw: { ids: 7 } });
  people.arrived({ kind: 'permits', raw: { sliceId: 1 } });
  people.arrived({ kind: 'unknown', name: 'entre' });
  people.arrived(trigger('no object'));
  people.arrived(trigger(null));
  people.arrived(trigger({ user: 7 }));
  // As much of these steps as is read.
  const triggers = some('waited').map((user) => ({ user }));
  people.did({ kind: 'deliver', slice: { triggers } } as unknown as Step);
  const letters = new Map(some('dead').map((user, key) => [key, { user }]));
  people.did({ kind: 'keep-dead-letters', letters } as unknown as Step);
  people.did({ kind: 'continue-as-new' });
  const filter = people.filter(ROOM) as PeopleFilter; // There is room.
  for (const user of ['refused', 'redelivered', 'member', 'left', 'waited', 'dead'].flatMap(some))
    expect([user, mayHaveHad(filter, user)]).toEqual([user, true]);
  expect(mistaken(filter, some('stranger'))).toBeLessThan(1);
});

test.each([
  ['a trigger', trigger(undecodable('it was encrypted with a key that no worker had'))],
  ['a page', { kind: 'page', raw: undecodable('it is not JSON') }],
] as const)('a run that could not read %s says nothing, since somebody else may', (_, arrival) => {
  const people = new RunPeople();
  people.arrived(trigger({ user: 'a' }));
  people.arrived(arrival);
  expect(people.filter(ROOM)).toBeUndefined();
});

test('a filter for which there is no room is left out', () => {
  const people = new RunPeople();
  for (let i = 0; i < 1000; i++) people.arrived(trigger({ user: `u${i}` }));
  expect(people.filter(2500)).toBeUndefined();
  expect(JSON.stringify({ people: people.filter(2540) }).length).toBeLessThanOrEqual(2540);
});

test.each([
  undefined,
  null,
  'bits',
  {},
  { hashes: 7, bits: '' },
  { hashes: 7, bits: 'GG' },
  { hashes: 7, bits: 7 },
  { hashes: '7', bits: '00' },
  { hashes: 0, bits: '00' },
  { hashes: 1.5, bits: '00' },
  { hashes: 1e9, bits: '00' },
])('what is no filter that this release can read denies nobody: %j', (carried) => {
  expect(mayHaveHad(carried, 'a')).toBe(true);
});

test('a filter once written is read for ever: what another release hashed in another way would deny who was there', () => {
  expect(filterOf(['7076027172059065053', 'Zoë', ''])).toEqual({ hashes: 7, bits: '27f8c11a' });
});
