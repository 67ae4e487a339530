import { setImmediate } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { inOrder, type OrderedItem, type Outcome } from '../../../src/client/calls/in-order.ts';

const DONE: Outcome = { kind: 'done' };

function item(group: string, place: number): OrderedItem {
  return { id: `${group}${place}`, group, place: String(place) };
}

/** What was begun and ended, in order, and the most that was under way at once. */
function record(outcomeOf: (item: OrderedItem) => Outcome | Error = () => DONE) {
  const events: string[] = [];
  const settled: [string, Outcome][] = [];
  let open = 0;
  const record = { events, settled, most: 0 };
  return Object.assign(record, {
    act: async (item: OrderedItem): Promise<Outcome> => {
      events.push(`+${item.id}`);
      open += 1;
      record.most = Math.max(record.most, open);
      await setImmediate();
      open -= 1;
      events.push(`-${item.id}`);
      const outcome = outcomeOf(item);
      if (outcome instanceof Error) throw outcome;
      return outcome;
    },
    settle: (item: OrderedItem, outcome: Outcome) => void settled.push([item.id, outcome]),
  });
}

test('within a group one goes after another, in the order of their places, however they came', async () => {
  const { act, settle, events } = record();
  await inOrder([item('a', 3), item('a', 1), item('a', 2)], act, settle, { atOnce: 10 });
  expect(events).toEqual(['+a1', '-a1', '+a2', '-a2', '+a3', '-a3']);
});

test('groups run side by side, no more of them than asked for', async () => {
  const groups = [...'abcdefgh'].map((group) => item(group, 1));
  const many = record();
  await inOrder(groups, many.act, many.settle, { atOnce: 3 });
  expect(many.most).toBe(3);
  expect(many.settled.map(([id]) => id).sort()).toEqual(groups.map(({ id }) => id));
});

test('a refused item does not block the next one of its group', async () => {
  const { act, settle, settled } = record(({ id }) => (id === 'a1' ? { kind: 'refused', reason: 'no' } : DONE));
  await inOrder([item('a', 1), item('a', 2)], act, settle, { atOnce: 2 });
  expect(settled).toEqual([
    ['a1', { kind: 'refused', reason: 'no' }],
    ['a2', DONE],
  ]);
});

test('after an unknown outcome, the rest of its group is left alone and reported, while other groups go on', async () => {
  const { act, settle, settled, events } = record(({ id }) => (id === 'a1' ? { kind: 'unknown', reason: '?' } : DONE));
  await inOrder([item('a', 1), item('a', 2), item('a', 3), item('b', 1)], act, settle, { atOnce: 1 });
  expect(events).not.toContain('+a2');
  expect(settled.map(([id, { kind }]) => [id, kind])).toEqual([
    ['a1', 'unknown'],
    ['a2', 'refused'],
    ['a3', 'refused'],
    ['b1', 'done'],
  ]);
});

test('a failure begins no more, and is thrown when what was begun is over', async () => {
  const { act, settle, events } = record(({ id }) => (id === 'a1' ? new Error('gone') : DONE));
  const groups = [...'abcd'].map((group) => item(group, 1));
  await expect(inOrder(groups, act, settle, { atOnce: 2 })).rejects.toThrow('gone');
  expect(events).toEqual(['+a1', '+b1', '-a1', '-b1']);
});

test('an abort begins no more', async () => {
  const controller = new AbortController();
  const { act, settled, settle } = record(() => {
    controller.abort(new Error('interrupted'));
    return DONE;
  });
  const running = inOrder([item('a', 1), item('a', 2)], act, settle, { atOnce: 2, signal: controller.signal });
  await expect(running).rejects.toThrow('interrupted');
  expect(settled).toEqual([['a1', DONE]]);
});
