import type {
  AskingLetter,
  DeadLetter,
  DeadLetterState,
  DeadLetterStatus,
  Redelivery,
  RedeliveryRefusal,
} from '../../contract/dead-letter.ts';
import type { JsonObject, TriggerEvent } from '../../contract/trigger.ts';
import { deliveryId } from '../delivery-id.ts';
import { readProfileRef } from '../trigger-run.ts';
import { instantOf } from '../instant.ts';
import type { JobRecord } from './job.ts';
import type { DeadTrigger } from './queue/pending-dead-letters.ts';
import { isRecord, parseJson } from '../json.ts';
import { audienceAttribute, audienceById, jobIdOf } from '../names.ts';
import { keyword, keywordList, summaryOf } from '../workflow-visibility.ts';
import type { SearchAttribute } from '../../contract/ports.ts';
import { SpilledProfile, readTrigger } from '../trigger.ts';
import { failureInWords } from '../verdict.ts';

/** How long a dead letter waits for a person, in ms: 30 days. */
export const DEAD_LETTER_MS = 30 * 24 * 60 * 60 * 1000;

/** The options that a dead letter is started with, which show it from the start, without a query. */
export function deadLetterPresentation(letter: DeadLetter) {
  const { user, audience, event, failure } = letter;
  const jobId = jobIdOf(letter.jobWorkflowId);
  const attributes: readonly SearchAttribute[] = [
    keyword('ExportJobId', jobId),
    keyword('ExportPerson', user),
    keyword('ExportFailure', failureAttribute(failure)),
    keywordList('ExportAudiences', [audienceAttribute(audience.id)]),
  ];
  return {
    summary: summaryOf(`${event} of ${user} (${audience.slug}): ${failureInWords(failure)}`),
    memo: {
      job: jobId,
      person: user,
      audience: audience.slug,
      audienceId: audience.id,
      event,
      at: letter.at,
      failure: failureInWords(failure),
      attempts: letter.attempts,
      diedAt: letter.diedAt,
    },
    attributes: letter.hasSearchAttributes ? attributes : [],
  };
}

/** The text by which a failure is searched for: its code, not its words. */
function failureAttribute({ status, code }: DeadLetter['failure']): string {
  return (status === undefined ? (code ?? 'NO_ANSWER') : `HTTP ${status}`).slice(0, 255);
}

/** Command, API, console and the Temporal UI each have a `force` of theirs. */
const OR_FORCE = 'Discard it, or redeliver it with force.';

/** Why a trigger should not be sent: it would tell the endpoint the opposite of what is true today. Undefined when it may be sent. */
export function membershipObstacle(event: TriggerEvent, isMember: boolean): string | undefined {
  if (isMember === (event === 'enter')) return undefined;
  const today = isMember ? 'is in the audience today' : 'is not in the audience today';
  return `The person ${today}, so this ${event} would be wrong. ${OR_FORCE}`;
}

/** Returns why the job refused it, for people. */
export function refusalText(letter: DeadLetter, refusal: RedeliveryRefusal): string {
  const { jobWorkflowId, audience } = letter;
  const job = jobIdOf(jobWorkflowId);
  switch (refusal) {
    case 'other-subscription':
      return `It belongs to an earlier job ${job}. The one that runs now has a subscription of its own, to which this would be another message; force does not change that. Discard it. If the endpoint should still be told, push the trigger to the job anew.`;
    case 'audience-left':
      return `The job ${job} no longer subscribes to ${audience.slug}. ${OR_FORCE}`;
    case 'stopped':
      return unaskableText(letter, 'not-running');
    case 'discarding':
      return `The job ${job} is stopping and drops what waits, so it accepts nothing more.`;
    case 'withdrawn':
      return 'It was discarded while the job was asked. Redeliver it again.';
    case 'unreadable':
      return `The job ${job} could not read it; its status says why, among what it rejected.`;
  }
}

/** Returns why the job could not be asked: it does not run, or accepts no more signals. */
export function unaskableText({ jobWorkflowId }: DeadLetter, why: 'not-running' | 'full'): string {
  const job = `The job ${jobIdOf(jobWorkflowId)}`;
  return why === 'full'
    ? `${job} accepts no more signals until it continues as a new run. Is a worker running? Redeliver it again in a minute.`
    : `${job} did not take it: it is not running. If it can be resumed or recovered, do that, then redeliver it again. Otherwise discard this, and push the trigger to another job: one that is started anew under this id is another one, too.`;
}

/** Returns the notice for a job that was asked and has not answered. */
export function unansweredText({ jobWorkflowId }: DeadLetter): string {
  return `It is not known whether it will be sent: the job ${jobIdOf(jobWorkflowId)} was asked to take it and has not answered. It answers as soon as a worker runs it.`;
}

/** Returns the notice for a job that was ended from outside before it answered. The trigger may be among those that waited there. */
export function doubtText({ jobWorkflowId }: DeadLetter): string {
  const job = jobIdOf(jobWorkflowId);
  return `It is not known whether it will be sent: the job ${job} was asked to take it and was ended before it answered, so it may be among what a recovery of the job sends. Recover or start the job, then decide again: it will be asked.`;
}

/** The signal to the job that sends it after all. */
export function redeliveryOf(
  letter: DeadLetter,
  request: Pick<Redelivery, 'asking' | 'force' | 'isWithdrawn'>,
): Redelivery {
  const { subscriptionId, user, audience, event, at, profile, profileBytes, profileRef, redeliveries, attempts } =
    letter;
  return {
    subscriptionId,
    ...request,
    user,
    trigger: {
      audience: audience.id,
      event,
      at,
      ...(profile === undefined ? {} : { profile }),
      ...(profileBytes === undefined ? {} : { profileBytes }),
      ...(profileRef === undefined ? {} : { profileRef }),
      redelivery: redeliveries + 1,
      attempts,
    },
  };
}

/** @param startedAt epoch ms. */
export function describeDeadLetter(
  letter: DeadLetter,
  state: DeadLetterState,
  startedAt: number,
  notice: { readonly text: string; readonly isForceable: boolean } | undefined,
): DeadLetterStatus {
  const { profile } = letter;
  return {
    v: 1,
    state,
    jobId: jobIdOf(letter.jobWorkflowId),
    subscriptionId: letter.subscriptionId,
    deliveryId: letter.deliveryId,
    redeliveries: letter.redeliveries,
    user: letter.user,
    audience: letter.audience,
    event: letter.event,
    at: letter.at,
    ...(profile === undefined ? {} : { profile }),
    failure: letter.failure,
    attempts: letter.attempts,
    diedAt: letter.diedAt,
    expiresAt: instantOf(startedAt + DEAD_LETTER_MS),
    ...(notice === undefined ? {} : { notice: notice.text }),
    ...(notice?.isForceable === true ? { forceable: true } : {}),
  };
}

/** How many more bytes a trigger may have than when it was signalled: for an audience's id instead of its slug, and for its own time. */
const SETTLED_BYTES = 100;
const LONGEST_ID = 1000;

/** A redelivery with its trigger as it was read: the profile as JSON. */
export interface ReadRedelivery extends Omit<Redelivery, 'trigger'> {
  readonly trigger: Omit<Redelivery['trigger'], 'profile' | 'profileBytes'> & { readonly profile?: string };
}

type RedeliveryReading =
  | { readonly ok: true; readonly redelivery: ReadRedelivery }
  /** `asking` is set if at least the asking dead letter could be read: then it can be answered. */
  | { readonly ok: false; readonly reason: string; readonly asking?: AskingLetter };

/** Reads what came as the signal of a dead letter. Our own workflow sends it, but a person can send one too, and no signal may break a job. */
export function readRedelivery(raw: unknown, mostBytes: number): RedeliveryReading {
  if (!isRecord(raw)) return { ok: false, reason: 'it is not a JSON object' };
  const asking = readAsking(raw['asking']);
  if (asking === undefined) return { ok: false, reason: '"asking" must name the workflow of a dead letter' };
  const reading = readContent(raw, mostBytes);
  if (typeof reading === 'string') return { ok: false, reason: reading, asking };
  const { force, isWithdrawn } = raw;
  return { ok: true, redelivery: { ...reading, asking, force: force === true, isWithdrawn: isWithdrawn === true } };
}

function readAsking(asking: unknown): AskingLetter | undefined {
  if (!isRecord(asking)) return undefined;
  const { workflowId, runId, question } = asking;
  if (!isId(workflowId) || !isId(runId) || !isCount(question)) return undefined;
  return { workflowId, runId, question };
}

function readContent(
  { subscriptionId, user, trigger }: Record<string, unknown>,
  mostBytes: number,
): Pick<ReadRedelivery, 'subscriptionId' | 'user' | 'trigger'> | string {
  if (typeof subscriptionId !== 'string') return '"subscriptionId" must be a string';
  if (!isRecord(trigger)) return '"trigger" must be a JSON object';
  const { redelivery, attempts } = trigger;
  if (!isCount(redelivery)) return '"redelivery" must be a number from 1';
  const profileRef = Array.isArray(trigger['profileRef'])
    ? readProfileRef(trigger['profileRef'][0], trigger['profileRef'][1])
    : undefined;
  const elsewhere = profileRef === undefined ? {} : { profile: new SpilledProfile(profileRef) };
  const reading = readTrigger({ ...trigger, ...elsewhere, user }, undefined, mostBytes + SETTLED_BYTES);
  if (!reading.ok) return reading.reason;
  const { user: whose, at, ...rest } = reading.trigger;
  if (at === undefined) return '"at" is missing';
  const made = isCount(attempts) ? { attempts } : {};
  return { subscriptionId, user: whose, trigger: { ...rest, at, redelivery, ...made } };
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= LONGEST_ID;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1;
}

/** Returns the input of a dead letter's workflow. */
export function deadLetterOf(job: JobRecord, dead: DeadTrigger, jobWorkflowId: string, now: number): DeadLetter {
  const { user, trigger, failure, attempts } = dead;
  const { audience: audienceId, event, at, profile, profileBytes, profileRef, redelivery = 0 } = trigger;
  const audience = audienceById(job, audienceId) ?? { id: audienceId, slug: audienceId, name: audienceId };
  return {
    v: 1,
    jobWorkflowId,
    subscriptionId: job.subscriptionId,
    deliveryId: deliveryId(job.subscriptionId, { user, ...trigger }),
    redeliveries: redelivery,
    user,
    audience,
    event,
    at,
    ...(profile === undefined
      ? {}
      : {
          profile: parseJson(profile) as JsonObject,
          profileBytes: profileBytes ?? 0,
        }),
    ...(profileRef === undefined ? {} : { profileRef }),
    failure,
    attempts,
    diedAt: instantOf(now),
    hasSearchAttributes: job.missingSearchAttributes.length === 0,
  };
}
