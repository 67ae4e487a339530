import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { TriggerEvent } from '../../src/contract/trigger.ts';
import { BatchQueue, type BatchQueueOptions } from '../../src/domain/batch-queue.ts';
import { always } from '../support/properties.ts';

type Trigger = BatchQueueOptions['triggers'][number];

/** One trigger for each letter: a capital is an exit. */
function triggersOf(letters: string): Trigger[] {
  return [...letters].map((letter) => ({
    user: letter.toLowerCase(),
    event: letter === letter.toLowerCase() ? 'enter' : 'exit',
  }));
}

function queueOf(letters: string, size: number, more: Partial<BatchQueueOptions> = {}): BatchQueue {
  return new BatchQueue({
    triggers: triggersOf(letters),
    size,
    isByEvent: false,
    ...more,
  });
}

const all = (queue: BatchQueue): number[] => queue.next(() => 'in');

test('batches are full, and in the order of the slice', () => {
  const queue = queueOf('abcde', 2);
  expect([all(queue), all(queue), all(queue), all(queue)]).toEqual([[0, 1], [2, 3], [4], []]);
  expect(queue.isEmpty).toBe(true);
});

test("a person's triggers are in one batch in their order, and in the next only once that was delivered", () => {
  const queue = queueOf('aaab', 2);
  const first = all(queue);
  expect(first).toEqual([0, 1]);
  expect(all(queue)).toEqual([3]);
  expect(all(queue)).toEqual([]);
  queue.delivered(first);
  expect(all(queue)).toEqual([2]);
});

test('after a batch that failed, the later triggers of its people stay', () => {
  const queue = queueOf('aab', 1);
  expect(all(queue)).toEqual([0]); // Nobody says that it was delivered.
  expect([all(queue), all(queue)]).toEqual([[2], []]);
});

test('a batch that is refused is halved until what cannot be accepted is alone, and no person overtakes themselves', () => {
  const queue = queueOf('aabbc', 4);
  const whole = all(queue);
  expect(whole).toEqual([0, 1, 2, 3]);
  queue.halve(whole);
  expect(queue.halved).toEqual([0, 1, 2, 3].map((place) => [place, 2]));
  const half = all(queue);
  expect(half).toEqual([0, 1]);
  queue.halve(half);
  expect(all(queue)).toEqual([0]);
  // The second of that person waits for the first; the other half has room for two.
  expect(all(queue)).toEqual([2, 3]);
  expect(all(queue)).toEqual([4]);
});

test('batches that were halved before the slice was dispatched stay halved', () => {
  const queue = new BatchQueue({
    triggers: triggersOf('abcd').map((trigger, place) => (place < 2 ? { ...trigger, batchMost: 1 } : trigger)),
    size: 4,
    isByEvent: false,
  });
  expect([all(queue), all(queue), all(queue)]).toEqual([[0], [1], [2, 3]]);
});

test('a batch halved without a request differs from one that was refused', () => {
  const queue = queueOf('abcd', 4);
  queue.halve(all(queue), false);
  const half = all(queue);
  queue.halve(half, true);
  const halved = [
    [0, 1],
    [1, 1],
    [2, 2, true],
    [3, 2, true],
  ] as const;
  expect(queue.halved).toEqual(halved);
});

test('where enters and exits have requests of their own, a batch has one of them', () => {
  const queue = queueOf('aBcDdE', 3, { isByEvent: true });
  const enters = all(queue);
  expect(enters).toEqual([0, 2]);
  expect(all(queue)).toEqual([1, 3, 5]);
  expect(all(queue)).toEqual([]);
});

test('a person who is out is not offered again, nor later triggers; a full batch leaves others for the next', () => {
  const queue = queueOf('aabc', 4);
  expect(queue.next((place) => (place === 1 ? 'out' : place === 3 ? 'full' : 'in'))).toEqual([0, 2]);
  queue.delivered([0, 2]);
  expect(all(queue)).toEqual([3]);
  expect(queueOf('ab', 2).next(() => 'out')).toEqual([]);
});

test('each trigger is settled once, in order, and alone if the endpoint cannot accept it, whatever is refused', () => {
  always(
    fc.property(
      fc.array(fc.record({ user: fc.nat(5), exit: fc.boolean(), poison: fc.boolean() }), { maxLength: 40 }),
      fc.integer({ min: 1, max: 12 }),
      fc.boolean(),
      fc.infiniteStream(fc.nat(3)),
      (drawn, size, isByEvent, dice) => {
        const people = drawn.toSorted((a, b) => a.user - b.user);
        const triggers = people.map(({ user, exit }) => {
          const event: TriggerEvent = exit ? 'exit' : 'enter';
          return { user: String(user), event };
        });
        const options = { triggers, size, isByEvent };
        const queue = new BatchQueue(options);
        const settled: number[] = [];
        const running: number[][] = [];
        let requests = 0;
        for (;;) {
          const batch = all(queue);
          if (batch.length > 0) running.push(batch);
          else if (running.length === 0) break;
          // Up to four are in flight, and end in any order.
          const { value = 0 } = dice.next();
          if (batch.length > 0 && running.length <= value) continue;
          const [ended = []] = running.splice(value % running.length, 1);
          requests++;
          expect(ended.length).toBeLessThanOrEqual(size);
          const isRefused = ended.some((place) => people[place]?.poison === true);
          const busy = new Set(running.flat().map((place) => people[place]?.user));
          expect(ended.every((place) => !busy.has(people[place]?.user ?? -1))).toBe(true);
          if (isByEvent) expect(new Set(ended.map((place) => triggers[place]?.event)).size).toBe(1);
          if (isRefused && ended.length > 1) queue.halve(ended);
          else {
            settled.push(...ended);
            if (!isRefused) queue.delivered(ended);
          }
        }
        expect(new Set(settled).size).toBe(settled.length);
        const places = [...triggers.keys()];
        for (const user of new Set(people.map((one) => one.user))) {
          const own = places.filter((place) => people[place]?.user === user);
          const until = own.findIndex((place) => people[place]?.poison === true);
          // After what cannot be accepted, a person's later triggers wait for the next slice.
          const due = until < 0 ? own : own.slice(0, until + 1);
          expect(settled.filter((place) => people[place]?.user === user)).toEqual(due);
        }
        const poisons = people.filter(({ poison }) => poison).length;
        expect(requests).toBeLessThanOrEqual(triggers.length + poisons * 2 * (Math.ceil(Math.log2(size)) + 1));
      },
    ),
  );
});
