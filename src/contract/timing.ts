import { z } from 'zod';

/** Fewest and most requests a second that a job can be limited to. */
const LEAST_PER_SECOND = 0.01;
const MOST_PER_SECOND = 1000;

const RATE = 'The request rate must be a number of requests a second (without quotes).';

/** Most requests a second of a job, live and backfill together, over all workers; null: as many as the endpoint accepts. */
export const requestsPerSecond = z
  .number({ error: RATE })
  .min(LEAST_PER_SECOND, `The request rate must be at least ${LEAST_PER_SECOND} a second: one request in 100 seconds.`)
  .max(MOST_PER_SECOND, `The request rate must be at most ${MOST_PER_SECOND} a second.`)
  .nullable()
  .default(null);
