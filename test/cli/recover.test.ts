import { describe, expect, test } from '@jest/globals';
import { resumedText } from '../../src/cli/commands/pause.ts';
import { recoveredText } from '../../src/cli/commands/recover.ts';

describe('recover says what is true of the job afterwards', () => {
  test('its triggers are sent', () => {
    expect(recoveredText('vip', { state: 'running', waiting: 12 })).toBe(
      'Recovered vip; 12 triggers waiting. They are tried now. See what comes of it: triggers status vip --watch',
    );
    expect(recoveredText('vip', { state: 'running', waiting: 1 })).toContain('1 trigger waiting. It is tried now.');
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

  test.each([{ endpoint: { state: 'unhealthy' } as const }, { throttledUntil: '2026-11-25T09:30:00Z' }])(
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
  const undo = 'To undo the stop: triggers stop vip --waiting keep, then triggers resume vip';
  const now = { state: 'stopping', reason, waiting: 2 } as const;
  const gone = { ...now, reason: 'The endpoint answered 410 Gone.' };
  expect(resumedText('vip', now, gone)).toBe(
    `vip sends again, and is still stopping; 2 triggers waiting. ${reason} ${undo}`,
  );
  expect(resumedText('vip', now, now)).toBe(
    `vip was not paused, and is still stopping; 2 triggers waiting. ${reason} ${undo}`,
  );
});

test('only what was paused or stopped is said to be resumed', () => {
  const running = { state: 'running', waiting: 2 } as const;
  expect(resumedText('vip', running, { state: 'paused', waiting: 2 })).toBe('Resumed vip; 2 triggers waiting.');
  expect(resumedText('vip', running, { state: 'stopped', waiting: 2 })).toBe('Resumed vip; 2 triggers waiting.');
  expect(resumedText('vip', { ...running, waiting: 0 }, { state: 'stopped', waiting: 0, kept: { waiting: 5 } })).toBe(
    'Resumed vip, with 5 triggers that it had kept.',
  );
  expect(resumedText('vip', running, undefined)).toBe('Resumed vip; 2 triggers waiting.');
  expect(resumedText('vip', running, running)).toBe('vip was not paused; 2 triggers waiting.');
});
