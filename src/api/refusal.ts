import { NamespaceNotFoundError } from '@temporalio/common';
import { z } from 'zod';
import * as errors from '../client/errors.ts';
import { noNamespace } from '../client/temporal-problem.ts';
import type { Problem } from '../contract/export-job.ts';
import { type AnsweredRemedy, answered, remediesSchema } from './remedies.ts';

/** What a request is refused with: RFC 9457 problem details. Nothing in it is a secret, or says anything of people that the caller did not send. */
export interface Refusal {
  readonly status: number;
  /** Stable; the name of the client's error, where there is one. */
  readonly code: string;
  readonly detail: string;
  readonly problems?: readonly Problem[];
  readonly remedies?: readonly AnsweredRemedy[];
  /** Seconds after which the same request may succeed. */
  readonly retryAfterS?: number;
  /** What else its answer says of itself. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request that is refused by the API itself. */
export class Refused extends Error {
  readonly refusal: Refusal;
  constructor(
    status: number,
    code: string,
    detail: string,
    more: Pick<Refusal, 'problems' | 'retryAfterS' | 'headers'> = {},
  ) {
    super(detail);
    this.refusal = { status, code, detail, ...more };
  }
}

/** There is nothing at that path. */
export class NoSuchPath extends Refused {
  constructor({ method, url }: { readonly method: string; readonly url: string }) {
    const path = (url.split('?')[0] ?? '').slice(0, 255);
    super(404, 'NoSuchPath', `There is no ${method} ${path}. What there is, is at /docs.`);
  }
}

/** The caller's key is not for this job. Whether there is one is not said. */
export class NotThisJob extends Refused {
  constructor(jobId: string) {
    super(403, 'NotAllowed', `This API key has no access to the job "${jobId}".`);
  }
}

/** The caller's key is for some jobs only, and what is asked would be about all. */
export class NameAJob extends Refused {
  /** @param as how one is named */
  constructor(as: string) {
    super(403, 'NotAllowed', `This API key is for some jobs only: name one of them, as ${as}.`);
  }
}

/** The caller's key is for some jobs only, and what is asked for cannot be divided by jobs. */
export class OfAllJobs extends Refused {
  /** @param what does what with all of them, such as `metrics count`. */
  constructor(what: string) {
    super(403, 'NotAllowed', `This API key is for some jobs only, and ${what} all of them.`);
  }
}

/** The API is being ended; what was accepted before is accepted all the same. */
export class Closing extends Refused {
  constructor() {
    super(503, 'Closing', 'The API is being ended. Send the rest again.', { retryAfterS: SOON_S });
  }
}

/** The API is being ended, and what was begun before was not done in time. */
export class ClosingMeanwhile extends Refused {
  constructor() {
    super(
      503,
      'Closing',
      'The API is being ended, and this was not done in time. It may still be done: before you ask again, look.',
      { retryAfterS: SOON_S },
    );
  }
}

const PROBLEM_TYPE = 'application/problem+json';

/** Seconds that a caller is asked to wait for what is most often over soon. */
const SOON_S = 2;

type ErrorClass = abstract new (...args: never[]) => errors.TriggersError;

const STATUS: readonly (readonly [number, readonly ErrorClass[]])[] = [
  [404, [errors.JobNotFound, errors.DeadLetterNotFound, errors.WatchNotFound]],
  [
    409,
    [
      errors.JobAlreadyRunning,
      errors.JobKept,
      errors.JobRecoverable,
      errors.JobNotRunning,
      errors.NothingToRecover,
      errors.RequestRefused,
      errors.RedeliveryRefused,
      errors.DiscardRefused,
    ],
  ],
  [429, [errors.JobFull]],
  [503, [errors.NoWorker, errors.ServerUnreachable, errors.NotLetIn, errors.WorkerFailed]],
  [504, [errors.OutcomeUnknown]],
];

/** What a failure is answered with: code and words as the client and the command line have them. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refused) return error.refusal;
  if (error instanceof errors.PushInterrupted || error instanceof errors.PublishInterrupted)
    return refusalOf(error.cause);
  if (error instanceof errors.TriggersError) {
    const status = STATUS.find(([, classes]) => classes.some((one) => error instanceof one))?.[0] ?? 422;
    return {
      status,
      code: error.name,
      detail: cut(error instanceof errors.ProblemsError ? error.headline : error.message),
      ...(error instanceof errors.ProblemsError ? { problems: shownProblems(error.problems) } : {}),
      ...(error.remedies.length > 0 ? { remedies: error.remedies.map(answered) } : {}),
      ...(status === 429 || status === 503 ? { retryAfterS: SOON_S } : {}),
    };
  }
  // The SDK's own, which the command line names, too.
  if (error instanceof NamespaceNotFoundError) {
    const { code, message } = noNamespace(error.namespace);
    return { status: 503, code, detail: message, retryAfterS: SOON_S };
  }
  const notLetIn = errors.NotLetIn.of(error);
  if (notLetIn !== undefined) return refusalOf(notLetIn);
  const trouble = errors.ServerUnreachable.of(error);
  if (trouble !== undefined) return refusalOf(trouble);
  return { status: 500, code: 'Unexpected', detail: 'Something unexpected went wrong. The log of the API says more.' };
}

/** Most problems of one request that are said, and most characters of a text: some repeat what the caller sent, which may be megabytes. */
const MOST_PROBLEMS = 100;
const MOST_TEXT = 4_000;

function shownProblems(problems: readonly Problem[]): readonly Problem[] {
  return problems
    .slice(0, MOST_PROBLEMS)
    .map(({ field, message }) => ({ field: field.slice(0, MOST_TEXT), message: cut(message) }));
}

function cut(text: string): string {
  return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}…` : text;
}

/** The answer that a refusal is: `application/problem+json`, with what else is to be said. */
export function problem(
  { retryAfterS, headers = {}, ...refusal }: Refusal,
  more: Readonly<Record<string, unknown>> = {},
): { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: unknown } {
  return {
    status: refusal.status,
    headers: {
      ...headers,
      'content-type': PROBLEM_TYPE,
      ...(retryAfterS === undefined ? {} : { 'retry-after': String(retryAfterS) }),
    },
    body: { ...refusal, ...more },
  };
}

/** What every failure is answered with, for the documentation. */
const problemBody = z
  .looseObject({
    status: z.number().int(),
    code: z.string().describe('Stable: the name of the error, as in docs/errors.md.'),
    detail: z.string().describe('What happened.'),
    problems: z
      .array(z.object({ field: z.string(), message: z.string() }))
      .optional()
      .describe('All that is wrong, by field.'),
    remedies: remediesSchema,
  })
  .describe('It was not done, or not all of it.');

const failure = {
  description: 'It was not done, or not all of it.',
  content: { [PROBLEM_TYPE]: { schema: problemBody } },
};

/** What every operation answers when it fails, for the documentation. */
export const FAILURES = { '4xx': failure, '5xx': failure } as const;
