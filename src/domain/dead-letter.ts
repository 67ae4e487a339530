import type { DeadLetter, DeadLetterState, DeadLetterStatus, Redelivery } from '../contract/dead-letter.ts';
import type { TriggerEvent } from '../contract/trigger.ts';
import { failureInWords } from './attempt-codes.ts';
import { instantOf } from './instant.ts';
import { audienceAttribute, jobIdOf } from './names.ts';
import { keyword, keywordList, type SearchAttribute } from './search-attributes.ts';
import { summaryOf } from './summary.ts';

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

/** Why a trigger should not be sent: it would tell the endpoint the opposite of what is true today. Undefined when it may be sent. */
export function membershipObstacle(event: TriggerEvent, isMember: boolean): string | undefined {
  if (isMember === (event === 'enter')) return undefined;
  const today = isMember ? 'is in the audience today' : 'is not in the audience today';
  return `The person ${today}, so this ${event} would be wrong. Discard it, or signal redeliver with {"force": true} to send it all the same.`;
}

/** The signal to the job that sends it after all. */
export function redeliveryOf(letter: DeadLetter): Redelivery {
  const { subscriptionId, user, audience, event, at, profile, profileBytes, redeliveries } = letter;
  return {
    subscriptionId,
    user,
    trigger: {
      audience: audience.id,
      event,
      at,
      ...(profile === undefined ? {} : { profile }),
      ...(profileBytes === undefined ? {} : { profileBytes }),
      redelivery: redeliveries + 1,
    },
  };
}

/** @param startedAt epoch ms. */
export function describeDeadLetter(
  letter: DeadLetter,
  state: DeadLetterState,
  startedAt: number,
  notice: string | undefined,
): DeadLetterStatus {
  const { profile } = letter;
  return {
    v: 1,
    state,
    jobId: jobIdOf(letter.jobWorkflowId),
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
    ...(notice === undefined ? {} : { notice }),
  };
}
