import { randomUUID } from 'node:crypto';
import { Context } from '@temporalio/activity';
import { type Answers, answersTo } from '../../contract/answers.ts';
import type { Audience } from '../../contract/audience.ts';
import { nearestKey } from '../../contract/nearest-key.ts';
import type { ServerLimits } from '../../contract/ports.ts';
import { firstProfiles, MEMBERS_TRIED, type MemberWithProfile } from '../../activities/list-members.ts';
import type { PreviewActivities } from './ports.ts';
import type { Sample, Sampled, SampleInput, SampleProblem, SampleWish, SentSample } from './sample.ts';
import type { ShownRequest } from '../../contract/delivery.ts';
import type { DeliverySettings, JobSettings } from '../../contract/slice.ts';
import { instantOf, withOffset } from '../../domain/instant.ts';
import type { Profile } from '../../domain/message.ts';
import { findAudience, jobIdOf } from '../../domain/names.ts';
import { ATTEMPT_CODES, failureInWords, verdictOf } from '../../domain/verdict.ts';
import { type AudienceSource, membershipsOf } from '../../activities/audience-source.ts';
import { type AuthorizedPost, postAuthorized, type Poster, shownFault } from '../../webhook/attempt.ts';
import type { Authorizations, RequestAuthorization } from '../../webhook/authorization.ts';
import { MessageImpossible, type SentTrigger, type WebhookRequest } from '../../webhook/request.ts';
import { shownRequest } from '../../webhook/shown-request.ts';
import { type RequestItem, RequestMaker } from '../../webhook/request-maker.ts';
import { DEFAULT_SHAPES, destinationOf, ItemsSkipped, type Shapes, urlTemplateOf } from '../../webhook/shape.ts';
import { secretsIn, withoutEcho } from '../../webhook/without-secrets.ts';

/** The person of a sample, and the audience that leads to them. */
export interface SamplePerson {
  readonly user: string;
  readonly audience: Audience;
  readonly profile: Profile;
}

/** The person of a sample, with the data that is sent about them. */
interface SampledPerson extends MemberWithProfile, Pick<SentTrigger, 'memberships'> {}

/** How many members are suggested to a caller who named an unknown one. */
const MEMBERS_NAMED = 3;
/** How many audiences an answer names. */
const AUDIENCES_NAMED = 20;

/**
 * The requested person, or the first member with a profile. The job's audiences are searched in order, and empty ones are skipped. Rejects when the
 * source does.
 */
async function choosePerson(
  source: AudienceSource,
  audiences: readonly Audience[],
  { user, audience: name, onlyMembers = false }: SampleWish,
): Promise<SamplePerson | SampleProblem> {
  const chosen = name === undefined ? audiences : [findAudience(audiences, name)].filter((one) => one !== undefined);
  const [first] = chosen;
  if (first === undefined) return unknownAudience(audiences, name ?? '');
  if (user !== undefined) {
    if (onlyMembers && !(await isMemberOfAny(source, chosen, user)))
      return await anotherUser(source, first, user, `"${user}" is in none of the job's audiences.`);
    const profile = (await source.profiles([user])).get(user);
    if (profile !== undefined) return { user, audience: first, profile };
    return await anotherUser(source, first, user, `The source has no profile of "${user}".`);
  }
  for (const audience of chosen) {
    const found = await firstMember(source, audience.id);
    if (found !== undefined) return { ...found, audience };
  }
  const slugs = chosen.map(({ slug }) => slug).slice(0, AUDIENCES_NAMED);
  return { field: 'user', message: `No member of ${slugs.join(', ')} has a profile. Name a person.` };
}

async function isMemberOfAny(source: AudienceSource, audiences: readonly Audience[], user: string): Promise<boolean> {
  for (const { id } of audiences) if (await source.isMember(id, user)) return true;
  return false;
}

/** The first member of an audience who has a profile, within the search limit. */
async function firstMember(source: AudienceSource, audienceId: string): Promise<MemberWithProfile | undefined> {
  const [first] = await firstProfiles(source, audienceId);
  return first;
}

function unknownAudience(audiences: readonly Audience[], name: string): SampleProblem {
  const slugs = audiences.map(({ slug }) => slug);
  const near = nearestKey(name, slugs);
  const hint = near === undefined ? '' : ` Did you mean "${near}"?`;
  const known = slugs.slice(0, AUDIENCES_NAMED).join(', ');
  return { field: 'audience', message: `The job does not subscribe to "${name}".${hint} Its audiences are: ${known}.` };
}

async function anotherUser(
  source: AudienceSource,
  audience: Audience,
  user: string,
  why: string,
): Promise<SampleProblem> {
  const { ids } = await source.members(audience.id, undefined, MEMBERS_TRIED);
  const near = nearestKey(user, ids);
  const hint = near === undefined ? '' : ` Did you mean "${near}"?`;
  const named = ids.length === 0 ? '' : ` Members of ${audience.slug} are ${ids.slice(0, MEMBERS_NAMED).join(', ')}.`;
  return { field: 'user', message: `${why}${hint}${named}` };
}

export interface SampleDependencies {
  readonly source: AudienceSource;
  readonly poster: Poster;
  readonly authorizations: Authorizations;
  readonly shapes?: Shapes | undefined;
  readonly userAgent: string;
  readonly serverLimits: ServerLimits;
  /** A job's settings for sending; null before it has begun, undefined when there is no such job. */
  readonly jobSettings: (jobWorkflowId: string) => Promise<JobSettings | null | undefined>;
}

/** How the id of a sent sample begins, by which a receiver can recognise it. It has no dot, since dots separate the parts of the signed content. */
const TEST_PREFIX = 'test-';
/** The share of a payload that a shown body may take up: as a JSON string, it gets at most twice as long. */
const BODY_SHARE = 1 / 8;

/** Most people in the sample of a batch. */
const BATCH_OF_SAMPLE = 3;

/** A request that can be sent. */
interface Prepared extends AuthorizedPost {
  readonly sample: Sample;
  readonly show: (request: WebhookRequest) => ShownRequest;
  readonly answers: Answers | undefined;
}

/** No request can be made. The message tells people why, and what to do. */
class Obstacle extends Error {
  readonly problem: SampleProblem;
  constructor(field: SampleProblem['field'], message: string) {
    super(message);
    this.problem = { field, message };
  }
}

/** The activities that show or send a job's message about a real person. They reject only when something of ours breaks. */
export function createSamples(dependencies: SampleDependencies): PreviewActivities {
  return {
    sampleRequest: (input) =>
      sampled(async (): Promise<Sample> => (await prepareSample(dependencies, input, undefined)).sample),
    sendSample: (input) =>
      sampled(async (): Promise<SentSample> => {
        const id = TEST_PREFIX + randomUUID().replaceAll('-', '');
        return await send(dependencies, await prepareSample(dependencies, input, id));
      }),
  };
}

async function sampled<T extends Sample>(make: () => Promise<T>): Promise<Sampled<T>> {
  try {
    return { ok: true, sample: await make() };
  } catch (error) {
    if (error instanceof Obstacle) return { ok: false, problem: error.problem };
    throw error;
  }
}

async function prepareSample(
  dependencies: SampleDependencies,
  input: SampleInput,
  id: string | undefined,
): Promise<Prepared> {
  const { settings: ofJob, audiences } = await settingsOf(dependencies, input);
  const userLegacyMessageFormat = input.userLegacyMessageFormat ?? ofJob.userLegacyMessageFormat;
  const settings = { ...ofJob, userLegacyMessageFormat };
  const { audience, people } = await peopleOf(dependencies.source, audiences, input, settings);
  const [first] = people;
  let sent: readonly SampledPerson[] = people;
  const event = input.event ?? 'enter';
  const url = destinationOf(settings, event);
  const jobId = 'jobWorkflowId' in input ? jobIdOf(input.jobWorkflowId) : undefined;
  const answers = answersTo(settings, event);
  const found = await dependencies.authorizations.lookUp(settings.authorization, url, jobId);
  if (!found.ok) {
    const reason = found.reason === undefined ? '' : ` (${found.reason})`;
    const message = `Nothing can be sent: ${failureInWords(found)}${reason}. See docs/authorizations.md.`;
    throw new Obstacle('authorization', message);
  }
  const at = withOffset(instantOf(Date.now()));
  const { userAgent } = dependencies;
  const triggerOf = ({ user: who, memberships }: SampledPerson): SentTrigger => ({
    user: who,
    audience: audience.id,
    event,
    at,
    memberships,
  });
  const maker = new RequestMaker(settings, dependencies.shapes ?? DEFAULT_SHAPES);
  const itemId = settings.batch === undefined ? id : undefined;
  const make = (authorization: RequestAuthorization): WebhookRequest => {
    const itemOf = (one: SampledPerson): RequestItem => maker.item(triggerOf(one), audience, one.profile, itemId);
    const [one = first, ...others] = sent;
    const items = [itemOf(one), ...others.map(itemOf)] as const;
    try {
      return maker.request(items, authorization, userAgent, { id });
    } catch (error) {
      if (!(error instanceof ItemsSkipped)) throw error;
      const [reason] = error.reasons.values();
      sent = sent.filter((_, i) => items[i] === undefined || !error.reasons.has(items[i]));
      if (sent.length === 0)
        throw new MessageImpossible(ATTEMPT_CODES.skipped, 'All are skipped.', reason === undefined ? {} : { reason });
      return make(authorization);
    }
  };
  const request = made(() => make(found.authorization), people.length > 1);
  const [user = first.user, ...others] = sent.map((one) => one.user);
  const mostBytes = Math.floor(dependencies.serverLimits.payloadBytes * BODY_SHARE);
  const template = urlTemplateOf(settings, event);
  const show = (request: WebhookRequest): ShownRequest =>
    shownRequest(request.url ?? url, request, mostBytes, template);
  return {
    url,
    timeoutMs: settings.requestTimeoutMs,
    sample: {
      user,
      ...(others.length === 0 ? {} : { others }),
      audience,
      event,
      request: show(request),
      ...(answers === undefined ? {} : { answers }),
    },
    answers,
    authorization: found.authorization,
    make,
    show,
  };
}

async function settingsOf({ jobSettings }: SampleDependencies, input: SampleInput): Promise<JobSettings> {
  // A source may return more fields than a job has, which templates would show.
  const asJobsHave = ({ id, slug, name }: Audience): Audience => ({ id, slug, name });
  if (!('jobWorkflowId' in input)) return { ...input, audiences: input.audiences.map(asJobsHave) };
  const found = await jobSettings(input.jobWorkflowId);
  if (found) return found;
  throw new Obstacle(
    'job',
    found === null
      ? 'The job has not begun yet: its audiences are being looked up. Try again in a moment; its status says what it waits for.'
      : 'The job is no longer known.',
  );
}

async function peopleOf(
  source: AudienceSource,
  audiences: JobSettings['audiences'],
  input: SampleInput,
  settings: DeliverySettings,
): Promise<{ readonly audience: Audience; readonly people: readonly [SampledPerson, ...SampledPerson[]] }> {
  try {
    const found = await choosePerson(source, audiences, input);
    if ('field' in found) throw new Obstacle(found.field, found.message);
    // Several people are needed to show how a batch looks. But a caller who names a person wants only that one.
    const most = input.user === undefined ? Math.min(settings.batch?.size ?? 1, BATCH_OF_SAMPLE) - 1 : 0;
    const members = most === 0 ? [] : await firstProfiles(source, found.audience.id);
    const others = members.filter(({ user }) => user !== found.user).slice(0, most);
    if (settings.memberships !== true) return { audience: found.audience, people: [found, ...others] };
    const memberships = await membershipsOf(source, [found.user, ...others.map(({ user }) => user)]);
    const withTheirs = (one: MemberWithProfile): SampledPerson => ({
      ...one,
      memberships: memberships.get(one.user) ?? [],
    });
    return { audience: found.audience, people: [withTheirs(found), ...others.map(withTheirs)] };
  } catch (error) {
    if (error instanceof Obstacle) throw error;
    Context.current().log.warn('the source gave nobody for a sample', { error });
    throw new Obstacle('job', "The audience source could not be read. The worker's log says why.");
  }
}

function made(make: () => WebhookRequest, several: boolean): WebhookRequest {
  try {
    return make();
  } catch (error) {
    if (error instanceof MessageImpossible) {
      const why = error.reason === undefined || error.reason === '' ? '' : ` (${error.reason})`;
      // A value that the template lacks here may be missing for all people.
      const advice =
        error.code === ATTEMPT_CODES.templateFailed
          ? 'Correct the template. If it is right for others, try another person.'
          : 'Try another person.';
      const { excerpt } = error;
      const shown = excerpt === undefined ? '' : `\n\nRendered, with the mistake at the caret:\n${excerpt}`;
      const whom = several ? 'these people' : 'this person';
      const message = `Nothing can be sent about ${whom}: ${failureInWords(error)}${why}. ${advice}${shown}`;
      throw new Obstacle('message', message);
    }
    const words = failureInWords({ code: ATTEMPT_CODES.requestNotMade });
    throw new Obstacle('message', `Nothing can be sent: ${words}: ${shownFault(error)}. See docs/errors.md.`);
  }
}

async function send({ poster }: SampleDependencies, prepared: Prepared): Promise<SentSample> {
  const { attempt, request, authorization, isSecond } = await postAuthorized(poster, prepared);
  const verdict = verdictOf(attempt, prepared.answers);
  const shown = withoutEcho(attempt, authorization.secrets, secretsIn(request.url ?? prepared.url));
  const answer = { ...shown, verdict, isSecond };
  return { ...prepared.sample, request: prepared.show(request), answer };
}
