import { bucketOf, BUCKETS, differenceOf, isTooLarge } from '../../../../src/snapshots/comparing.ts';
import { expect, test } from '@jest/globals';
import type { ScanReport, WatchState } from '../../../../src/features/watch/sandbox/watch.ts';
import { checkWatchOptions } from '../../../../src/features/watch/watch-options.ts';
import {
  describeWatch,
  mayBePublished,
  newWatch,
  nextRoundAt,
  retryAfterMs,
  roundInstant,
  watchAlerts,
} from '../../../../src/features/watch/sandbox/rounds.ts';
import { watchDetails } from '../../../../src/features/watch/sandbox/rows.ts';
import { readWatchChange } from '../../../../src/features/watch/sandbox/change.ts';

test('people spread over all parts, whatever their ids look like', () => {
  for (const spell of [
    (i: number) => String(i),
    (i: number) => `user-${i}@example.com`,
    (i: number) => String.fromCodePoint(0x4e00 + i),
  ]) {
    const sizes = Array.from({ length: BUCKETS }, () => 0);
    for (let i = 0; i < BUCKETS * 50; i++) sizes[bucketOf(spell(i))]! += 1;
    expect(Math.max(...sizes)).toBeLessThan(50 * 3);
    expect(Math.min(...sizes)).toBeGreaterThan(50 / 4);
  }
});

test('a person is in the part that snapshots on disk have them in', () => {
  // As it was when the first snapshots were written: another rule needs another version of them.
  expect(['', '1', '7076027172059065053', 'é', '😀'].map(bucketOf)).toEqual([197, 131, 154, 79, 134]);
});

test('a part says who is new, who is missing, and how that differs from a held scan', () => {
  const set = (...users: string[]) => new Set(users);
  expect(differenceOf({ base: set('a', 'b', 'c', 'd'), held: set('a', 'd'), scan: set('a', 'b', 'e') })).toEqual({
    enters: ['e'],
    exits: ['c', 'd'],
    back: 1,
    gone: 1,
  });
  expect(differenceOf({ base: set('a'), held: undefined, scan: set() })).toEqual({
    enters: [],
    exits: ['a'],
    back: 0,
    gone: 0,
  });
});

const AUDIENCE = { id: 'a'.repeat(32), slug: 'vip', name: 'V|P' };
const OPTIONS = { everyMs: 60_000, existingUsers: false, largestExitPercent: 20 };
const AT = '2026-11-25T08:30:00.000000000Z';

const state = (more: Partial<WatchState> = {}): WatchState => ({
  ...newWatch(AUDIENCE, OPTIONS),
  snapshot: { id: 's', members: 1000, at: AT },
  ...more,
});
const scan = (more: Partial<ScanReport> = {}): ScanReport => ({
  members: 1000,
  enters: 0,
  exits: 0,
  back: 0,
  gone: 0,
  heldFound: false,
  ...more,
});

test.each([
  ['a fifth of the members', 200, 1000, 20, false],
  ['one more', 201, 1000, 20, true],
  ['all of a few', 10, 10, 20, false],
  ['all of some more', 11, 11, 20, true],
  ['everybody, where that is allowed', 1000, 1000, 100, false],
])('leaving at once: %s', (_, exits, members, percent, isLarge) => {
  expect(isTooLarge(exits, members, percent)).toBe(isLarge);
});

const held = { scan: { id: 'h', members: 500, at: AT }, exits: 500 };

test.each<[string, ScanReport, Partial<WatchState>, boolean]>([
  ['few exits', scan({ exits: 200 }), {}, true],
  ['many', scan({ exits: 500 }), {}, false],
  ['the same again', scan({ exits: 500, heldFound: true }), { held }, true],
  ['nearly the same again', scan({ exits: 505, back: 5, gone: 10, heldFound: true }), { held }, true],
  ['some who are back', scan({ exits: 494, back: 6, heldFound: true }), { held }, false],
  ['still more who are gone', scan({ exits: 800, gone: 300, heldFound: true }), { held }, false],
  ['a held scan that is not there', scan({ exits: 500 }), { held }, false],
  ['some who are back, accepted', scan({ exits: 400, back: 100, heldFound: true }), { held, isAccepted: true }, true],
  ['still more, accepted', scan({ exits: 800, gone: 300, heldFound: true }), { held, isAccepted: true }, false],
  ['the first scan', scan({ enters: 1000 }), { snapshot: undefined as never }, true],
])('a watch decides whether it may publish the changes of a scan: %s', (_, report, more, expected) => {
  expect(mayBePublished(report, state(more))).toBe(expected);
});

test('each round has its own time, later than the one before, also when the clock goes back', () => {
  const now = Date.parse('2026-11-25T08:30:00.000Z');
  expect(roundInstant(undefined, now)).toBe(AT);
  expect(roundInstant(AT, now)).toBe('2026-11-25T08:30:00.000000001Z');
  expect(roundInstant(AT, now - 5000)).toBe('2026-11-25T08:30:00.000000001Z');
  expect(roundInstant(AT, now + 1)).toBe('2026-11-25T08:30:00.001000000Z');
});

test('failures are tried again ever later, at most five minutes', () => {
  expect([1, 2, 3, 6, 7, 1000].map(retryAfterMs)).toEqual([5_000, 10_000, 20_000, 160_000, 300_000, 300_000]);
});

test('a round begins an interval after the last one began, and at once when that took longer', () => {
  expect(nextRoundAt(1000, 500, 1200)).toBe(1500);
  expect(nextRoundAt(1000, 500, 9000)).toBe(9000);
});

test('a watch accepts only a valid change, without unknown fields or further arguments', () => {
  const change = { everyMs: 1000, largestExitPercent: 5, existingUsers: true };
  expect(readWatchChange([change])).toEqual({ ok: true, request: change });
  expect(readWatchChange([{}])).toEqual({ ok: true, request: {} });
  const wrong = [null, 'x', { everyMs: 10 }, { everyMs: '5m' }, { largestExitPercent: 0 }, { existingUsers: 1 }];
  for (const args of [...wrong.map((raw) => [raw]), [], [change, change], [{ ...change, rounds: 7 }]])
    expect(readWatchChange(args).ok).toBe(false);
  expect(readWatchChange([{ everyMS: 1000 }])).toMatchObject({
    problems: [{ field: 'everyMS', message: expect.stringContaining('Did you mean "everyMs"?') }],
  });
});

test.each([
  ...[999, 1000, 1000.5, 604_800_000, 604_800_001, 1e16].map((everyMs) => ({ everyMs })),
  ...[0, 1, 1.5, 100, 101].map((largestExitPercent) => ({ largestExitPercent })),
])('a change has the same bounds as a new watch: %j', (change) => {
  expect(readWatchChange([change]).ok).toBe(checkWatchOptions(change).ok);
});

test('a failed round that is not published to every job is in the status, and one under way is not', () => {
  const changes = { enters: 3, exits: 1, stayed: 0 };
  const pending = { snapshot: { id: 's', members: 7, at: AT }, changes, isBaseline: false, startedAt: 0 };
  const trouble = { since: AT, failures: 1, notHere: 0, reason: 'The job is full.' };
  expect(describeWatch(state({ pending, trouble }), 'failing').unpublished).toEqual(changes);
  expect(describeWatch(state({ pending }), 'publishing').unpublished).toBeUndefined();
});

test('the Temporal UI shows what a watch does and what is wrong, and nothing breaks its table', () => {
  const trouble = { since: AT, failures: 2, notHere: 0, reason: 'no | such\ntable' };
  const text = watchDetails(describeWatch(state({ trouble, held, lost: { from: AT, to: AT } }), 'failing'));
  expect(text).toContain('**Watch of vip**');
  expect(text).toContain('no \\| such table');
  expect(text).toContain('500 members would leave');
  expect(text).toContain('the snapshot was lost');
});

test('operators are alerted once that rounds fail or exits are held, and again when that is over', () => {
  const audience = { id: 'a'.repeat(32), slug: 'vip', name: 'VIP' };
  const well = newWatch(audience, { everyMs: 60_000, existingUsers: false, largestExitPercent: 20 });
  const at = '2026-01-01T00:00:00.000000000Z';
  const now = Date.parse(at);
  const failed = (failures: number): WatchState => ({
    ...well,
    trouble: { since: at, failures, notHere: 0, reason: 'The source is away.' },
  });
  expect(watchAlerts(failed(2), now).alerts).toEqual([]);
  const { alerts, raised } = watchAlerts(failed(3), now);
  expect(alerts).toMatchObject([{ n: 1, kind: 'watch-failing', state: 'began' }]);
  expect(watchAlerts({ ...failed(4), alerts: raised }, now).alerts).toEqual([]);
  const held = { ...well, alerts: raised, held: { scan: { id: 's', members: 40, at }, exits: 60 } };
  const next = watchAlerts(held, now);
  expect(next.alerts).toMatchObject([
    { n: 2, kind: 'watch-failing', state: 'ended', since: at },
    { n: 3, kind: 'watch-held', state: 'began' },
  ]);
  expect(watchAlerts({ ...held, alerts: next.raised }, now, true).alerts).toMatchObject([
    { n: 4, kind: 'watch-held', state: 'ended' },
  ]);
});
