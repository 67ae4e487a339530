import { expect, test } from '@jest/globals';
import { undecodable, undecodableReason } from '../../src/domain/undecodable.ts';

test('what could not be read says why, also after another journey as JSON', () => {
  expect(undecodableReason(JSON.parse(JSON.stringify(undecodable('it is not JSON'))))).toBe('it is not JSON');
});

test.each([[null], ['x'], [{}], [{ undecodablePayload: 5 }], [undefined]])('%j was read', (value) => {
  expect(undecodableReason(value)).toBeUndefined();
});
