import { setTimeout } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { changeKey, type Incidents, judge, type SeenRequest, UNREPORTED_MS } from '../../chaos/judge.ts';
import { judgeLog, misnumberedOf } from '../../chaos/judge-log.ts';
import { SoakLedger } from '../../chaos/soak-ledger.ts';
import { SLACK_MS, StallWatch } from '../../chaos/stalls.ts';
import { Trouble, type TroubleOptions } from '../../chaos/trouble.ts';
import type { DeliveryRow } from '../../src/features/delivery-log/delivery.ts';
import type { Answer } from '../../src/features/local/receiver.ts';
import { aDelivery } from '../features/delivery-log/a-delivery.ts';
import { rowOf } from './a-row.ts';

describe('the judge', () => {
  const CALM: Incidents = { kills: new Map(), outages: [], repeated: new Set(), requestTimeoutMs: 2000, stalls: [] };

  function change(person: string, n: number) {
    return { person, what: `vip enter ${n}` };
  }

  /** A request of a second's n-th millisecond, answered 200 a millisecond later. */
  function request(person: string, n: number, more: Partial<SeenRequest> = {}): SeenRequest {
    const arrivedAtMs = more.arrivedAtMs ?? 1000 + n;
    return {
      ...change(person, n),
      deliveryId: `id of ${person} ${n}`,
      worker: 'w1',
      arrivedAtMs,
      endedAtMs: arrivedAtMs + 1,
      inFlight: 1,
      answered: 200,
      ...more,
    };
  }

  const live = [change('a', 1), change('b', 2), change('a', 3)];
  const clean = [request('a', 1), request('b', 2), request('a', 3)];
  const job = { cap: 2, live, members: [], requests: clean };

  test('finds nothing where there is nothing to find', () => {
    expect(judge(job, CALM)).toEqual({
      delivered: 3,
      lost: 0,
      outOfOrder: 0,
      overCap: 0,
      unexplainedOverCap: 0,
      mostInFlight: 1,
      longestAbandonedMs: 0,
      duplicates: 0,
      unexplainedDuplicates: 0,
      changedIds: 0,
      unexpected: 0,
      violations: [],
    });
  });

  test('finds what never arrived, and what arrived but was never taken', () => {
    const requests = [request('a', 1), request('a', 3, { answered: 500 }), request('a', 3, { answered: 'reset' })];
    const verdict = judge({ ...job, members: [change('c', 9)], requests }, CALM);
    expect(verdict).toMatchObject({ delivered: 1, lost: 3 });
    expect(verdict.violations).toEqual(['lost: b vip enter 2', 'lost: a vip enter 3', 'lost: c vip enter 9']);
  });

  test('a half answer is an arrival: its status line said 200', () => {
    const requests = [...clean.slice(0, 2), request('a', 3, { answered: 'half' })];
    expect(judge({ ...job, requests }, CALM)).toMatchObject({ delivered: 3, lost: 0 });
  });

  test('finds what was overtaken, by first successes', () => {
    const swapped = [request('a', 3), request('b', 2), request('a', 1)];
    expect(judge({ ...job, requests: swapped }, CALM)).toMatchObject({ lost: 0, outOfOrder: 1 });
    // Neither an earlier attempt that failed nor a later repeat is a change of order.
    const retried = [request('a', 3, { answered: 503 }), ...clean, request('a', 1)];
    expect(judge({ ...job, requests: retried }, CALM)).toMatchObject({ outOfOrder: 0, duplicates: 1 });
  });

  test('members of a backfill have no order, but may not be missing', () => {
    const members = [change('a', 8), change('a', 9)];
    const requests = [request('a', 9), ...clean, request('a', 8)];
    expect(judge({ ...job, members, requests }, CALM)).toMatchObject({ delivered: 5, lost: 0, outOfOrder: 0 });
    expect(judge({ ...job, members, requests: clean }, CALM)).toMatchObject({ lost: 2 });
  });

  test('a repeat is explained by what left the job in doubt, and by nothing else', () => {
    const twice = (first: Partial<SeenRequest>, incidents: Partial<Incidents>) => {
      const requests = [...clean, request('a', 3, first), request('a', 3, { worker: 'w2', arrivedAtMs: 20_000 })];
      const { duplicates, unexplainedDuplicates } = judge(
        { ...job, requests: requests.filter((one) => one !== clean[2]) },
        { ...CALM, ...incidents },
      );
      return { duplicates, unexplainedDuplicates };
    };
    const explained = { duplicates: 1, unexplainedDuplicates: 0 };
    const unexplained = { duplicates: 1, unexplainedDuplicates: 1 };
    const at = 10_000;
    expect(twice({ arrivedAtMs: at }, {})).toEqual(unexplained);

    // The kill of the worker that sent it, a short while later; not of another one, not long after.
    expect(twice({ arrivedAtMs: at }, { kills: new Map([['w1', at + 1500]]) })).toEqual(explained);
    expect(twice({ arrivedAtMs: at }, { kills: new Map([['w2', at + 1500]]) })).toEqual(unexplained);
    expect(twice({ arrivedAtMs: at }, { kills: new Map([['w1', at + UNREPORTED_MS + 1]]) })).toEqual(unexplained);

    const outage = (fromMs: number) => ({ outages: [{ fromMs, toMs: fromMs + 2000 }] });
    expect(twice({ arrivedAtMs: at }, outage(at + 1000))).toEqual(explained);
    expect(twice({ arrivedAtMs: at }, outage(at - 4000))).toEqual(explained);
    expect(twice({ arrivedAtMs: at }, outage(at + UNREPORTED_MS + 1))).toEqual(unexplained);
    expect(twice({ arrivedAtMs: at }, outage(at - 2001 - UNREPORTED_MS))).toEqual(unexplained);

    expect(twice({ arrivedAtMs: at, answered: 'half' }, {})).toEqual(explained);
    expect(twice({ arrivedAtMs: at, endedAtMs: at + 1900 }, {})).toEqual(explained);
    expect(twice({ arrivedAtMs: at, endedAtMs: at + 1000 }, {})).toEqual(unexplained);

    expect(twice({ arrivedAtMs: at }, { repeated: new Set([changeKey(change('a', 3))]) })).toEqual(explained);
    expect(twice({ arrivedAtMs: at }, { repeated: new Set([changeKey(change('a', 1))]) })).toEqual(unexplained);
  });

  test('a request that was reset between two successes explains nothing', () => {
    const requests = [...clean, request('a', 3, { answered: 'reset' }), request('a', 3)];
    expect(judge({ ...job, requests }, CALM)).toMatchObject({ duplicates: 1, unexplainedDuplicates: 1 });
  });

  test('more in flight than the cap is a violation for each request that came too early', () => {
    const requests = clean.map((one, place) => ({ ...one, inFlight: place + 1 }));
    expect(judge({ ...job, cap: 3, requests }, CALM)).toMatchObject({ overCap: 0, mostInFlight: 3 });
    const verdict = judge({ ...job, cap: 1, requests }, CALM);
    expect(verdict).toMatchObject({ overCap: 2, unexplainedOverCap: 2, mostInFlight: 3 });
    expect(verdict.violations).toHaveLength(2);
  });

  test('requests that an endpoint still has open, and nobody waits for, may exceed the cap, and no others', () => {
    const overBy = (excess: number, open: Partial<SeenRequest>, incidents: Partial<Incidents> = {}) => {
      const left = request('a', 1, { arrivedAtMs: 1000, endedAtMs: undefined, answered: undefined, ...open });
      const requests = [left, request('b', 2, { arrivedAtMs: 5000, worker: 'w2', inFlight: 2 + excess })];
      return judge({ ...job, requests }, { ...CALM, ...incidents }).unexplainedOverCap;
    };
    const killed = { kills: new Map([['w1', 4999]]) };
    expect(overBy(1, { arrivedAtMs: 4500 }, killed)).toBe(0);
    expect(overBy(2, { arrivedAtMs: 4500 }, killed)).toBe(1);
    expect(overBy(1, { arrivedAtMs: 4500 }, { kills: new Map([['w1', 5001]]) })).toBe(1);
    expect(overBy(1, { arrivedAtMs: 4500 }, { kills: new Map([['w3', 4999]]) })).toBe(1);
    // Given up by its deadline; or closed by then, so that it does not count.
    expect(overBy(1, { arrivedAtMs: 3000 })).toBe(0);
    expect(overBy(1, { arrivedAtMs: 4000 })).toBe(1);
    expect(overBy(1, { arrivedAtMs: 3000, endedAtMs: 4999, answered: 'aborted' })).toBe(1);
  });

  test('what came or ended while the endpoint stood still may have been given up, and nothing else', () => {
    const stalls = [{ fromMs: 10_000, toMs: 12_000 }];
    const judged = (first: Partial<SeenRequest>) => {
      const again = request('a', 3, { worker: 'w2', arrivedAtMs: 20_000 });
      const requests = [...clean.slice(0, 2), request('a', 3, first), again];
      const incidents = { ...CALM, stalls };
      const rows = [rowOf(again, 'live')];
      const { unexplainedDuplicates } = judge({ ...job, requests }, incidents);
      expect(judgeLog(requests.slice(2), rows, incidents)).toMatchObject({
        unlogged: 1,
        unexplainedUnlogged: unexplainedDuplicates,
        invented: 0,
      });
      return unexplainedDuplicates;
    };
    // Its sender may have sent it at the beginning of the stall.
    expect(judged({ arrivedAtMs: 12_001 })).toBe(0);
    // Its sender may have stood still, too, before it read the answer.
    expect(judged({ arrivedAtMs: 9_995 })).toBe(0);
    expect(judged({ arrivedAtMs: 9_500 })).toBe(1);
    expect(judged({ arrivedAtMs: 12_500 })).toBe(1);

    const overBy = (excess: number, arrivedAtMs: number) => {
      const open = request('a', 1, { arrivedAtMs, endedAtMs: undefined, answered: undefined });
      const requests = [open, request('b', 2, { arrivedAtMs: 12_010, worker: 'w2', inFlight: 2 + excess })];
      return judge({ ...job, requests }, { ...CALM, stalls }).unexplainedOverCap;
    };
    // The open one and the new one itself may have been given up.
    expect(overBy(2, 12_001)).toBe(0);
    expect(overBy(3, 12_001)).toBe(1);
  });

  test('this process knows when it stood still', async () => {
    const watch = new StallWatch();
    const fromMs = Date.now();
    while (Date.now() < fromMs + 2 * SLACK_MS);
    await setTimeout(100);
    watch.close();
    expect(watch.stalls).toHaveLength(1);
    expect(watch.stalls[0]?.fromMs).toBeLessThanOrEqual(fromMs);
    expect(watch.stalls[0]?.toMs).toBeGreaterThanOrEqual(fromMs + 2 * SLACK_MS);
  });

  test('a batch counts once towards the cap, and the judge checks each of its triggers', () => {
    const at = { arrivedAtMs: 5000, inFlight: 2 };
    const requests = [
      request('a', 1, { ...at, number: 1 }),
      request('b', 2, { ...at, number: 1 }),
      request('a', 3, { number: 2 }),
    ];
    expect(judge({ ...job, cap: 1, requests }, CALM)).toMatchObject({
      delivered: 3,
      overCap: 1,
      unexplainedOverCap: 1,
    });
    expect(judge({ ...job, requests: requests.toReversed() }, CALM)).toMatchObject({ outOfOrder: 1 });
  });

  test('says how long a request stayed open after the kill of its sender', () => {
    const requests = [
      request('a', 1, { arrivedAtMs: 4000, endedAtMs: 5040, answered: 'aborted' }),
      request('b', 2, { arrivedAtMs: 4500, endedAtMs: 4999 }),
      request('a', 3, { arrivedAtMs: 4000, endedAtMs: 9000, worker: 'w2' }),
    ];
    const incidents = { ...CALM, kills: new Map([['w1', 5000]]) };
    expect(judge({ ...job, requests }, incidents)).toMatchObject({ longestAbandonedMs: 40 });
  });

  test('finds a change that came under a second delivery id, and what nobody signalled', () => {
    const requests = [...clean, request('a', 3, { deliveryId: 'another' }), request('z', 7)];
    expect(judge({ ...job, requests }, CALM)).toMatchObject({ changedIds: 1, unexpected: 1 });
  });
});

describe('the soak', () => {
  function figuresOf(arrivals: readonly number[], { triggers = 20, people = 3 } = {}) {
    const ledger = new SoakLedger(triggers, people);
    for (const trigger of arrivals) ledger.take(trigger);
    const { delivered, lost, duplicates, outOfOrder, unexpected } = ledger;
    return { delivered, lost, duplicates, outOfOrder, unexpected };
  }

  const all = Array.from({ length: 20 }, (_, i) => i);
  const clean = { delivered: 20, lost: 0, duplicates: 0, outOfOrder: 0, unexpected: 0 };

  test('finds nothing when each came once, people in any order', () => {
    expect(figuresOf(all)).toEqual(clean);
    const byPerson = [2, 0, 1].flatMap((person) => all.filter((trigger) => trigger % 3 === person));
    expect(figuresOf(byPerson)).toEqual(clean);
    expect(figuresOf([1, 0, 2, ...all.slice(3)])).toEqual(clean);
  });

  test('finds what is lost, doubled, overtaken by a younger one of its person, or none of ours', () => {
    expect(figuresOf(all.filter((trigger) => trigger !== 9))).toEqual({ ...clean, delivered: 19, lost: 1 });
    expect(figuresOf([...all, 9, 9])).toEqual({ ...clean, duplicates: 2 });
    expect(figuresOf([0, 1, 2, 6, 3, ...all.slice(4).filter((trigger) => trigger !== 6)])).toEqual({
      ...clean,
      outOfOrder: 1,
    });
    expect(figuresOf([...all, 20, -1, Number.NaN])).toEqual({ ...clean, unexpected: 3 });
  });
});

describe('trouble', () => {
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
});

test('numbers of attempts rise with each request of a trigger, also over a redelivery; a replay counts for itself', () => {
  const row = (sequence: number, attempt: number, lane: DeliveryRow['lane'] = 'live') =>
    aDelivery({ sequence, attempt, lane });
  expect(misnumberedOf([row(2, 2), row(1, 1), row(3, 3, 'redelivery'), row(4, 1, 'replay')])).toEqual([]);
  expect(misnumberedOf([row(1, 1), row(2, 1, 'redelivery')])).toMatchObject([{ sequence: 2 }]);
});
