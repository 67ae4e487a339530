import { z } from 'zod';
import { readDuration } from './duration.ts';

/** Fewest and most requests a second that a job can be limited to. */
const LEAST_PER_SECOND = 0.01;
const MOST_PER_SECOND = 1000;

const END =
  'The end must be a time with its zone, such as "2030-01-01T00:00:00+01:00" or "2029-12-31T23:00:00Z"; null (without quotes) means none.';

// Dates that there are not look alike; times without seconds, or without a zone, are none of RFC 3339.
const A_TIME = z.iso.datetime({ offset: true });
const RFC3339 = /^[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;

/** Shortest and longest time, in ms, for which a job may have its triggers tried. */
const LEAST_RETRY_MS = 60_000;
const MOST_RETRY_MS = 7 * 86_400_000;

const RETRY =
  'How long a trigger is tried must be a duration with its unit, such as "90s", "30m", "6h" or "2d"; null (without quotes) means the usual 28 hours.';

const RATE = 'The request rate must be a number of requests a second (without quotes).';

/** Most requests a second of a job, live and backfill together, over all workers; null: as many as the endpoint accepts. */
export const requestsPerSecond = z
  .number({ error: RATE })
  .min(LEAST_PER_SECOND, `The request rate must be at least ${LEAST_PER_SECOND} a second: one request in 100 seconds.`)
  .max(MOST_PER_SECOND, `The request rate must be at most ${MOST_PER_SECOND} a second.`)
  .nullable()
  .default(null);

/** When the job stops by itself, RFC 3339: it then sends what waits, as a plain `stop` does; null: when somebody stops it. */
export const endsAt = z
  .string({ error: END })
  .refine((said) => RFC3339.test(said) && A_TIME.safeParse(said).success, END)
  .nullable()
  .default(null);

/** How long a trigger is tried that the endpoint does not take, from its first attempt to its last; null: some 28 hours. */
export const retryFor = z
  .string({ error: RETRY })
  .refine((said) => readDuration(said) !== undefined, { error: RETRY, abort: true })
  .refine((said) => (readDuration(said) ?? 0) >= LEAST_RETRY_MS, {
    error: 'A trigger must be tried for at least a minute ("1m").',
  })
  .refine((said) => (readDuration(said) ?? 0) <= MOST_RETRY_MS, {
    error: 'A trigger must be tried for at most seven days ("7d").',
  })
  .nullable()
  .default(null);
