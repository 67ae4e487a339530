import { randomUUID } from 'node:crypto';
import { Context } from '@temporalio/activity';
import type { Activities, ServerLimits } from '../contract/ports.ts';
import type {
  JobSettings,
  Sample,
  Sampled,
  SampleInput,
  SampleProblem,
  SentSample,
  ShownRequest,
} from '../contract/sample.ts';
import { ATTEMPT_CODES, failureInWords } from '../domain/attempt-codes.ts';
import type { AudienceSource } from '../sources/source.ts';
import { type AuthorizedPost, postAuthorized } from '../webhook/authorized-post.ts';
import type { Authorizations, RequestAuthorization } from '../webhook/authorizations.ts';
import type { Poster } from '../webhook/poster.ts';
import { makeRequest, PayloadTooLarge, type WebhookRequest } from '../webhook/request.ts';
import { shownRequest } from '../webhook/shown-request.ts';
import { secretsIn, withoutEcho } from '../webhook/without-secrets.ts';
import { choosePerson, type SamplePerson } from './sample-person.ts';

export interface SampleDependencies {
  readonly source: AudienceSource;
  readonly poster: Poster;
  readonly authorizations: Authorizations;
  readonly userAgent: string;
  readonly serverLimits: ServerLimits;
  /** The settings that a job sends by; null before it has begun, undefined when there is no such job. */
  readonly jobSettings: (jobWorkflowId: string) => Promise<JobSettings | null | undefined>;
}

/**
 * How the id of a sample that is sent begins, so that a receiver can recognise it. Without a dot, since dots separate the parts of the
 * signed content.
 */
const TEST_PREFIX = 'test-';
/** The share of a payload that a shown body may take up: written as a JSON string, it gets at most twice as long. */
const BODY_SHARE = 1 / 8;

/** A request that can be sent. */
interface Prepared extends AuthorizedPost {
  readonly sample: Sample;
  readonly show: (request: WebhookRequest) => ShownRequest;
}

/** No request can be made; says to people why, and what to do. */
class Obstacle extends Error {
  readonly problem: SampleProblem;
  constructor(field: SampleProblem['field'], message: string) {
    super(message);
    this.problem = { field, message };
  }
}

/** The activities that show, and send, what a job would send about a real person. They reject only when something of ours breaks. */
export function createSamples(dependencies: SampleDependencies): Pick<Activities, 'sampleRequest' | 'sendSample'> {
  return {
    sampleRequest: (wanted) =>
      sampled(async (): Promise<Sample> => (await prepare(dependencies, wanted, undefined)).sample),
    sendSample: (wanted) =>
      sampled(async (): Promise<SentSample> => {
        const id = TEST_PREFIX + randomUUID().replaceAll('-', '');
        return await send(dependencies, await prepare(dependencies, wanted, id));
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

async function prepare(
  dependencies: SampleDependencies,
  wanted: SampleInput,
  id: string | undefined,
): Promise<Prepared> {
  const { settings: ofJob, audiences } = await settingsOf(dependencies, wanted);
  const userLegacyMessageFormat = wanted.userLegacyMessageFormat ?? ofJob.userLegacyMessageFormat;
  const settings = { ...ofJob, userLegacyMessageFormat };
  const { user, audience, profile } = await personOf(dependencies.source, audiences, wanted);
  const url = new URL(settings.webhookUrl);
  const found = await dependencies.authorizations.lookUp(settings.authorization, url);
  if (!found.ok) {
    const reason = found.reason === undefined ? '' : ` (${found.reason})`;
    const message = `Nothing can be sent: ${failureInWords(found)}${reason}. See docs/authorizations.md.`;
    throw new Obstacle('authorization', message);
  }
  const event = wanted.event ?? 'enter';
  const trigger = { user, audience: audience.id, event, at: new Date().toISOString() };
  const make = (authorization: RequestAuthorization): WebhookRequest =>
    makeRequest(settings, trigger, audience, profile, authorization, dependencies.userAgent, { id });
  const request = made(() => make(found.authorization));
  const mostBytes = Math.floor(dependencies.serverLimits.payloadBytes * BODY_SHARE);
  const show = (request: WebhookRequest): ShownRequest => shownRequest(url, request, mostBytes);
  return {
    url,
    timeoutMs: settings.requestTimeoutMs,
    sample: { user, audience, event, request: show(request) },
    authorization: found.authorization,
    make,
    show,
  };
}

async function settingsOf({ jobSettings }: SampleDependencies, wanted: SampleInput): Promise<JobSettings> {
  if (!('jobWorkflowId' in wanted)) return wanted;
  const found = await jobSettings(wanted.jobWorkflowId);
  if (found) return found;
  throw new Obstacle(
    'job',
    found === null
      ? 'The job has not begun yet: its audiences are being looked up. Try again in a moment; "triggers status" says what it waits for.'
      : 'The job is no longer known. See all jobs with: triggers list',
  );
}

async function personOf(
  source: AudienceSource,
  audiences: JobSettings['audiences'],
  wanted: SampleInput,
): Promise<SamplePerson> {
  try {
    const found = await choosePerson(source, audiences, wanted);
    if (!('field' in found)) return found;
    throw new Obstacle(found.field, found.message);
  } catch (error) {
    if (error instanceof Obstacle) throw error;
    Context.current().log.warn('the source gave nobody for a sample', { error });
    throw new Obstacle('job', "The audience source could not be read. The worker's log says why.");
  }
}

function made(make: () => WebhookRequest): WebhookRequest {
  try {
    return make();
  } catch (error) {
    // As when a slice is sent: whatever the reason, what cannot be written is not a message.
    const code = error instanceof PayloadTooLarge ? error.code : ATTEMPT_CODES.payloadImpossible;
    throw new Obstacle(
      'message',
      `Nothing can be sent about this person: ${failureInWords({ code })}. Try another --user.`,
    );
  }
}

async function send({ poster }: SampleDependencies, prepared: Prepared): Promise<SentSample> {
  const { attempt, request, authorization, isSecond } = await postAuthorized(poster, prepared);
  const answer = { ...withoutEcho(attempt, authorization.secrets, secretsIn(prepared.url)), isSecond };
  return { ...prepared.sample, request: prepared.show(request), answer };
}
