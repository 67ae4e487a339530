import { expect, test } from '@jest/globals';
import { beganAt } from '../../src/domain/names.ts';

test('a run id of a newer server says when the run began; other ids are not guessed', () => {
  const at = Date.UTC(2026, 10, 28, 9, 30);
  const time = at.toString(16).padStart(12, '0');
  expect(beganAt(`${time}7c3a8f00112233445566`)).toBe(at);
  expect(beganAt(`${time}4c3a8f00112233445566`)).toBeUndefined();
  expect(beganAt('')).toBeUndefined();
});
