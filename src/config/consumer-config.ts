import { z } from 'zod';
import { JOB_ID_PATTERN } from '../domain/names.ts';
import { milliseconds } from './service-config.ts';
import { certificateAuthorities, postgresUrl, table } from './source-config.ts';

/** The only jobs that are told, each also while it does not run. Default: every running job that listens. */
const jobs = z
  .array(z.string().regex(JOB_ID_PATTERN, 'A job is named by its id, as "triggers list" shows it.'))
  .min(1, 'Leave "jobs" out to tell every running job that listens.')
  .optional();

/** A table of a PostgreSQL database that an application writes membership changes to (docs/consumers.md). */
export const outboxSchema = z.strictObject({
  url: postgresUrl,
  /** Replaces the one in the URL, and needs no escaping. */
  password: z.string().min(1).optional(),
  certificateAuthorities,
  table: table.default('audience_changes'),
  jobs,
  /** What becomes of a row that Temporal has: it is deleted, or gets its `accepted_at`. */
  accepted: z.enum(['delete', 'mark'], { error: 'It is "delete" or "mark".' }).default('delete'),
  /** What becomes of a row that is no trigger: it gets its `problem` and stays, or nothing is sent until somebody has corrected it. */
  poisoned: z.enum(['set-aside', 'stop'], { error: 'It is "set-aside" or "stop".' }).default('set-aside'),
  /** How often, in ms, the table is looked at although nothing was notified. */
  pollMs: milliseconds(60_000).default(1_000),
  /** Longest wait for a connection, in ms. */
  connectTimeoutMs: milliseconds(60_000).default(5_000),
  /** Longest time for one statement, in ms. */
  statementTimeoutMs: milliseconds(60_000).default(10_000),
});

export type OutboxConfig = Readonly<z.infer<typeof outboxSchema>>;
