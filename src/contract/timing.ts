import { z } from 'zod';
import { readDuration } from './duration.ts';
import { nearestKey } from './nearest-key.ts';

/** Fewest and most requests a second that a job can be limited to. */
const LEAST_PER_SECOND = 0.01;
const MOST_PER_SECOND = 1000;

const END = 'The end must be a time with its zone, such as "2030-01-01T00:00:00+01:00" or "2029-12-31T23:00:00Z".';

// The pattern alone would accept dates that do not exist; RFC 3339 has no times without seconds or zone.
const A_TIME = z.iso.datetime({ offset: true });
const RFC3339 = /^[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/i;

/** Shortest and longest time, in ms, for which a job may have its triggers tried. */
const LEAST_RETRY_MS = 60_000;
const MOST_RETRY_MS = 7 * 86_400_000;

const RETRY = 'How long a trigger is retried must be a duration from "1m" to "7d", such as "90s", "30m" or "6h".';

const RATE = 'The request rate must be a number of requests a second.';

/** Most requests a second of a job, live and backfill together, over all workers; null: as many as the endpoint accepts. */
export const requestsPerSecond = z
  .number({ error: RATE })
  .min(LEAST_PER_SECOND, `The request rate must be at least ${LEAST_PER_SECOND} a second: one request in 100 seconds.`)
  .max(MOST_PER_SECOND, `The request rate must be at most ${MOST_PER_SECOND} a second.`)
  .nullable()
  .default(null);

/** When the job stops by itself, RFC 3339: it then sends waiting triggers first, as a plain `stop` does; null: when somebody stops it. */
export const endsAt = z
  .string({ error: END })
  .refine((time) => RFC3339.test(time) && A_TIME.safeParse(time.toUpperCase()).success, END)
  .nullable()
  .default(null);

function isRetrySpan(text: string): boolean {
  const ms = readDuration(text);
  return ms !== undefined && ms >= LEAST_RETRY_MS && ms <= MOST_RETRY_MS;
}

/** How long a trigger is retried if the endpoint does not accept it, from its first attempt to its last; null: some 28 hours. */
export const retryFor = z.string({ error: RETRY }).refine(isRetrySpan, { error: RETRY }).nullable().default(null);

/** The days of a week, as `quietHours` names them. */
export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

const QUIET = 'Quiet hours must be an object such as {"from": "22:00", "to": "08:00", "timeZone": "Europe/Berlin"}.';
const TIME_OF_DAY = 'Write a time of day as hours and minutes, from "00:00" to "23:59".';
const DAY_NAMES = `Days must be a list of ${DAYS.map((day) => `"${day}"`).join(', ')}: those on which quiet hours begin. Leave it out for every day.`;
const MEANWHILE = 'Write "wait" (what comes meanwhile is sent afterwards) or "drop" (it is not sent).';
const ZONE = 'Name a time zone of the IANA database, such as "Europe/Berlin" or "UTC".';

const timeOfDay = z.string({ error: TIME_OF_DAY }).regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, TIME_OF_DAY);

const timeZone = z.string({ error: ZONE }).refine(isTimeZone, { error: ({ input }) => zoneFor(input) });

/** Hours in which a job starts no request. */
export const quietHours = z
  .strictObject(
    {
      /** When they begin, by the clocks of the time zone. */
      from: timeOfDay,
      /** When they end: on the next day, if that is not later. */
      to: timeOfDay,
      /** A name of the IANA time zone database. */
      timeZone,
      /** On which days they begin; absent: on every day. */
      days: z
        .array(z.enum(DAYS, DAY_NAMES), { error: DAY_NAMES })
        .min(1, DAY_NAMES)
        .refine((named) => new Set(named).size === named.length, 'Name each day once.')
        .readonly()
        .optional(),
      /** Whether triggers that come meanwhile wait, or are not sent. */
      meanwhile: z.enum(['wait', 'drop'], MEANWHILE).default('wait'),
    },
    { error: (issue) => (issue.code === 'invalid_type' ? QUIET : undefined) },
  )
  .refine(({ from, to }) => from !== to, {
    path: ['to'],
    error: 'Quiet hours that end when they begin would be none, or all day. Pause the job to send nothing.',
  })
  .nullable()
  .default(null);

export type QuietHours = NonNullable<z.infer<typeof quietHours>>;

// Abbreviations have no summer time, or another than their author means. Capital letters do not count, as in the database itself.
function isTimeZone(name: string): boolean {
  if (!name.includes('/') && name.toUpperCase() !== 'UTC') return false;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

function zoneFor(input: unknown): string {
  const near =
    typeof input === 'string' ? nearestKey(input, ['UTC', ...Intl.supportedValuesOf('timeZone')]) : undefined;
  return near === undefined ? ZONE : `${ZONE} Did you mean "${near}"?`;
}

const QUOTA = 'A quota must be an object such as {"people": 1000, "per": "day", "timeZone": "Europe/Berlin"}.';
const PEOPLE = 'The quota must be a whole number of people, from 1 to 1000000000.';
const PER = 'Write "hour", "day" or "week".';

/** Most triggers that a job sends in a period, counted by their first attempts. */
export const quota = z
  .strictObject(
    {
      people: z.number({ error: PEOPLE }).int(PEOPLE).min(1, PEOPLE).max(1_000_000_000, PEOPLE),
      /** A period of the calendar; a week begins on Monday. */
      per: z.enum(['hour', 'day', 'week'], PER),
      /** A name of the IANA time zone database: periods begin by the clocks there. */
      timeZone,
    },
    { error: (issue) => (issue.code === 'invalid_type' ? QUOTA : undefined) },
  )
  .nullable()
  .default(null);

export type Quota = NonNullable<z.infer<typeof quota>>;

/** The part of a job's form that depends on a calendar. */
export interface CalendarSettings {
  readonly quietHours: QuietHours | null;
  readonly quota: Quota | null;
}

/** When something begins and ends by the calendar of a job, as instants. A worker computes them from its form, and they are recorded. */
export interface Calendar {
  /** Quiet times, oldest first, from one that was over lately; epoch ms, the end not included. */
  readonly quiet: readonly (readonly [from: number, to: number])[];
  /** When the periods of the quota begin, from the present one on; epoch ms. Absent: the job has no quota. */
  readonly periods?: readonly number[];
  /** Nothing is known about times after this; epoch ms. */
  readonly untilMs: number;
}

/** Most triggers in one request. */
const MOST_IN_BATCH = 1000;
/** Longest time, in ms, that a batch waits to be filled. */
const LONGEST_GATHERING_MS = 300_000;

const BATCH = 'A batch is an object, such as {"size": 100, "afterMs": 5000}.';
const SIZE = `The size of a batch must be a whole number of triggers, from 1 to ${MOST_IN_BATCH}.`;
const AFTER = `The time after which a batch goes although it is not full must be a whole number of milliseconds, from 0 to ${LONGEST_GATHERING_MS}.`;

const whole = (message: string, least: number, most: number) =>
  z
    .number({ error: message })
    .refine(Number.isInteger, { error: message, abort: true })
    .min(least, message)
    .max(most, message);

/** How many triggers one request carries; null: one, and not in a list. */
export const batch = z
  .strictObject(
    {
      /** At most so many triggers in a request; 1..1000. */
      size: whole(SIZE, 1, MOST_IN_BATCH),
      /** How long a batch that is not full waits for more, in ms; 0..300000. */
      afterMs: whole(AFTER, 0, LONGEST_GATHERING_MS).default(0),
    },
    { error: BATCH },
  )
  .nullable()
  .default(null);
