import type { AudienceListing } from '../contract/audience.ts';
import { checkJobDefinition, MAX_AUDIENCES, type Problem } from '../contract/export-job.ts';
import { nearestKey } from '../contract/nearest-key.ts';
import type { PreparedJob, ServerLimits } from '../contract/ports.ts';
import { instantOf, parseInstant } from '../domain/instant.ts';
import { definedOf, isRecord } from '../domain/json.ts';
import { findAudience } from '../domain/names.ts';
import { shownTime } from '../domain/text.ts';
import { type AudienceSource, NO_MEMBERSHIPS } from './audience-source.ts';
import { calendarOf } from './calendar.ts';
import type { RequestSettings } from '../contract/request-shape.ts';
import type { Authorizations } from '../webhook/authorization.ts';
import { DEFAULT_SHAPES, type RequestPart, type Shapes } from '../webhook/shape.ts';

export interface PrepareDependencies extends RequestChecks {
  readonly source: AudienceSource;
  /** Our search attributes that the namespace does not have. */
  readonly missingSearchAttributes: () => Promise<readonly string[]>;
  readonly requestTimeoutMs: number;
  readonly alertBacklogMs: number;
  readonly serverLimits: ServerLimits;
}

/** A time window shorter than this cannot be followed precisely. */
const MIN_WINDOW_MINUTES = 30;

/**
 * The activity that checks a definition against this worker's knowledge. Returns every problem at once; rejects only when the source does. It gets
 * the time of the request, epoch ms: a definition that was right then is right, however long the source took.
 */
export function createPrepareJob(
  dependencies: PrepareDependencies,
): (definition: unknown, askedAt: number) => Promise<PreparedJob> {
  return async (input, askedAt) => {
    const checked = checkJobDefinition(input);
    const known = await dependencies.source.audiences();
    // If a definition has other problems, too, its audiences are still looked up.
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
      ...definedOf({ onlyJobs: dependencies.authorizations.jobsOf(checked.value.authorization) }),
    };
  };
}

/** The problem of an end that has passed. The form's own rules report an end that is not a time. */
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

/** The audience that a name means, or why the name is wrong. */
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

/** A worker's knowledge of where requests may go. */
export interface RequestChecks {
  readonly authorizations: Authorizations;
  /** Why nothing can be sent to a URL, as far as that is known beforehand; undefined when there is no reason. */
  readonly destinationRefusal: (url: URL) => Promise<string | undefined>;
  /** Default: each request posts the default body. */
  readonly shapes?: Shapes | undefined;
}

/**
 * The problems of a definition's requests, as far as a worker knows them beforehand: their URLs, authorization and templates. Problems that the
 * form's own rules report are left out.
 *
 * @param definition checked or not.
 */
async function requestProblems(definition: unknown, checks: RequestChecks): Promise<Problem[]> {
  const parts = partsOf(definition);
  const { shapes = DEFAULT_SHAPES } = checks;
  const places = parts.flatMap(urlOf);
  return [
    ...(await Promise.all(places.map((place) => destinationProblem(place, checks)))).flat(),
    ...authorizationProblems(definition, parts, places, checks.authorizations),
    ...parts.flatMap((part) => shapes.problems(part, definition)),
  ];
}

function partsOf(definition: unknown): RequestPart[] {
  if (!isRecord(definition)) return [];
  const ofEvent = (field: string): RequestPart[] => {
    const settings = definition[field];
    return isRecord(settings) ? [{ prefix: `${field}.`, fields: settings }] : [];
  };
  return [{ prefix: '', fields: definition }, ...ofEvent('onEnter'), ...ofEvent('onExit')];
}

interface PlacedUrl {
  readonly field: string;
  readonly url: URL;
}

/** The form's own rules report text that is not a web address at all. */
function urlOf({ prefix, fields: { webhookUrl } }: RequestPart): PlacedUrl[] {
  if (typeof webhookUrl !== 'string' || !/^https?:/i.test(webhookUrl) || !URL.canParse(webhookUrl)) return [];
  return [{ field: `${prefix}webhookUrl`, url: new URL(webhookUrl) }];
}

async function destinationProblem(
  { field, url }: PlacedUrl,
  { destinationRefusal }: RequestChecks,
): Promise<Problem[]> {
  const message = await destinationRefusal(url);
  return message === undefined ? [] : [{ field, message }];
}

/** How many names an error lists. */
const LISTED_NAMES = 20;

function listed(names: readonly string[]): string {
  if (names.length === 0) return 'none';
  return names.slice(0, LISTED_NAMES).join(', ') + (names.length > LISTED_NAMES ? ', …' : '');
}

function authorizationProblems(
  definition: unknown,
  parts: readonly RequestPart[],
  places: readonly PlacedUrl[],
  authorizations: Authorizations,
): Problem[] {
  const { authorization } = isRecord(definition) ? definition : {};
  const name = typeof authorization === 'string' ? authorization.trim() : '';
  if (name === '') return [];
  if (!authorizations.names.includes(name)) {
    // The message does not repeat the name, since some people write the token itself in its place.
    const message = `The worker has no authorization with this name. It has: ${listed(authorizations.names)}.`;
    return [{ field: 'authorization', message }];
  }
  // The client looks at its jobs: a definition has no id.
  const [anyJob] = authorizations.jobsOf(name) ?? [];
  const elsewhere = places.filter(({ url }) => authorizations.refusalOf(name, url, anyJob) !== undefined);
  const carried = authorizations.headersOf(name);
  return [
    ...elsewhere.map(({ field, url }) => ({
      field: field === 'webhookUrl' ? 'authorization' : field,
      message: `The authorization "${name}" may not be sent to ${url.origin}, or not to this path; its origins and paths are in the worker's configuration. With a template, the path before its first tag must be one of these.`,
    })),
    ...parts.flatMap(({ prefix, fields: { headers } }) =>
      Object.keys(isRecord(headers) ? headers : {})
        .filter((header) => carried.has(header.toLowerCase()))
        .map((header) => ({
          field: `${prefix}headers.${header}`,
          message: `The authorization "${name}" sets this header.`,
        })),
    ),
  ];
}

/** Common names of secrets. */
const SECRET_NAME = /api-?key|secret|token|passw|auth/i;

/** Warnings about headers that look like secrets, which a job should not contain. */
function headerWarnings({ headers, onEnter, onExit }: RequestSettings): string[] {
  const names = [headers, onEnter?.headers, onExit?.headers].flatMap((table) => Object.keys(table ?? {}));
  return [...new Set(names.filter((name) => SECRET_NAME.test(name)))].map(
    (name) =>
      `The header "${name}" looks like a secret. Temporal and the job's status show its headers. Put a secret into an authorization, and name that in "authorization".`,
  );
}
