import { expect, test } from '@jest/globals';
import { type Outcome, runAgainst, SCENARIOS } from './a-picky-endpoint.ts';

function outcomeOf(name: string): Outcome {
  const scenario = SCENARIOS.find((one) => one.name === name);
  if (scenario === undefined) throw new Error(`There is no scenario "${name}".`);
  return runAgainst(scenario);
}

test.each([5, 25, 50, 75, 95])(
  'refusing %s % of the people for good delays nobody else beyond five seconds, and makes one dead letter each',
  (percent) => {
    const { delivered, deliverable, longestS, dead, wrongDead } = outcomeOf(`${percent} % get 422 for good`);
    expect(delivered).toBe(deliverable);
    expect(longestS).toBeLessThan(5);
    expect([dead, wrongDead]).toEqual([1150 - deliverable, 0]);
  },
);

test('redelivering 500 dead letters that are refused again holds up no live trigger', () => {
  expect(outcomeOf('500 redelivered, half get 422, beside live').longestS).toBeLessThan(0.5);
  expect(outcomeOf('500 redelivered, all get 422, beside live').longestS).toBeLessThan(0.5);
});

test('people whose messages fail with 500 for good hold up nobody else', () => {
  expect(outcomeOf('5 of 41 get 500 for good, then live').longestS).toBeLessThan(1);
  expect(outcomeOf('25 % get 500 for good').longestS).toBeLessThan(5);
});

test('an endpoint that refuses everybody for a while makes at most 280 dead letters, and continues within two minutes', () => {
  const { wrongDead, mostS, delivered, deliverable } = outcomeOf('everybody gets 422 for 10 min');
  expect(wrongDead).toBeLessThanOrEqual(280);
  expect(delivered + wrongDead).toBe(deliverable);
  expect(mostS).toBeLessThan(120);
});

test('an endpoint that is down gets few requests, and makes no dead letter', () => {
  const { dead, wasted } = outcomeOf('everybody gets 500 for 10 min');
  expect(dead).toBe(0);
  expect(wasted).toBeLessThan(100);
  expect(outcomeOf('new, everybody gets 422 for ever')).toMatchObject({ dead: 0 });
});
