import { expect, test } from '@jest/globals';
import { GRPC, isTimeUp, isTransient } from '../../src/client/server-errors.ts';
import { serverError } from './recorded-job.ts';

test('a call whose time was up is known by either code that it may end with', () => {
  for (const code of [GRPC.DEADLINE_EXCEEDED, GRPC.CANCELLED]) {
    expect([isTimeUp(serverError(code)), isTransient(serverError(code))]).toEqual([true, true]);
  }
});

test('nothing else is taken for it', () => {
  for (const code of [GRPC.UNAVAILABLE, GRPC.FAILED_PRECONDITION, GRPC.NOT_FOUND])
    expect(isTimeUp(serverError(code))).toBe(false);
  expect(isTimeUp(new Error('deadline'))).toBe(false);
});
