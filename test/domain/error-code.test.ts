import { expect, test } from '@jest/globals';
import { codeOf } from '../../src/domain/error-code.ts';

test('an error has the code that it was given; a number, and whatever is not an error, is no code', () => {
  expect(codeOf(Object.assign(new Error('taken'), { code: 'EADDRINUSE' }))).toBe('EADDRINUSE');
  expect(codeOf({ code: '23505' })).toBe('23505');
  for (const other of [new Error('EADDRINUSE'), { code: 14 }, 'EADDRINUSE', null, undefined]) {
    expect(codeOf(other)).toBeUndefined();
  }
});
