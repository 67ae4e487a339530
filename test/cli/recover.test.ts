import { describe, expect, test } from '@jest/globals';
import { resumedText } from '../../src/cli/commands/pause.ts';
import { recoveredText } from '../../src/cli/commands/recover.ts';

describe('recover says what is true of the job afterwards', () => {
  test('its triggers are sent', () => {
    expect(recoveredText('vip', { state: 'running', waiting: 12 })).toBe(
      'Recovered vip; 12 triggers waiting. They are sent now.',
    );
  });

  test('nothing waits', () => {
    expect(recoveredText('vip', { state: 'running', waiting: 0 })).toBe(
      'Recovered vip; 0 triggers waiting. It is running.',
    );
  });

  test('it is paused, by whom, and how to go on', () => {
    expect(recoveredText('vip', { state: 'paused', reason: 'Paused by an operator.', waiting: 1 })).toBe(
      'Recovered vip; 1 trigger waiting. It is paused: Paused by an operator. Resume it with: triggers resume vip',
    );
  });

  test('it goes on dropping what waits, as it was asked to before it was terminated', () => {
    const reason = 'Asked to stop; what is waiting will not be sent.';
    expect(recoveredText('vip', { state: 'stopping', reason, waiting: 12 })).toBe(
      `Recovered vip; 12 triggers waiting. It is stopping: ${reason}`,
    );
  });

  test.each([{ endpoint: { state: 'unwell' } as const }, { throttledUntil: '2026-11-25T09:30:00Z' }])(
    'its endpoint takes no requests: %j',
    (more) => {
      expect(recoveredText('vip', { state: 'running', waiting: 12, ...more })).toBe(
        'Recovered vip; 12 triggers waiting. They are sent once the endpoint takes requests again. See: triggers status vip',
      );
    },
  );
});

test('a stopping job that was paused by its endpoint sends again when it is resumed, and is said to be stopping all the same', () => {
  const reason = 'Asked to stop; what is waiting is sent first.';
  expect(resumedText('vip', { state: 'stopping', reason, waiting: 2 })).toBe(
    `Resumed vip; 2 triggers waiting. It is still stopping: ${reason}`,
  );
  expect(resumedText('vip', { state: 'running', waiting: 2 })).toBe('Resumed vip; 2 triggers waiting.');
});
