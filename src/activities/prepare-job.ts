import type { AudienceListing } from '../contract/audience.ts';
import { checkJobDefinition, type JobDefinition, type Problem } from '../contract/export-job.ts';
import { nearestKey } from '../contract/nearest-key.ts';
import type { PreparedJob, ServerLimits } from '../contract/ports.ts';
import type { AudienceSource } from '../sources/source.ts';
import type { Authorizations } from '../webhook/authorizations.ts';

export interface PrepareDependencies {
  readonly source: AudienceSource;
  readonly authorizations: Authorizations;
  /** The names of our search attributes that the namespace lacks. */
  readonly missingSearchAttributes: () => Promise<readonly string[]>;
  readonly requestTimeoutMs: number;
  readonly serverLimits: ServerLimits;
}

/** Membership by a time window shorter than this is not told precisely. */
const MIN_WINDOW_MINUTES = 30;
/** How many audiences an error lists. */
const LISTED_AUDIENCES = 20;

/** The activity that holds a definition against what this worker knows. Every problem at once; rejects only when the source does. */
export function createPrepareJob(dependencies: PrepareDependencies): (definition: unknown) => Promise<PreparedJob> {
  return async (input) => {
    const checked = checkJobDefinition(input);
    const known = await dependencies.source.audiences();
    // Of a definition with other problems too, what can be looked up is looked up all the same.
    const names = checked.ok ? checked.value.audiences : namesIn(input);
    const resolved = names.map((name, index) => resolve(name, index, known));
    const problems: Problem[] = [
      ...(checked.ok ? [] : checked.problems),
      ...resolved.flatMap((one) => ('message' in one ? [one] : [])),
      ...(checked.ok ? authorizationProblems(checked.value, dependencies.authorizations) : []),
    ];
    if (!checked.ok || problems.length > 0) return { ok: false, problems };
    // A slug and an id may name one audience; it emits once.
    const audiences = [
      ...new Map(resolved.flatMap((one) => ('message' in one ? [] : [[one.id, one] as const]))).values(),
    ];
    return {
      ok: true,
      definition: checked.value,
      audiences,
      warnings: audiences.flatMap(windowWarning),
      sourceLagMs: dependencies.source.lagMs,
      missingSearchAttributes: await dependencies.missingSearchAttributes(),
      requestTimeoutMs: dependencies.requestTimeoutMs,
      serverLimits: dependencies.serverLimits,
    };
  };
}

function namesIn(input: unknown): string[] {
  if (typeof input !== 'object' || input === null || !('audiences' in input) || !Array.isArray(input.audiences))
    return [];
  return input.audiences.filter((name): name is string => typeof name === 'string' && name !== '').slice(0, 100);
}

function resolve(name: string, index: number, known: readonly AudienceListing[]): AudienceListing | Problem {
  const found = known.find(({ id, slug }) => id === name || slug === name);
  if (found !== undefined) return found;
  const slugs = known.map(({ slug }) => slug);
  const near = nearestKey(name, slugs);
  const listed = slugs.slice(0, LISTED_AUDIENCES).join(', ') + (slugs.length > LISTED_AUDIENCES ? ', …' : '');
  const hint = near === undefined ? '' : ` Did you mean "${near}"?`;
  return {
    field: `audiences[${index}]`,
    message: `The source knows no audience "${name}".${hint} It knows: ${listed === '' ? 'none' : listed}.`,
  };
}

function authorizationProblems(
  { authorization, webhookUrl }: JobDefinition,
  authorizations: Authorizations,
): Problem[] {
  const url = new URL(webhookUrl);
  const found = authorizations.lookUp(authorization, url);
  if (found.ok) return [];
  const message =
    found.reason === 'elsewhere'
      ? `The authorization "${authorization}" may not be sent to ${url.origin}; its origins are in the worker's configuration.`
      : `The worker has no authorization "${authorization}". It has: ${authorizations.names.join(', ') || 'none'}.`;
  return [{ field: 'authorization', message }];
}

function windowWarning({ slug, windowMinutes }: AudienceListing): string[] {
  if (windowMinutes === undefined || windowMinutes >= MIN_WINDOW_MINUTES) return [];
  return [
    `The audience "${slug}" looks back over ${windowMinutes} minutes. Windows under ${MIN_WINDOW_MINUTES} minutes are not reliable: what evaluates membership does not run that precisely, so people may enter and leave late or unseen.`,
  ];
}
