import type { AudienceListing } from '../contract/audience.ts';
import { checkJobDefinition, MAX_AUDIENCES, type Problem } from '../contract/export-job.ts';
import { nearestKey } from '../contract/nearest-key.ts';
import type { PreparedJob, ServerLimits } from '../contract/ports.ts';
import { NEXT_RULES } from '../domain/job/state.ts';
import { isRecord } from '../domain/json.ts';
import { findAudience } from '../domain/names.ts';
import type { AudienceSource } from '../sources/source.ts';
import type { Authorizations } from '../webhook/authorizations.ts';

export interface PrepareDependencies {
  readonly source: AudienceSource;
  readonly authorizations: Authorizations;
  /** The names of our search attributes that the namespace does not have. */
  readonly missingSearchAttributes: () => Promise<readonly string[]>;
  /** Why nothing can be sent to a URL, as far as that is known beforehand; undefined when nothing is. */
  readonly destinationRefusal: (url: URL) => Promise<string | undefined>;
  readonly requestTimeoutMs: number;
  readonly alertBacklogMs: number;
  readonly serverLimits: ServerLimits;
}

/** A time window shorter than this cannot be followed precisely. */
const MIN_WINDOW_MINUTES = 30;
/** How many names an error lists. */
const LISTED_NAMES = 20;

/** The activity that checks a definition against what this worker knows. Returns every problem at once; rejects only when the source does. */
export function createPrepareJob(dependencies: PrepareDependencies): (definition: unknown) => Promise<PreparedJob> {
  return async (input) => {
    const checked = checkJobDefinition(input);
    const known = await dependencies.source.audiences();
    // Where a definition has other problems too, what can be looked up is still looked up.
    const names = checked.ok ? [...checked.value.audiences.entries()] : namesIn(input);
    const resolved = names.map(([index, name]) => resolveAudience(name, index, known));
    const problems: Problem[] = [
      ...(checked.ok ? [] : checked.problems),
      ...resolved.flatMap((one) => ('message' in one ? [one] : [])),
      ...(await destinationProblems(checked.ok ? checked.value : input, dependencies)),
      ...authorizationProblems(checked.ok ? checked.value : input, dependencies.authorizations),
    ];
    if (!checked.ok || problems.length > 0) return { ok: false, problems };
    // A slug and an id may name the same audience, which is then sent once.
    const audiences = [
      ...new Map(resolved.flatMap((one) => ('message' in one ? [] : [[one.id, one] as const]))).values(),
    ];
    return {
      ok: true,
      rules: NEXT_RULES,
      definition: checked.value,
      audiences,
      warnings: audiences.flatMap(windowWarning),
      sourceLagMs: dependencies.source.lagMs,
      missingSearchAttributes: await dependencies.missingSearchAttributes(),
      requestTimeoutMs: dependencies.requestTimeoutMs,
      alertBacklogMs: dependencies.alertBacklogMs,
      serverLimits: dependencies.serverLimits,
    };
  };
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

function listed(names: readonly string[]): string {
  if (names.length === 0) return 'none';
  return names.slice(0, LISTED_NAMES).join(', ') + (names.length > LISTED_NAMES ? ', …' : '');
}

async function destinationProblems(
  definition: unknown,
  { destinationRefusal }: PrepareDependencies,
): Promise<Problem[]> {
  const { webhookUrl } = isRecord(definition) ? definition : {};
  // Text that is not a web address at all is reported by the form's own rules.
  if (typeof webhookUrl !== 'string' || !/^https?:/i.test(webhookUrl) || !URL.canParse(webhookUrl)) return [];
  const message = await destinationRefusal(new URL(webhookUrl));
  return message === undefined ? [] : [{ field: 'webhookUrl', message }];
}

function authorizationProblems(definition: unknown, authorizations: Authorizations): Problem[] {
  const { authorization, webhookUrl } = isRecord(definition) ? definition : {};
  const name = typeof authorization === 'string' ? authorization.trim() : '';
  if (name === '') return [];
  if (!authorizations.names.includes(name)) {
    // The name is not repeated, since some people write the token itself in its place.
    const message = `The worker has no authorization with this name. It has: ${listed(authorizations.names)}.`;
    return [{ field: 'authorization', message }];
  }
  if (typeof webhookUrl !== 'string' || !URL.canParse(webhookUrl)) return [];
  const url = new URL(webhookUrl);
  if (authorizations.refusalOf(name, url) === undefined) return [];
  return [
    {
      field: 'authorization',
      message: `The authorization "${name}" may not be sent to ${url.origin}; the origins that it may be sent to are in the worker's configuration.`,
    },
  ];
}

function windowWarning({ slug, windowMinutes }: AudienceListing): string[] {
  if (windowMinutes === undefined || windowMinutes >= MIN_WINDOW_MINUTES) return [];
  return [
    `The audience "${slug}" looks back over ${windowMinutes} minutes. Windows under ${MIN_WINDOW_MINUTES} minutes are not reliable: membership is not evaluated that precisely, so people may enter and leave late or unseen.`,
  ];
}
