import { AUDIENCE_ID, audienceAttribute, DEAD_LETTER, type SEARCH_ATTRIBUTES } from '../../domain/names.ts';
import { failureInWords, isFailureInWords } from '../../domain/verdict.ts';

/** Selects dead letters: those that match everything given. */
export interface DeadLetterFilter {
  readonly jobId?: string | undefined;
  /** Whose trigger it is. */
  readonly user?: string | undefined;
  /** Slug (as it was when the trigger died) or id. */
  readonly audience?: string | undefined;
  /** The outcome of the last attempt: `HTTP 422` (or `422`), a code (`ECONNREFUSED`), or its words (`connection refused`). */
  readonly failure?: string | undefined;
  /** Died before then. */
  readonly olderThan?: Date | undefined;
  /** Died at or after then. */
  readonly newerThan?: Date | undefined;
}

/** True when a filter excludes nothing. */
export function meansAll({ jobId, user, audience, failure, olderThan, newerThan }: DeadLetterFilter): boolean {
  return [jobId, user, audience, failure, olderThan, newerThan].every((wish) => wish === undefined);
}

/** Returns why a filter is wrong in itself, whatever there is to select; undefined when it is right. */
export function filterProblem({ failure, ...names }: DeadLetterFilter): string | undefined {
  const { jobId, user, audience, olderThan, newerThan } = names;
  if ([jobId, user, audience].includes('')) return 'A job, a person or an audience cannot be an empty text.';
  if (olderThan !== undefined && newerThan !== undefined && olderThan <= newerThan)
    return 'Nothing died both before the one time and after the other: what is older than an hour and newer than a second, say.';
  if (failure === undefined || failureCode(failure) !== undefined || isFailureInWords(failure)) return undefined;
  return `No attempt ends with "${failure}": give a status with three digits ("HTTP 422"), a code as it is listed (ECONNREFUSED), or its words ("connection refused").`;
}

type AttributeName = keyof typeof SEARCH_ATTRIBUTES;

type WhichLetters = 'waiting' | 'undecided' | 'all';

const STATUSES: Readonly<Record<WhichLetters, readonly string[]>> = {
  waiting: ["ExecutionStatus = 'Running'"],
  undecided: ["ExecutionStatus IN ('Running', 'Terminated', 'Canceled', 'TimedOut')"],
  all: [],
};

/**
 * The visibility query for a filter. It finds all that match and, where the server cannot tell, others too; `isMeant` then drops those.
 *
 * @param missing search attributes that the namespace does not have.
 * @param which `undecided`: also those whose workflows somebody ended in Temporal. `all`: as many as the server still keeps.
 */
export function queryOf(
  filter: DeadLetterFilter,
  missing: readonly AttributeName[],
  which: WhichLetters = 'waiting',
): string {
  const { jobId, user, audience, newerThan } = filter;
  const failure = failureCode(filter.failure);
  const attributes: (readonly [AttributeName, string | undefined])[] = [
    ['ExportJobId', jobId],
    ['ExportPerson', user],
    ['ExportFailure', failure],
    ['ExportAudiences', audience !== undefined && AUDIENCE_ID.test(audience) ? audienceAttribute(audience) : undefined],
  ];
  return [
    `WorkflowType = '${DEAD_LETTER}'`,
    ...STATUSES[which],
    // Its workflow starts after the death that it keeps, never before.
    ...(newerThan === undefined ? [] : [`StartTime >= '${newerThan.toISOString()}'`]),
    ...attributes.flatMap(([name, value]) =>
      value === undefined || missing.includes(name) || !QUOTABLE.test(value)
        ? []
        : // One from before the attributes were registered has none.
          [`(${name} = '${value}' OR ${name} IS NULL)`],
    ),
  ].join(' AND ');
}

/** Text that the server's SQL takes literally between quotes. It finds nothing for any other text, escaped or not. */
const QUOTABLE = /^[^'"\\\p{Cc}]*$/u;

/** The facts of a dead letter to which a filter is compared, after the query. */
export interface FilterFacts {
  readonly jobId: string;
  readonly user: string;
  readonly audience: string;
  /** In words. */
  readonly failure: string;
  readonly diedAt: string;
  /** The value of the search attribute, where there is one. */
  readonly failureCode: string | undefined;
  /** The whole id. The search attribute has only half of it: enough to find a few, not to tell them apart. */
  readonly audienceId: string;
}

/** Whether a filter selects this dead letter. */
export function isMeant(filter: DeadLetterFilter, facts: FilterFacts): boolean {
  const { jobId, user, failure, olderThan, newerThan } = filter;
  const diedAt = Date.parse(facts.diedAt);
  return (
    (jobId === undefined || jobId === facts.jobId) &&
    (user === undefined || user === facts.user) &&
    (failure === undefined || isFailure(failure, facts)) &&
    (olderThan === undefined || diedAt < olderThan.getTime()) &&
    (newerThan === undefined || diedAt >= newerThan.getTime()) &&
    isAudience(filter.audience, facts)
  );
}

function isFailure(wanted: string, { failure, failureCode: code }: FilterFacts): boolean {
  if (wanted === failure) return true;
  const wantedCode = failureCode(wanted);
  if (wantedCode === undefined) return false;
  return code === undefined ? wordsOf(wantedCode) === failure : wantedCode === code;
}

function isAudience(audience: string | undefined, facts: FilterFacts): boolean {
  return audience === undefined || audience === facts.audience || audience === facts.audienceId;
}

/** A failure as the search attribute stores it; undefined for one in words, which it does not store. */
function failureCode(failure: string | undefined): string | undefined {
  if (failure === undefined) return undefined;
  const status = /^(?:HTTP ?)?(\d{3})$/i.exec(failure)?.[1];
  if (status !== undefined) return `HTTP ${status}`;
  return /^[A-Z][A-Z0-9_]*$/.test(failure) ? failure : undefined;
}

function wordsOf(code: string): string {
  const status = /^HTTP (\d{3})$/.exec(code)?.[1];
  return failureInWords(status === undefined ? { code } : { status: Number(status) });
}
