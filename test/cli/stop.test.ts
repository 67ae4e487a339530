import { describe, expect, test } from '@jest/globals';
import { stopText } from '../../src/cli/commands/stop.ts';

const stopping = { state: 'stopping', waiting: 12 } as const;

describe('stop says what will become of what waits', () => {
  test('sent first, for an hour unless told otherwise, then kept', () => {
    expect(stopText('vip', stopping, {})).toBe(
      'Stopping vip; 12 waiting triggers will be sent first, for at most 60 min. The rest is kept. Watch it with: triggers status vip --watch',
    );
    expect(stopText('vip', stopping, { deadlineMs: 90_000 })).toContain('for at most 90 s.');
  });

  test('kept, and how to go on', () => {
    expect(stopText('vip', stopping, { waiting: 'keep' })).toBe(
      'Stopping vip; 12 waiting triggers will be kept. Resume it later with: triggers resume vip',
    );
  });

  test('dropped', () => {
    expect(stopText('vip', stopping, { waiting: 'discard' })).toBe(
      'Stopping vip; 12 waiting triggers will not be sent.',
    );
  });

  test('nothing when nothing is waiting', () => {
    expect(stopText('vip', { state: 'stopping', waiting: 0 }, {})).toBe('Stopping vip; nothing is waiting.');
  });

  test('nothing, and how to go on all the same, when it is kept', () => {
    expect(stopText('vip', { state: 'stopping', waiting: 0 }, { waiting: 'keep' })).toBe(
      'Stopping vip; nothing is waiting. Resume it later with: triggers resume vip',
    );
  });

  test('discarded, when the job had stopped and kept it', () => {
    expect(stopText('vip', { state: 'stopped', waiting: 12 }, { waiting: 'discard' })).toBe(
      'vip had already stopped; what it kept (12 waiting triggers) has been discarded.',
    );
  });
});
