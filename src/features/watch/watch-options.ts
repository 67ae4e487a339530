import { z } from 'zod';
import { LONGEST_WATCH_MS, SHORTEST_WATCH_MS } from '../../contract/duration.ts';
import type { Checked } from '../../contract/export-job.ts';
import { unknownKeys } from '../../contract/nearest-key.ts';
import type { WatchOptions } from './sandbox/watch.ts';

const EVERY = 'The interval must be a whole number of ms, from a second to a week.';
const PERCENT = 'The largest exit must be a whole number of percent, from 1 to 100.';

/** The options of a watch (`WatchOptions`). Unknown keys are refused. */
export const watchOptionsSchema = z.strictObject({
  everyMs: z.int({ error: EVERY }).min(SHORTEST_WATCH_MS, EVERY).max(LONGEST_WATCH_MS, EVERY).default(300_000),
  existingUsers: z.boolean({ error: 'This must be true or false.' }).default(false),
  largestExitPercent: z.int({ error: PERCENT }).min(1, PERCENT).max(100, PERCENT).default(20),
});

const WATCH_OPTIONS = Object.keys(watchOptionsSchema.shape);

/** Checks the options of a watch; reports every problem at once. */
export function checkWatchOptions(input: unknown): Checked<WatchOptions> {
  const parsed = watchOptionsSchema.safeParse(input);
  if (parsed.success) return { ok: true, value: parsed.data };
  return {
    ok: false,
    problems: parsed.error.issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys'
        ? unknownKeys(Object.fromEntries(issue.keys.map((key) => [key, undefined])), WATCH_OPTIONS)
        : [{ field: issue.path.join('.'), message: issue.message }],
    ),
  };
}
