import { expect, test } from '@jest/globals';
import { arrivalsOf } from '../../src/client/ended-run.ts';

// Counted as the job's inbox counts them, or a recovery would take up too much or too little.
test.each([
  ['enter', { user: '1' }, [{ kind: 'trigger', raw: { user: '1' }, event: 'enter' }]],
  [
    'exit',
    ['1', '2'],
    [
      { kind: 'trigger', raw: '1', event: 'exit' },
      { kind: 'trigger', raw: '2', event: 'exit' },
    ],
  ],
  ['triggers', [{ user: '1' }], [{ kind: 'trigger', raw: { user: '1' }, event: undefined }]],
  ['triggers', [], []],
  ['enter', undefined, [{ kind: 'trigger', raw: undefined, event: 'enter' }]],
  ['redeliver', { user: '1' }, [{ kind: 'redelivery', raw: { user: '1' } }]],
  ['page', [1, 2], [{ kind: 'page', raw: [1, 2] }]],
  ['permitsReturned', {}, [{ kind: 'permits', raw: {} }]],
  ['entre', [1, 2], [{ kind: 'unknown', name: 'entre' }]],
])('a signal "%s" with %j is taken in as the job would', (name, raw, arrivals) => {
  expect(arrivalsOf(name, raw)).toEqual(arrivals);
});
