import { z } from 'zod';

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
