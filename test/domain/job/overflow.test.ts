import { isDeepStrictEqual } from 'node:util';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Fifo } from '../../../src/domain/job/queue/overflow.ts';
import { always } from '../../support/properties.ts';

test('a Fifo behaves as an array does, whatever is put in and taken out', () => {
  const change = fc.oneof(
    fc.nat(3000).map((count) => ({ kind: 'push', count }) as const),
    fc.nat(3000).map((count) => ({ kind: 'take', count }) as const),
    fc.nat(3000).map((count) => ({ kind: 'shift', count }) as const),
    fc.constant({ kind: 'clear', count: 0 } as const),
  );
  always(
    fc.property(fc.array(change, { maxLength: 20 }), (changes) => {
      const fifo = new Fifo<number>();
      let array: number[] = [];
      let next = 0;
      for (const { kind, count } of changes) {
        if (kind === 'push') {
          for (let i = 0; i < count; i++) {
            fifo.push(next);
            array.push(next++);
          }
        } else if (kind === 'take') expectSame(fifo.take(count), array.splice(0, count));
        else if (kind === 'shift')
          expectSame(
            Array.from({ length: count }, () => fifo.shift()),
            Array.from({ length: count }, () => array.shift()),
          );
        else {
          fifo.clear();
          array = [];
        }
        expect(fifo.length).toBe(array.length);
      }
      expectSame([...fifo], array);
    }),
    20,
  );
});

/** Jest's own comparison takes a hundred times as long for thousands of numbers. */
function expectSame(one: readonly unknown[], other: readonly unknown[]): void {
  if (!isDeepStrictEqual(one, other)) expect(one).toEqual(other);
}
