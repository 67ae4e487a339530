import { expect, test } from '@jest/globals';
import { Breaker } from '../../../src/domain/job/breaker.ts';
import type { Verdict } from '../../../src/domain/verdict.ts';

const PERMITS = 8;
const NO_SPREAD = 0.5;

/** A breaker with a clock: each report comes a second after the one before. */
class Endpoint {
  breaker = new Breaker();
  now = 1_000_000;

  delivered(count = 1): this {
    return this.report(count, []);
  }

  failed(user: string, verdict: Verdict = 'transient'): this {
    return this.report(0, [{ user, verdict }]);
  }

  report(delivered: number, failures: { user: string; verdict: Verdict }[]): this {
    this.now += 1000;
    this.breaker.learn({ delivered, failures }, PERMITS, this.now, NO_SPREAD);
    return this;
  }

  /** Waits for the next probe, and lets it fail. */
  probeFails(user: string, verdict: Verdict = 'transient'): this {
    this.now = this.breaker.openUntil - 1000;
    return this.failed(user, verdict);
  }

  get waitMs(): number {
    return this.breaker.openUntil - this.now;
  }

  get allowed(): number {
    return this.breaker.allowedOf(PERMITS);
  }
}

test('a healthy endpoint may have all permits', () => {
  expect(new Endpoint().delivered(100).allowed).toBe(PERMITS);
});

test('it opens when three different people fail in a row', () => {
  const endpoint = new Endpoint().failed('a').failed('b');
  expect(endpoint.breaker.isOpen).toBe(false);
  expect(endpoint.failed('c').breaker.isOpen).toBe(true);
});

test('one person who fails again and again opens nothing', () => {
  const endpoint = new Endpoint();
  for (let i = 0; i < 9; i++) endpoint.failed('a');
  expect(endpoint.breaker.isOpen).toBe(false);
});

test('a success in between restarts the count', () => {
  expect(new Endpoint().failed('a').failed('b').delivered().failed('c').breaker.isOpen).toBe(false);
});

test('it opens when half of the last twenty attempts failed, though successes stand between', () => {
  const endpoint = new Endpoint();
  for (let i = 0; i < 9; i++) endpoint.failed('a').delivered();
  expect(endpoint.breaker.isOpen).toBe(false);
  expect(endpoint.failed('a').delivered().breaker.isOpen).toBe(true);
});

test('a third of failures is no reason to stop', () => {
  const endpoint = new Endpoint();
  for (let i = 0; i < 60; i++) endpoint.delivered(2).failed('a');
  expect(endpoint.breaker.isOpen).toBe(false);
});

test('a success that is long ago does not outweigh failures of today', () => {
  const endpoint = new Endpoint().delivered(100_000);
  for (let i = 0; i < 20; i++) endpoint.failed('a');
  expect(endpoint.breaker.isOpen).toBe(true);
});

test('refusals open it only when ten different people are refused in a row', () => {
  const endpoint = new Endpoint();
  for (let i = 0; i < 9; i++) endpoint.failed(`person ${i}`, 'refused');
  expect(endpoint.breaker.isOpen).toBe(false);
  endpoint.failed('person 9', 'refused');
  expect([endpoint.breaker.isOpen, endpoint.breaker.isSetup]).toEqual([true, true]);
});

test.each<Verdict>(['source', 'profile-missing', 'ours', 'unsendable', 'throttled', 'gone', 'pausing', 'given-up'])(
  'what says nothing of the endpoint (%s) opens nothing',
  (verdict) => {
    const endpoint = new Endpoint();
    for (let i = 0; i < 30; i++) endpoint.failed(`person ${i}`, verdict);
    expect(endpoint.breaker.isOpen).toBe(false);
  },
);

test.each<[Verdict, Verdict, boolean]>([
  ['setup', 'setup', true],
  ['transient', 'transient', false],
  ['setup', 'transient', false],
])('of %s and %s failures, a wrong set-up is %s', (one, other, isSetup) => {
  const failures = (['a', 'b', 'c'] as const).map((user) => ({ user, verdict: user === 'a' ? other : one }));
  expect(new Endpoint().report(0, failures).breaker.isSetup).toBe(isSetup);
});

const open = () => new Endpoint().failed('a').failed('b').failed('c');

test('open, it lets one request at a time probe', () => {
  expect(open().allowed).toBe(1);
});

test('the wait is 5 s, and doubles to 10 minutes while probes fail', () => {
  const endpoint = open();
  const waits = [endpoint.waitMs];
  for (let i = 0; i < 9; i++) waits.push(endpoint.probeFails(`probe ${i}`).waitMs);
  expect(waits.map((ms) => ms / 1000)).toEqual([5, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
});

test('the wait is spread by a fifth either way', () => {
  const waitWith = (chance: number): number => {
    const breaker = new Breaker();
    breaker.learn(
      { delivered: 0, failures: ['a', 'b', 'c'].map((user) => ({ user, verdict: 'setup' })) },
      1,
      0,
      chance,
    );
    return breaker.openUntil;
  };
  expect([waitWith(0), waitWith(0.5), waitWith(0.999999)]).toEqual([4000, 5000, 6000]);
});

test('stragglers of slices that were cut before it opened do not lengthen the wait', () => {
  const endpoint = open();
  const { openUntil } = endpoint.breaker;
  expect(endpoint.failed('d').failed('e').breaker.openUntil).toBe(openUntil);
});

test('a probe that never reached the endpoint waits 5 s and counts as none', () => {
  const endpoint = open().probeFails('d', 'source');
  expect(endpoint.waitMs).toBe(5000);
  expect(endpoint.probeFails('e').waitMs).toBe(10_000);
});

test('every second probe is to be somebody who never failed', () => {
  const endpoint = open();
  const fresh = [endpoint.breaker.probesFresh];
  for (let i = 0; i < 3; i++) fresh.push(endpoint.probeFails(`probe ${i}`).breaker.probesFresh);
  expect(fresh).toEqual([true, false, true, false]);
});

test('after a success the permits grow back: 1, 2, 4, all', () => {
  const endpoint = open();
  const allowed: number[] = [];
  for (let i = 0; i < 5; i++) allowed.push(endpoint.delivered().allowed);
  expect(allowed).toEqual([1, 2, 4, 8, 8]);
});

test('a failure while it recovers does not stop the growth, three people do', () => {
  const endpoint = open().delivered().failed('a');
  expect(endpoint.breaker.isOpen).toBe(false);
  expect(endpoint.failed('b').failed('c').breaker.isOpen).toBe(true);
});

test('after a recovery the first wait is 5 s again', () => {
  const endpoint = open().probeFails('d').probeFails('e').delivered();
  expect(endpoint.failed('a').failed('b').failed('c').waitMs).toBe(5000);
});

test('it is carried whole, and not at all while it never learnt', () => {
  expect(new Breaker().carry()).toBeUndefined();
  const endpoint = open();
  const again = new Breaker(structuredClone(endpoint.breaker.carry()));
  expect(again.openUntil).toBe(endpoint.breaker.openUntil);
  again.learn({ delivered: 1, failures: [] }, PERMITS, endpoint.now, NO_SPREAD);
  expect(again.allowedOf(PERMITS)).toBe(1);
});
