import { expect, test } from '@jest/globals';
import { type ExpectedTrigger, missingFrom, violationsIn } from '../../demo/expected-triggers.ts';
import { Ledger, type RecordedRequest } from '../../demo/recorder.ts';

const VIP = 'a'.repeat(32);
let ids = 0;

function at(second: number): string {
  return `2026-10-14T13:27:${String(second).padStart(2, '0')}.000000001-07:00`;
}

function trigger(user: string, second: number, more: Partial<ExpectedTrigger> = {}): ExpectedTrigger {
  return { user, audience: 'vip', event: 'enter', at: at(second), ...more };
}

function begin(
  ledger: Ledger,
  what: ExpectedTrigger,
  more: Partial<Pick<RecordedRequest, 'deliveryId' | 'inFlight'>> = {},
): RecordedRequest {
  const { user, audience, event, at: when } = what;
  const message = { user, audience: VIP, slug: audience, event, at: when };
  return ledger.record({ deliveryId: `id-${++ids}`, message, target: 'POST /', arrivedAtMs: 0, inFlight: 1, ...more });
}

function arrive(
  ledger: Ledger,
  what: ExpectedTrigger,
  more: { deliveryId?: string; answered?: RecordedRequest['answered'] } = {},
) {
  const { answered = 200, ...rest } = more;
  ledger.settle(begin(ledger, what, rest), answered);
}

test('the ledger counts correct arrivals by audience and event, and finds nothing wrong', () => {
  const ledger = new Ledger();
  const expected = [
    trigger('1', 1),
    trigger('2', 2),
    trigger('1', 3, { event: 'exit' }),
    trigger('2', 4, { audience: 'newsletter' }),
  ];
  for (const what of expected) arrive(ledger, what);
  expect(ledger.summary()).toEqual({
    requests: 4,
    delivered: 4,
    byAudience: { vip: { enter: 2, exit: 1 }, newsletter: { enter: 1, exit: 0 } },
    mostInFlight: 1,
    duplicates: 0,
    outOfOrder: 0,
    overlaps: 0,
    refused: 0,
    unreadable: 0,
  });
  expect(violationsIn(ledger, expected)).toEqual([]);
  expect(missingFrom(ledger, expected)).toEqual([]);
});

test('a delivery that was taken twice is a duplicate; one that was tried again is not', () => {
  const ledger = new Ledger();
  arrive(ledger, trigger('1', 1), { deliveryId: 'a', answered: 500 });
  arrive(ledger, trigger('1', 1), { deliveryId: 'a', answered: 'reset' });
  arrive(ledger, trigger('1', 1), { deliveryId: 'a' });
  expect(ledger.summary()).toMatchObject({ requests: 3, delivered: 1, duplicates: 0, refused: 2 });
  arrive(ledger, trigger('1', 1), { deliveryId: 'a', answered: 204 });
  expect(ledger.summary()).toMatchObject({
    requests: 4,
    delivered: 1,
    duplicates: 1,
    byAudience: { vip: { enter: 1 } },
  });
});

test('the ledger finds a wrong order wherever it occurs', () => {
  const expected = Array.from({ length: 30 }, (_, i) => trigger(String(i % 3), i));
  for (let place = 0; place + 3 < expected.length; place++) {
    const order = [...expected];
    // Three apart: the same person.
    [order[place], order[place + 3]] = [expected[place + 3] ?? trigger('', 0), expected[place] ?? trigger('', 0)];
    const ledger = new Ledger();
    for (const what of order) arrive(ledger, what);
    expect(ledger.summary().outOfOrder).toBe(1);
    expect(violationsIn(ledger, expected)).toEqual([
      `person ${place % 3}: enter vip (${at(place)}) arrived after enter vip (${at(place + 3)})`,
    ]);
  }
});

test('times are compared as instants, not as texts', () => {
  const ledger = new Ledger();
  arrive(ledger, trigger('1', 0, { at: '2026-10-14T23:00:00+09:00' }));
  arrive(ledger, trigger('1', 0, { at: '2026-10-14T14:00:00.000000001Z' }));
  arrive(ledger, trigger('1', 0, { at: '2026-10-14T07:00:00.000000002-07:00' }));
  expect(ledger.summary().outOfOrder).toBe(0);
  arrive(ledger, trigger('1', 0, { at: '2026-10-14T14:00:00.000000001+00:00' }));
  expect(ledger.summary().outOfOrder).toBe(1);
});

test('the ledger reports triggers that never came, or were only refused, as missing, by slug and by id', () => {
  const ledger = new Ledger();
  const expected = [trigger('1', 1), trigger('2', 2, { audience: VIP }), trigger('3', 3), trigger('4', 4)];
  arrive(ledger, trigger('1', 1), { deliveryId: 'a' });
  arrive(ledger, trigger('2', 2), { deliveryId: 'b' });
  arrive(ledger, trigger('3', 3), { deliveryId: 'c', answered: 500 });
  expect(missingFrom(ledger, expected)).toEqual([expected[2], expected[3]]);
  expect(ledger.missingIds(['a', 'b', 'c', 'd'])).toEqual(['c', 'd']);
});

test('too many requests at once show, and so do two for one person', () => {
  const ledger = new Ledger();
  const open = [1, 2, 3, 4, 5, 6].map((inFlight) =>
    begin(ledger, trigger(String(inFlight % 5), inFlight), { inFlight }),
  );
  for (const arrival of open) ledger.settle(arrival, 200);
  expect(ledger.mostInFlight).toBe(6);
  expect(ledger.summary().overlaps).toBe(1);
  arrive(ledger, trigger('1', 7));
  expect(ledger.summary().overlaps).toBe(1);
});

test('a body of neither format and a request without an id are unreadable', () => {
  const ledger = new Ledger();
  const none = { deliveryId: undefined, message: undefined, target: 'POST /', arrivedAtMs: 0, inFlight: 1 };
  ledger.settle(ledger.record(none), 200);
  ledger.settle(ledger.record({ ...none, deliveryId: 'a' }), 200);
  expect(ledger.summary()).toMatchObject({ requests: 2, unreadable: 2, delivered: 1, byAudience: {} });
});

test('waiting ends with the answer that makes it true', async () => {
  const ledger = new Ledger();
  await ledger.waitFor((seen) => seen.delivered === 0, 1);
  const waiting = ledger.waitFor((seen) => seen.delivered === 2);
  arrive(ledger, trigger('1', 1));
  arrive(ledger, trigger('1', 2));
  await waiting;
});

test('a batch is judged element by element, and is one request', () => {
  const ledger = new Ledger();
  const elementOf = ({ user, audience, event, at: when }: ExpectedTrigger, deliveryId?: string) => ({
    deliveryId,
    message: { user, audience: VIP, slug: audience, event, at: when },
  });
  const batch = (...elements: ReturnType<typeof elementOf>[]) =>
    ledger.record({ deliveryId: 'batch', message: undefined, elements, target: 'POST /', arrivedAtMs: 0, inFlight: 1 });
  const expected = [trigger('1', 1), trigger('1', 2, { event: 'exit' }), trigger('2', 1), trigger('2', 3)];
  const [first = trigger('', 1), second = first, other = first, last = first] = expected;
  ledger.settle(batch(elementOf(first, 'a'), elementOf(second, 'b'), elementOf(other, 'c')), 200);
  expect(ledger.summary()).toMatchObject({ requests: 1, delivered: 3, overlaps: 0, outOfOrder: 0, unreadable: 0 });
  expect(missingFrom(ledger, expected)).toEqual([last]);
  // Two requests with one person at once; a repeat; and one that says no id.
  const open = batch(elementOf(last, 'd'));
  const again = batch(elementOf(other, 'c'), elementOf(trigger('3', 1)));
  ledger.settle(again, 200);
  ledger.settle(open, 422);
  expect(ledger.summary()).toMatchObject({
    requests: 3,
    delivered: 3,
    overlaps: 1,
    duplicates: 1,
    outOfOrder: 0,
    refused: 1,
    unreadable: 1,
  });
  ledger.settle(batch(elementOf(last, 'd')), 200);
  expect(violationsIn(ledger, expected)).toEqual([]);
  expect(violationsIn(ledger, [last, other])).toHaveLength(1);
});
