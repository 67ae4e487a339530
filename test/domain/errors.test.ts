import { expect, test } from '@jest/globals';
import { codeOf, undecodable, undecodableReason } from '../../src/domain/errors.ts';

test('a code is the text that an error was given; a number, or a missing code, is none', () => {
  expect(codeOf(Object.assign(new Error('taken'), { code: 'EADDRINUSE' }))).toBe('EADDRINUSE');
  expect(codeOf({ code: '23505' })).toBe('23505');
  for (const other of [new Error('EADDRINUSE'), { code: 14 }, 'EADDRINUSE', null, undefined]) {
    expect(codeOf(other)).toBeUndefined();
  }
});

test('an undecodable payload says why, also after another journey through JSON', () => {
  expect(undecodableReason(JSON.parse(JSON.stringify(undecodable('it is not JSON'))))).toBe('it is not JSON');
});

test.each([[null], ['x'], [{}], [{ undecodablePayload: 5 }], [undefined]])('%j was read', (value) => {
  expect(undecodableReason(value)).toBeUndefined();
});
