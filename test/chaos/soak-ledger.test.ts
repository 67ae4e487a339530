import { expect, test } from '@jest/globals';
import { SoakLedger } from '../../chaos/soak-ledger.ts';

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
