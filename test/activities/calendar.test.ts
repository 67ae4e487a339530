import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { calendarOf } from '../../src/activities/calendar.ts';
import { DAYS, type QuietHours, type Quota } from '../../src/contract/timing.ts';
import { always } from '../support/properties.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const NIGHT: QuietHours = { from: '22:00', to: '08:00', timeZone: 'Europe/Berlin', meanwhile: 'wait' };

/** Quiet times from a time on, as texts; those of the day before included. */
function quietFrom(at: string, more: Partial<QuietHours> = {}): string[] {
  const { quiet = [] } = calendarOf({ quietHours: { ...NIGHT, ...more }, quota: null }, Date.parse(at)) ?? {};
  return quiet.map((times) => times.map((ms) => new Date(ms).toISOString().slice(5, 16)).join(' '));
}

test('a job without quiet hours has no calendar', () => {
  expect(calendarOf({ quietHours: null, quota: null }, 0)).toBeUndefined();
});

test('eight days ahead are known, from the night before on', () => {
  const now = Date.parse('2026-01-07T12:00:00Z');
  const calendar = calendarOf({ quietHours: NIGHT, quota: null }, now);
  expect(calendar?.untilMs).toBe(now + 8 * DAY_MS);
  expect(calendar?.quiet).toHaveLength(9);
  expect(quietFrom('2026-01-07T12:00:00Z')[0]).toBe('01-06T21:00 01-07T07:00');
  expect(quietFrom('2026-01-07T12:00:00Z').at(-1)).toBe('01-14T21:00 01-15T07:00');
});

test('quiet hours are an hour shorter when clocks are put forward, and an hour longer when they are put back', () => {
  expect(quietFrom('2026-03-28T12:00:00Z')[1]).toBe('03-28T21:00 03-29T06:00');
  expect(quietFrom('2026-10-24T12:00:00Z')[1]).toBe('10-24T20:00 10-25T07:00');
});

test.each([
  // 02:30 does not come: 03:00 comes in its place.
  ['forward', { from: '02:30', to: '08:00' }, '2026-03-28T12:00:00Z', '03-29T01:00 03-29T06:00'],
  ['forward', { from: '22:00', to: '02:30' }, '2026-03-28T12:00:00Z', '03-28T21:00 03-29T01:00'],
  ['forward', { from: '01:30', to: '02:30' }, '2026-03-28T12:00:00Z', '03-29T00:30 03-29T01:00'],
  // 02:30 comes twice: quiet hours begin at the first, and end at the second.
  ['back', { from: '02:30', to: '08:00' }, '2026-10-24T12:00:00Z', '10-25T00:30 10-25T07:00'],
  ['back', { from: '22:00', to: '02:30' }, '2026-10-24T12:00:00Z', '10-24T20:00 10-25T01:30'],
  ['back', { from: '02:15', to: '02:45' }, '2026-10-24T12:00:00Z', '10-25T00:15 10-25T01:45'],
])('when clocks are put %s, %j are quiet', (_, hours, at, wanted) => {
  expect(quietFrom(at, hours)).toContain(wanted);
});

test('a night in which clocks skip all quiet hours has none', () => {
  const times = quietFrom('2026-03-28T12:00:00Z', { from: '02:15', to: '02:45' });
  expect(times.slice(0, 3)).toEqual(['03-28T01:15 03-28T01:45', '03-30T00:15 03-30T00:45', '03-31T00:15 03-31T00:45']);
});

test('days are those on which quiet hours begin, there', () => {
  // Friday 23:00 in Auckland is Friday morning in Europe.
  const friday = { from: '23:00', to: '07:00', timeZone: 'Pacific/Auckland', days: ['fri'] } as const;
  expect(quietFrom('2026-06-01T00:00:00Z', friday)).toEqual(['06-05T11:00 06-05T19:00']);
  const weekend = { from: '00:00', to: '23:59', days: ['sat', 'sun'] } as const;
  expect(quietFrom('2026-06-03T00:00:00Z', weekend)).toEqual(['06-05T22:00 06-06T21:59', '06-06T22:00 06-07T21:59']);
});

test('quiet hours that go on from one day to the next are one time', () => {
  const times = quietFrom('2026-06-03T00:00:00Z', { from: '00:00', to: '00:00' });
  expect(times).toHaveLength(1);
});

function periodsFrom(at: string, per: Quota['per'], timeZone: string): string[] {
  const calendar = calendarOf({ quietHours: null, quota: { people: 1, per, timeZone } }, Date.parse(at));
  return (calendar?.periods ?? []).map((ms) => new Date(ms).toISOString().slice(5, 16));
}

test('quota periods follow the local calendar, from the present one to the first unknown one', () => {
  const days = periodsFrom('2026-03-28T12:00:00Z', 'day', 'Europe/Berlin');
  expect(days).toHaveLength(10);
  expect(days.slice(0, 3)).toEqual(['03-27T23:00', '03-28T23:00', '03-29T22:00']);
  // Weeks begin on Monday.
  expect(periodsFrom('2026-03-29T21:59:59Z', 'week', 'Europe/Berlin')).toEqual(
    ['03-22T23:00', '03-29T22:00', '04-05T22:00', '04-12T22:00'].slice(0, 4),
  );
  const hours = periodsFrom('2026-01-01T12:10:00Z', 'hour', 'Asia/Kathmandu');
  expect(hours.slice(0, 2)).toEqual(['01-01T11:15', '01-01T12:15']);
  expect(hours.at(-1)).toBe('01-03T12:15');
  expect(periodsFrom('2026-10-25T00:30:00Z', 'hour', 'Europe/Berlin').slice(0, 3)).toEqual([
    '10-25T00:00',
    '10-25T01:00',
    '10-25T02:00',
  ]);
});

const ZONES = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'America/St_Johns',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
  'Pacific/Auckland',
  'Pacific/Kiritimati',
  'Africa/Casablanca',
];
const minute = fc.integer({ min: 0, max: 1439 });
const text = (minutes: number) =>
  [Math.floor(minutes / 60), minutes % 60].map((part) => String(part).padStart(2, '0')).join(':');

/** What a clock on the wall shows there, by another function of the runtime than the calendar uses. */
function wallAt(zone: string, ms: number): { day: number; time: string } {
  const [date = '', time = ''] = new Date(ms).toLocaleString('sv-SE', { timeZone: zone }).split(' ');
  return { day: (new Date(`${date}T00:00:00Z`).getUTCDay() + 6) % 7, time: time.slice(0, 5) };
}

test('a calendar is quiet whenever clocks show it, all year, and otherwise only when clocks are put back', () => {
  always(
    fc.property(
      fc.constantFrom(...ZONES),
      minute,
      minute,
      fc.subarray([...DAYS], { minLength: 1 }),
      fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2027, 0, 1) }),
      (timeZone, begins, ends, days, now) => {
        fc.pre(begins !== ends);
        const [from, to] = [text(begins), text(ends)];
        const { quiet = [] } =
          calendarOf({ quietHours: { from, to, timeZone, days, meanwhile: 'wait' }, quota: null }, now) ?? {};
        for (let ms = now; ms < now + 8 * DAY_MS; ms += 47 * 60_000) {
          const { day, time } = wallAt(timeZone, ms);
          const isOn = (one: number) => days.includes(DAYS[(one + 7) % 7] ?? 'mon');
          const shows =
            from < to
              ? from <= time && time < to && isOn(day)
              : (time >= from && isOn(day)) || (time < to && isOn(day - 1));
          const isQuiet = quiet.some(([first, end]) => first <= ms && ms < end);
          const hourBefore = new Date(ms - 3 * HOUR_MS).getTime();
          const isPutBack = wallShift(timeZone, hourBefore, ms + 3 * HOUR_MS);
          if (shows !== isQuiet && !(isQuiet && isPutBack))
            throw new Error(`${new Date(ms).toISOString()} is ${isQuiet ? '' : 'not '}quiet; clocks show ${time}.`);
        }
      },
    ),
    10,
  );
  expect(true).toBe(true);
});

/** Whether clocks are put back between two times. */
function wallShift(zone: string, from: number, to: number): boolean {
  const offset = (ms: number) =>
    Date.parse(`${new Date(ms).toLocaleString('sv-SE', { timeZone: zone }).replace(' ', 'T')}Z`) - ms;
  return offset(to) - (to % 1000) < offset(from) - (from % 1000) - 60_000;
}
