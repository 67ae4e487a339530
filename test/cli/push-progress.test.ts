import { expect, test } from '@jest/globals';
import { progressText } from '../../src/cli/commands/push.ts';

test('says how far a push is, how fast, and what it waits for', () => {
  expect(progressText({ accepted: 12_345, signals: 20 }, 2_000)).toBe('12,345 triggers accepted, 6,173 a second');
  expect(progressText({ accepted: 1, signals: 1, waitingFor: 'history' }, 1_000)).toBe(
    '1 trigger accepted, 1 a second; waiting for the job to process what it has',
  );
});

test('of all jobs together says what was read, and by how many jobs how much was accepted', () => {
  expect(progressText({ read: 1_000, jobs: 3, accepted: 3_000, signals: 9, waitingFor: 'server' }, 1_500)).toBe(
    '1,000 triggers read, 3,000 accepted by 3 jobs, 2,000 a second; waiting for the Temporal server',
  );
});
