import { z } from 'zod';
import { nearestKey } from './nearest-key.ts';
import type { TriggerEvent } from './trigger.ts';

/**
 * The meanings that a job may give an answer.
 *
 * - `delivered`: the trigger is delivered.
 * - `retry`: the endpoint is unhealthy; the trigger's next attempt follows the retry schedule.
 * - `dead-letter`: the trigger becomes a dead letter at once, even if the endpoint has accepted others before.
 * - `pause`: the job pauses, with everything kept, until a person resumes it.
 */
const ANSWER_MEANINGS = ['delivered', 'retry', 'dead-letter', 'pause'] as const;
export type AnswerMeaning = (typeof ANSWER_MEANINGS)[number];

/** Meanings of answers, by status (`"404"`) or class (`"5xx"`); a status counts before its class. Others have their default meaning. */
export type Answers = Readonly<Record<string, AnswerMeaning>>;

/** Verdicts that the `answers` of a job can give to one that does not count as delivered. */
export type DecidedVerdict = 'transient' | 'pausing' | 'given-up';

/** The meanings that a slice needs to know. */
export interface AnswerSettings {
  /** Meanings that differ from the default; absent: none does. */
  readonly answers?: Answers;
  /** For an event that has statuses of its own: these and, where they say nothing, the job's. */
  readonly eventAnswers?: Readonly<Partial<Record<TriggerEvent, Answers>>>;
}

/** Returns the meanings of answers to the requests of an event that differ from the default. */
export function answersTo({ answers, eventAnswers }: AnswerSettings, event: TriggerEvent): Answers | undefined {
  return eventAnswers?.[event] ?? answers;
}

const TABLE = 'Answers must be an object that says what statuses mean, such as {"404": "delivered", "5xx": "retry"}.';
const KEYS = 'Name a status from 200 to 599, such as "404", or a class: "3xx", "4xx" or "5xx".';
const SUCCESS = 'Only a single status can be another than delivered: name those that are meant, such as "202".';
const CHOICE = `Write ${ANSWER_MEANINGS.slice(0, -1)
  .map((one) => `"${one}"`)
  .join(', ')} or "${ANSWER_MEANINGS.at(-1)}".`;

const STATUS_OR_CLASS = /^(?:[2-5]\d\d|[345]xx)$/;

/** The form's field `answers`, and its messages. */
export const answersSchema = z
  .record(z.string().regex(STATUS_OR_CLASS), z.enum(ANSWER_MEANINGS, { error: ({ input }) => choiceFor(input) }), {
    error: (issue) => (issue.code === 'invalid_key' ? keyFor(issue.input) : TABLE),
  })
  .refine((table) => Object.keys(table).length > 0, TABLE)
  .readonly();

function choiceFor(input: unknown): string {
  const near = typeof input === 'string' ? nearestKey(input, ANSWER_MEANINGS) : undefined;
  return near === undefined ? CHOICE : `${CHOICE} Did you mean "${near}"?`;
}

function keyFor(key: unknown): string {
  const plain = typeof key === 'string' ? key.trim().toLowerCase() : '';
  if (plain === '2xx') return SUCCESS;
  return STATUS_OR_CLASS.test(plain) ? `${KEYS} Did you mean "${plain}"?` : KEYS;
}
