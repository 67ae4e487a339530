import { expect, test } from '@jest/globals';
import { changeKey } from '../../chaos/judge.ts';
import { changeOf, liveTriggers } from '../../chaos/workload.ts';
import { samplePeople } from '../../demo/sample-people.ts';

const people = [...samplePeople({ people: 20 })];
const triggers = liveTriggers(people, 1_000, 3);

test('the same seed gives the same triggers', () => {
  expect(liveTriggers(people, 1_000, 3)).toEqual(triggers);
  expect(liveTriggers(people, 1_000, 4)).not.toEqual(triggers);
});

test('no two triggers are the same change, and their times are in their order', () => {
  expect(new Set(triggers.map((trigger) => changeKey(changeOf(trigger)))).size).toBe(1_000);
  const times = triggers.map(({ at }) => at);
  expect([...times].sort()).toEqual(times);
});

test('a person enters an audience before they leave it', () => {
  const isIn = new Set<string>();
  for (const { user, audience, event } of triggers) {
    const membership = `${user} ${audience}`;
    expect(isIn.has(membership)).toBe(event === 'exit');
    if (event === 'enter') isIn.add(membership);
    else isIn.delete(membership);
  }
});
