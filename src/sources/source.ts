import { createHash } from 'node:crypto';
import type { z } from 'zod';
import { type AudienceSource, membershipsOf, SourceError } from '../activities/audience-source.ts';
import { failureInWords } from '../domain/verdict.ts';
import type { Json } from '../contract/trigger.ts';
import { AUDIENCE_ID } from '../domain/names.ts';
import { MAX_USER_LENGTH } from '../domain/trigger.ts';

/** Codes for answers of a service that cannot be used, in addition to those of `domain/verdict.ts`. */
export const ANSWER_CODES = {
  /** The answer should be JSON and is not, or is in an encoding that was not asked for. */
  notJson: 'ANSWER_NOT_JSON',
  /** It is JSON, but a value is not where the configuration, or the service's documentation, says. */
  unexpected: 'ANSWER_UNEXPECTED',
} as const;

const WORDS: Readonly<Record<string, string>> = {
  [ANSWER_CODES.notJson]: 'the answer is not JSON',
  [ANSWER_CODES.unexpected]: 'the answer is not as expected',
};

const ADVICE: Readonly<Record<number, string>> = {
  401: 'Check what the configuration\'s "source" says about who we are: the service does not accept it.',
  403: 'The account in the configuration\'s "source" may not read this: give it permission.',
  404: 'Check the URL in the configuration\'s "source".',
  429: 'The service asks for fewer requests.',
};

export interface UnavailableOptions {
  /** The origin that was asked, without the path, which may contain a person's id. */
  readonly origin: string;
  /** A name for the answer, to follow "it did not give …". */
  readonly what: string;
  readonly status?: number;
  readonly code?: string;
  /** Details beyond the status and the code, in our words, never the service's. */
  readonly reason?: string;
}

/** A service could not be asked, or did not answer as it should. Match on `status` and `code`; nothing that the service wrote is included. */
export class SourceUnavailable extends Error {
  override readonly name = 'SourceUnavailable';
  readonly status: number | undefined;
  readonly code: string | undefined;

  constructor({ origin, what, status, code, reason }: UnavailableOptions) {
    const failureText = WORDS[code ?? ''] ?? failureInWords({ ...(status && { status }), ...(code && { code }) });
    const advice = ADVICE[status ?? 0];
    super(`${origin} did not give ${what}: ${reason ?? failureText}.${advice === undefined ? '' : ` ${advice}`}`);
    this.status = status;
    this.code = code;
  }
}

/** @throws RangeError for a limit that no page can have. */
export function checkLimit(limit: number): void {
  if (!Number.isSafeInteger(limit) || limit < 1) throw new RangeError(`A page has 1 or more members, not ${limit}.`);
}

/** Rejects, as the source's other methods do, when it could not be asked now. */
export async function answersOf(source: AudienceSource): Promise<void> {
  if (source.answers !== undefined) return await source.answers();
  await source.audiences();
}

/** The calls of a source that are measured. */
export type SourceCall = 'audiences' | 'members' | 'isMember' | 'profiles' | 'memberships';

/** Called for each call when it ends. */
export type SourceCalled = (call: SourceCall, isAnswered: boolean, durationMs: number) => void;

/** The same source, which reports each call to `called`. */
export function measuredSource(source: AudienceSource, called: SourceCalled): AudienceSource {
  const measured = async <T>(call: SourceCall, answer: Promise<T>): Promise<T> => {
    const startedAt = performance.now();
    let isAnswered = false;
    try {
      const value = await answer;
      isAnswered = true;
      return value;
    } finally {
      called(call, isAnswered, performance.now() - startedAt);
    }
  };
  return {
    get lagMs() {
      return source.lagMs;
    },
    audiences: () => measured('audiences', source.audiences()),
    members: (audienceId, after, limit) => measured('members', source.members(audienceId, after, limit)),
    isMember: (audienceId, user) => measured('isMember', source.isMember(audienceId, user)),
    profiles: (users) => measured('profiles', source.profiles(users)),
    ...(source.memberships === undefined
      ? {}
      : { memberships: (users) => measured('memberships', membershipsOf(source, users)) }),
    close: () => source.close(),
  };
}

/** Most problems of one file that are reported, so that a file that is wrong everywhere does not fill the log. */
const MAX_PROBLEMS_PER_FILE = 20;

/** A file in one state of its content. */
export interface MarkedFile {
  /** As people know it, within the source's folder. */
  readonly name: string;
  readonly mark: string;
}

/** Reports each problem once, and at most 20 of one file, until the file has changed. */
export class ProblemReport {
  readonly #tell: (text: string) => void;
  readonly #reported = new Map<string, { mark: string; problems: Set<string> }>();

  constructor(tell: (text: string) => void) {
    this.#tell = tell;
  }

  /** @param what begins with where in the file: `line 7: …`. */
  add({ name, mark }: MarkedFile, what: string): void {
    const before = this.#reported.get(name);
    const record = before?.mark === mark ? before : { mark, problems: new Set<string>() };
    this.#reported.set(name, record);
    const { problems } = record;
    if (problems.has(what) || problems.size > MAX_PROBLEMS_PER_FILE) return;
    problems.add(what);
    if (problems.size <= MAX_PROBLEMS_PER_FILE) this.#tell(`${name}, ${what}`);
    else this.#tell(`${name} has more problems than these ${MAX_PROBLEMS_PER_FILE}; the others are not reported.`);
  }
}

/**
 * The place that a source's own cursor names.
 *
 * @param where the thing that it should be a cursor of, as in "not a cursor of …"; for the error.
 * @throws SourceError for a cursor that this source did not make.
 */
export function readCursor<T extends z.ZodType>(cursor: string, schema: T, where: string): z.output<T> {
  try {
    return schema.parse(JSON.parse(cursor));
  } catch {
    throw new SourceError(
      `${JSON.stringify(cursor.slice(0, 100))} is not a cursor ${where}; another source made it. Start the backfill again.`,
    );
  }
}

/** A person's id, or why a value cannot be one. */
export type UserReading =
  { readonly ok: true; readonly user: string } | { readonly ok: false; readonly problem: string };

/** Reads the value in a file where a person's id belongs. */
export function readUser(value: unknown): UserReading {
  if (typeof value === 'number' || typeof value === 'bigint')
    return { ok: false, problem: 'the id must be a JSON string, in quotes: a number loses digits' };
  if (typeof value !== 'string') return { ok: false, problem: 'there is no person\'s id under "user"' };
  if (value.length < 1 || value.length > MAX_USER_LENGTH)
    return { ok: false, problem: `the id must have 1 to ${MAX_USER_LENGTH} characters` };
  return value.isWellFormed() ? { ok: true, user: value } : { ok: false, problem: 'the id is not valid Unicode' };
}

/** An id in JSON that was read without loss, where a whole number counts as its digits; undefined when it is not an id. */
export function idIn(value: Json | undefined): string | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : undefined;
  if (typeof value === 'bigint') return String(value);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/**
 * Whether a service can be asked about a person with this id, even in the path of a URL, where dots alone lead elsewhere. No service knows
 * other ids.
 */
export function isAskable(user: string): boolean {
  return readUser(user).ok && user !== '.' && user !== '..';
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Returns the id of an audience that a service or a database calls `key`: always the same id. A key of 32 hex digits stays as it is, a UUID
 * loses its dashes, and anything else becomes half of its SHA-256.
 */
export function audienceIdOf(key: string): string {
  const lower = key.toLowerCase();
  if (AUDIENCE_ID.test(lower)) return lower;
  if (UUID.test(lower)) return lower.replaceAll('-', '');
  return createHash('sha256').update(key).digest('hex').slice(0, 32);
}
