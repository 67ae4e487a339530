import type { AudienceListing } from '../contract/audience.ts';
import { checkJobDefinition, MAX_AUDIENCES, type Problem } from '../contract/export-job.ts';
import { nearestKey } from '../contract/nearest-key.ts';
import type { PreparedJob, ServerLimits } from '../contract/ports.ts';
import { instantOf, parseInstant } from '../domain/instant.ts';
import { isRecord } from '../domain/json.ts';
import { findAudience } from '../domain/names.ts';
import { shownTime } from '../domain/shown.ts';
import { type AudienceSource, NO_MEMBERSHIPS } from '../sources/source.ts';
import { calendarOf } from './calendar.ts';
import { headerWarnings, listed, type RequestChecks, requestProblems } from './request-problems.ts';

export interface PrepareDependencies extends RequestChecks {
  readonly source: AudienceSource;
  /** The names of our search attributes that the namespace does not have. */
  readonly missingSearchAttributes: () => Promise<readonly string[]>;
  readonly requestTimeoutMs: number;
  readonly alertBacklogMs: number;
  readonly serverLimits: ServerLimits;
}

/** A time window shorter than this cannot be followed precisely. */
const MIN_WINDOW_MINUTES = 30;

/**
 * The activity that checks a definition against what this worker knows. Returns every problem at once; rejects only when the source does.
 * It is given when it was asked to, epoch ms: what was right then is right, however long the source took.
 */
export function createPrepareJob(
  dependencies: PrepareDependencies,
): (definition: unknown, askedAt: number) => Promise<PreparedJob> {
  return async (input, askedAt) => {
    const checked = checkJobDefinition(input);
    const known = await dependencies.source.audiences();
    // Where a definition has other problems too, what can be looked up is still looked up.
    const names = checked.ok ? [...checked.value.audiences.entries()] : namesIn(input);
    const resolved = names.map(([index, name]) => resolveAudience(name, index, known));
    const problems: Problem[] = [
      ...(checked.ok ? [] : checked.problems),
      ...resolved.flatMap((one) => ('message' in one ? [one] : [])),
      ...membershipProblems(input, dependencies.source),
      ...(await requestProblems(checked.ok ? checked.value : input, dependencies)),
      ...endProblems(input, askedAt),
    ];
    if (!checked.ok || problems.length > 0) return { ok: false, problems };
    // A slug and an id may name the same audience, which is then sent once.
    const audiences = [
      ...new Map(resolved.flatMap((one) => ('message' in one ? [] : [[one.id, one] as const]))).values(),
    ];
    const calendar = calendarOf(checked.value, askedAt);
    return {
      ok: true,
      definition: checked.value,
      audiences,
      warnings: [...audiences.flatMap(windowWarning), ...headerWarnings(checked.value)],
      ...(calendar === undefined ? {} : { calendar }),
      sourceLagMs: dependencies.source.lagMs,
      missingSearchAttributes: await dependencies.missingSearchAttributes(),
      requestTimeoutMs: dependencies.requestTimeoutMs,
      alertBacklogMs: dependencies.alertBacklogMs,
      serverLimits: dependencies.serverLimits,
    };
  };
}

/** An end that has passed. What is no time at all is reported by the form's own rules. */
function endProblems(input: unknown, askedAt: number): Problem[] {
  const end = isRecord(input) && typeof input['endsAt'] === 'string' ? parseInstant(input['endsAt']) : undefined;
  if (end === undefined || Date.parse(end) > askedAt) return [];
  return [
    { field: 'endsAt', message: `The end has passed: by the worker's clock it is ${shownTime(instantOf(askedAt))}.` },
  ];
}

/** The audiences that can be looked up, with their places in the list. */
function namesIn(input: unknown): [index: number, name: string][] {
  if (!isRecord(input) || !Array.isArray(input['audiences'])) return [];
  return input['audiences'].slice(0, MAX_AUDIENCES).flatMap((name: unknown, index) => {
    const plain = typeof name === 'string' ? name.trim() : '';
    return plain === '' ? [] : [[index, plain] as [number, string]];
  });
}

/** The audience that a name means, or what is wrong with the name. */
export function resolveAudience(
  name: string,
  index: number,
  known: readonly AudienceListing[],
): AudienceListing | Problem {
  const found = findAudience(known, name);
  if (found !== undefined) return found;
  const slugs = known.map(({ slug }) => slug);
  const near = nearestKey(name, slugs);
  const hint = near === undefined ? '' : ` Did you mean "${near}"?`;
  return {
    field: `audiences[${index}]`,
    message: `The source knows no audience "${name}".${hint} It knows: ${listed(slugs)}.`,
  };
}

/** @param definition checked or not. */
function membershipProblems(definition: unknown, { memberships }: AudienceSource): Problem[] {
  const isWanted = isRecord(definition) && definition['memberships'] === true;
  return isWanted && memberships === undefined ? [{ field: 'memberships', message: NO_MEMBERSHIPS }] : [];
}

function windowWarning({ slug, windowMinutes }: AudienceListing): string[] {
  if (windowMinutes === undefined || windowMinutes >= MIN_WINDOW_MINUTES) return [];
  return [
    `The audience "${slug}" looks back over ${windowMinutes} minutes. Windows under ${MIN_WINDOW_MINUTES} minutes are not reliable: membership is not evaluated that precisely, so people may enter and leave late or unseen.`,
  ];
}
