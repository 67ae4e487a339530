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

  test('in quiet hours, that nothing is sent before their end', () => {
    expect(stopText('vip', { ...stopping, quietUntil: '2026-11-26T07:00:00.000000000Z' }, {})).toContain(
      'The rest is kept. These are quiet hours, so nothing is sent before 2026-11-26 07:00:00 UTC. Watch it',
    );
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

  test('what is in flight apart, since it may arrive; what running slices had not begun is dropped', () => {
    const status = { ...stopping, waiting: 40, discarded: 11_000, inFlight: 23, batch: null };
    expect(stopText('vip', status, { waiting: 'discard' })).toBe(
      'Stopping vip; 11,017 waiting triggers will not be sent. 23 are in flight and may arrive.',
    );
    expect(stopText('vip', { ...stopping, inFlight: 2, batch: { size: 5, afterMs: 0 } }, { waiting: 'keep' })).toBe(
      'Stopping vip; 2 waiting triggers will be kept. 10 are in flight and may arrive. Resume it later with: triggers resume vip',
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

  test('nothing, when the job had stopped and kept nothing', () => {
    const stopped = { state: 'stopped', waiting: 0 } as const;
    expect(stopText('vip', stopped, { waiting: 'discard' })).toBe(
      'vip had already stopped, and had kept nothing that waits. It can no longer be resumed.',
    );
    const aside = {
      ...stopped,
      unreadableHolders: [{ holder: '12', since: '', reason: 'no key', isAside: true }],
    } as const;
    expect(stopText('vip', aside, { waiting: 'discard' })).toContain(
      'what it kept (what 1 holder that was set aside keeps) has been discarded.',
    );
  });

  const backfill = {
    n: 1,
    state: 'running',
    at: '2026-01-01T00:00:00Z',
    audiences: ['vip'],
    expected: 3000,
    taken: 410,
    delivered: 400,
    superseded: 0,
    deadLetters: 0,
    waiting: 10,
    ratePerSecond: 0,
  } as const;

  test('with a backfill under way, of its members too', () => {
    const withBackfill = { ...stopping, backfill };
    expect(stopText('vip', withBackfill, {})).toContain(
      '12 waiting triggers, and 2,590 members that backfill 1 has not read yet will be sent first, for at most 60 min. The rest is kept. Watch',
    );
    expect(stopText('vip', { ...withBackfill, waiting: 0 }, { waiting: 'keep' })).toBe(
      'Stopping vip; 2,590 members that backfill 1 has not read yet will be kept. Resume it later with: triggers resume vip',
    );
    expect(stopText('vip', { ...withBackfill, backfill: { ...backfill, state: 'finished' } }, {})).not.toContain(
      'read',
    );
  });

  test('that a backfill which waits for a person is kept rather than sent', () => {
    const paused = { ...stopping, backfill: { ...backfill, state: 'paused' } } as const;
    expect(stopText('vip', paused, {})).toContain(
      '2 waiting triggers will be sent first, for at most 60 min. The rest is kept, and so is what backfill 1 has left, since it is paused.',
    );
  });
});
