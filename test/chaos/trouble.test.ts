import { expect, test } from '@jest/globals';
import { Trouble, type TroubleOptions } from '../../chaos/trouble.ts';
import type { Answer } from '../../src/local/receiver.ts';

const DELIVERIES = Array.from({ length: 5_000 }, (_, i) => `delivery ${i}`);
const OPTIONS: TroubleOptions = { seed: 1, mostFailures: 2, longestAnswerMs: 4 };

function isGood(answer: Answer): boolean {
  return typeof answer === 'object' && answer.status === 200;
}

test('the same seed gives every delivery the same troubles, whatever came between', () => {
  const first = new Trouble(OPTIONS);
  const second = new Trouble(OPTIONS);
  const answers = DELIVERIES.map((delivery) => first.answer(delivery));
  expect([...DELIVERIES].reverse().map((delivery) => second.answer(delivery))).toEqual([...answers].reverse());
  const other = new Trouble({ ...OPTIONS, seed: 2 });
  expect(DELIVERIES.map((delivery) => other.answer(delivery))).not.toEqual(answers);
});

test('every kind of trouble comes, to a few deliveries in a hundred', () => {
  const trouble = new Trouble(OPTIONS);
  const bad = DELIVERIES.map((delivery) => trouble.answer(delivery)).filter((answer) => !isGood(answer));
  expect(bad.length).toBeGreaterThan(DELIVERIES.length / 100);
  expect(bad.length).toBeLessThan(DELIVERIES.length / 20);
  const kinds = new Set(bad.map((answer) => (typeof answer === 'object' ? answer.status : answer)));
  expect([...kinds].map(String).sort()).toEqual(['429', '500', '503', 'half', 'hang', 'reset']);
});

test('no delivery fails more often than it may, also not while the endpoint is down', () => {
  for (const mostFailures of [1, 2]) {
    const trouble = new Trouble({ ...OPTIONS, mostFailures });
    trouble.goDown(60_000);
    for (const delivery of DELIVERIES.slice(0, 200)) {
      const answers = Array.from({ length: 5 }, () => trouble.answer(delivery));
      const failures = answers.filter((answer) => !isGood(answer) && !isThrottle(answer));
      expect(failures).toHaveLength(mostFailures);
    }
  }
});

function isThrottle(answer: Answer): boolean {
  return typeof answer === 'object' && answer.status === 429;
}
