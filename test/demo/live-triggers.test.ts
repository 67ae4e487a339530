import { expect, test } from '@jest/globals';
import { liveTriggers } from '../../demo/live-triggers.ts';
import { SAMPLE_AUDIENCES, samplePeople } from '../../demo/sample-people.ts';
import { parseInstant } from '../../src/domain/instant.ts';

const audiences = SAMPLE_AUDIENCES.map(({ slug }) => slug);
const start = Date.UTC(2026, 9, 14, 20, 27, 33, 916);

function take(count: number, seed: number, now: () => number = () => start) {
  const changes = liveTriggers({ people: samplePeople({ people: 50 }), audiences, seed, now });
  return Array.from({ length: count }, () => changes.next().value);
}

test('people exit only what they are in, and enter only what they are not in', () => {
  const memberships = new Set(
    [...samplePeople({ people: 50 })].flatMap((person) => person.audiences.map((slug) => `${person.user} ${slug}`)),
  );
  const events = { enter: 0, exit: 0 };
  for (const { user, audience, event } of take(5000, 3)) {
    const membership = `${user} ${audience}`;
    expect(memberships.has(membership)).toBe(event === 'exit');
    if (event === 'enter') memberships.add(membership);
    else memberships.delete(membership);
    events[event] += 1;
  }
  expect(Math.min(events.enter, events.exit)).toBeGreaterThan(2000);
});

test('the same seed plays the same changes, another seed others', () => {
  expect(take(100, 3)).toEqual(take(100, 3));
  expect(take(100, 4)).not.toEqual(take(100, 3));
});

test('every time is later than the one before, even when the clock stands still or goes back', () => {
  let clock = start;
  const times = take(1000, 1, () => clock + (clock++ % 3) - 2 * (clock % 5)).map(({ at }) => parseInstant(at) ?? '');
  expect(times).toEqual([...times].sort());
  expect(new Set(times).size).toBe(1000);
});

test('some people change twice in a row, since those are the ones that could overtake each other', () => {
  const users = take(400, 1).map(({ user }) => user);
  expect(users.filter((user, i) => user === users[i - 1]).length).toBeGreaterThan(50);
});
