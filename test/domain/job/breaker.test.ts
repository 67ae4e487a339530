import { expect, test } from '@jest/globals';
import { Breaker } from '../../../src/domain/job/throttles/breaker.ts';
import type { Verdict } from '../../../src/contract/verdict.ts';

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

  report(delivered: number, failures: Parameters<Breaker['learn']>[0]['failures']): this {
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

test('the breaker opens when three different people fail in a row', () => {
  const endpoint = new Endpoint().failed('a').failed('b');
  expect(endpoint.breaker.isOpen).toBe(false);
  expect(endpoint.failed('c').breaker.isOpen).toBe(true);
});

test('a single person who fails again and again does not open the breaker', () => {
  const endpoint = new Endpoint();
  for (let i = 0; i < 9; i++) endpoint.failed('a');
  expect(endpoint.breaker.isOpen).toBe(false);
});

test('a success in between restarts the count', () => {
  expect(new Endpoint().failed('a').failed('b').delivered().failed('c').breaker.isOpen).toBe(false);
});

test('the breaker opens when half of the last twenty attempts failed, even with successes in between', () => {
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

/** So many different people are refused, one after the other. */
function refused(count: number, endpoint = new Endpoint()): Endpoint {
  for (let i = 0; i < count; i++) endpoint.failed(`person ${i}`, 'refused');
  return endpoint;
}

test('after 60 different people in a row are refused, one a second is tried; after 120 it opens', () => {
  expect([refused(59).allowed, refused(59).breaker.isOpen]).toEqual([PERMITS, false]);
  const doubtful = refused(60);
  expect([doubtful.allowed, doubtful.waitMs, doubtful.breaker.isOpen]).toEqual([1, 1000, false]);
  const endpoint = refused(120);
  expect([endpoint.breaker.isOpen, endpoint.breaker.isSetup, endpoint.waitMs]).toEqual([true, true, 5000]);
});

test('an accepted person shows that refusals concern only the others, and the permits grow back', () => {
  const endpoint = refused(119).delivered();
  expect([endpoint.allowed, endpoint.breaker.inRow, endpoint.breaker.barredUntil]).toEqual([1, 0, 0]);
  expect(refused(59, endpoint.delivered().delivered().delivered()).allowed).toBe(PERMITS);
});

test('refusals do not open the breaker, however many there are, while others are accepted', () => {
  const endpoint = new Endpoint();
  for (let i = 0; i < 50; i++) refused(20, endpoint).delivered();
  expect([endpoint.breaker.isOpen, endpoint.allowed]).toEqual([false, PERMITS]);
});

test('a dead letter that is refused again shows nothing', () => {
  const endpoint = new Endpoint();
  for (let i = 0; i < 200; i++)
    endpoint.report(0, [{ user: `person ${i}`, verdict: 'refused', isAgain: true, isRedelivered: true }]);
  expect(endpoint.allowed).toBe(PERMITS);
});

const again = (i: number) => [{ user: `person ${i}`, verdict: 'transient' as const, isAgain: true }];

test('people who fail again open nothing, unless there are 120 of them and nobody is accepted', () => {
  const endpoint = new Endpoint();
  for (let i = 0; i < 119; i++) endpoint.report(0, again(i));
  expect(endpoint.breaker.isOpen).toBe(false);
  expect(endpoint.report(0, again(119)).breaker.isOpen).toBe(true);
});

test('a person who never failed probes at once, if only people with earlier failures showed the endpoint to be unhealthy', () => {
  const endpoint = new Endpoint();
  for (let i = 0; i < 120; i++) endpoint.report(0, again(i));
  endpoint.now = endpoint.breaker.openUntil;
  endpoint.report(0, again(0));
  expect(endpoint.breaker.freshFrom).toBeLessThan(endpoint.now);
  expect(endpoint.breaker.openUntil).toBeGreaterThan(endpoint.now);
  endpoint.failed('new');
  expect(endpoint.breaker.freshFrom).toBe(endpoint.breaker.openUntil);
  expect(open().breaker.freshFrom).toBe(open().breaker.openUntil);
});

test.each<Verdict>([
  'source',
  'profile-missing',
  'worker-fault',
  'unsendable',
  'throttled',
  'endpoint-gone',
  'pausing',
  'given-up',
])('a failure that says nothing about the endpoint (%s) does not open the breaker', (verdict) => {
  const endpoint = new Endpoint();
  for (let i = 0; i < 30; i++) endpoint.failed(`person ${i}`, verdict);
  expect(endpoint.breaker.isOpen).toBe(false);
});

test.each<[Verdict, Verdict, boolean]>([
  ['misconfigured', 'misconfigured', true],
  ['transient', 'transient', false],
  ['misconfigured', 'transient', false],
])('with %s and %s failures, a wrong set-up is %s', (one, other, isSetup) => {
  const failures = (['a', 'b', 'c'] as const).map((user) => ({ user, verdict: user === 'a' ? other : one }));
  expect(new Endpoint().report(0, failures).breaker.isSetup).toBe(isSetup);
});

const open = () => new Endpoint().failed('a').failed('b').failed('c');

test('an open breaker lets one request at a time probe', () => {
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
      { delivered: 0, failures: ['a', 'b', 'c'].map((user) => ({ user, verdict: 'misconfigured' })) },
      1,
      0,
      chance,
    );
    return breaker.openUntil;
  };
  expect([waitWith(0), waitWith(0.5), waitWith(0.999999)]).toEqual([4000, 5000, 6000]);
});

test('stragglers of slices that were dispatched before it opened do not lengthen the wait', () => {
  const endpoint = open();
  const { openUntil } = endpoint.breaker;
  expect(endpoint.failed('d').failed('e').breaker.openUntil).toBe(openUntil);
});

test('a probe that never reached the endpoint waits 5 s and counts as none', () => {
  const endpoint = open().probeFails('d', 'source');
  expect(endpoint.waitMs).toBe(5000);
  expect(endpoint.probeFails('e').waitMs).toBe(10_000);
});

test('a probe of a new person that never reached the endpoint does not shorten the wait of the others', () => {
  const endpoint = new Endpoint();
  for (let i = 0; i < 120; i++) endpoint.report(0, again(i));
  for (let i = 0; i < 4; i++) {
    endpoint.now = endpoint.breaker.openUntil - 1000;
    endpoint.report(0, again(0));
  }
  const { openUntil } = endpoint.breaker;
  endpoint.failed('new', 'source');
  expect(endpoint.breaker.openUntil).toBe(openUntil);
  expect(endpoint.breaker.freshFrom).toBe(endpoint.now + 5000);
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

test('the breaker is carried whole, or not at all if it never learnt anything', () => {
  expect(new Breaker().carry()).toBeUndefined();
  const endpoint = open();
  const again = new Breaker(structuredClone(endpoint.breaker.carry()));
  expect(again.openUntil).toBe(endpoint.breaker.openUntil);
  again.learn({ delivered: 1, failures: [] }, PERMITS, endpoint.now, NO_SPREAD);
  expect(again.allowedOf(PERMITS)).toBe(1);
});
