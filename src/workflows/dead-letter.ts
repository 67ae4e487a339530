import {
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  sleep,
  upsertMemo,
} from '@temporalio/workflow';
import type { DeadLetter, DeadLetterEnd, DeadLetterState } from '../contract/dead-letter.ts';
import type { Activities } from '../contract/ports.ts';
import { DEAD_LETTER_MS, describeDeadLetter, membershipObstacle, redeliveryOf } from '../domain/dead-letter.ts';
import { deadLetterDetails } from '../domain/dead-letter-details.ts';
import { isRecord } from '../domain/json.ts';
import { jobIdOf } from '../domain/names.ts';
import { refuseNewer } from '../domain/newer-state.ts';
import { deadLetterStatusQuery, discardSignal, redeliveredSignal, redeliverSignal } from './messages.ts';
import { isFull } from './signal-failure.ts';

// A person is waiting for the answer, so it says that the source is down, and the person may ask again.
const { isMember } = proxyActivities<Activities>({
  startToCloseTimeout: '30 seconds',
  scheduleToCloseTimeout: '1 minute',
  retry: { maximumAttempts: 3 },
});

/** What a person asked for. */
type Wish = { readonly kind: 'discard' } | { readonly kind: 'redeliver'; readonly force: boolean };

/**
 * A trigger that will not be sent unless a person decides so. Waits 30 days for the signals `redeliver` or `discard`; the last one counts.
 * After a redelivery that contradicts the source, or that the job does not accept, it goes on waiting, and says why.
 */
export async function deadLetter(letter: DeadLetter): Promise<DeadLetterEnd> {
  refuseNewer('This dead letter', letter);
  const startedAt = Date.now();
  let state: DeadLetterState = 'waiting';
  let notice: string | undefined;
  let wish: Wish | undefined;
  let isExpired = false;

  const status = () => describeDeadLetter(letter, state, startedAt, notice);
  const become = <State extends DeadLetterState>(next: State): State => {
    state = next;
    setCurrentDetails(deadLetterDetails(status()));
    return next;
  };
  setHandler(deadLetterStatusQuery, status);
  setHandler(discardSignal, () => {
    wish = { kind: 'discard' };
  });
  setHandler(redeliverSignal, (request: unknown) => {
    wish = { kind: 'redeliver', force: isForced(request) || (wish?.kind === 'redeliver' && wish.force) };
  });
  void sleep(DEAD_LETTER_MS, { summary: 'it expires' }).then(
    () => (isExpired = true),
    () => undefined, // Cancelled, as all of this workflow.
  );

  for (;;) {
    become('waiting');
    await condition(() => wish !== undefined || isExpired);
    const asked = takeWish();
    if (asked === undefined) return become('expired');
    if (asked.kind === 'discard') return become('discarded');
    notice = undefined;
    become('redelivering');
    notice = await redeliver(letter, asked.force);
    if (notice === undefined) return become('redelivered');
    upsertMemo({ notice });
  }

  function takeWish(): Wish | undefined {
    const taken = wish;
    wish = undefined;
    return taken;
  }
}

/** A signal from the Temporal UI may carry anything: only a plain `true` forces. */
function isForced(request: unknown): boolean {
  return isRecord(request) && request['force'] === true;
}

/** Gives the trigger back to its job, or says why it could not. */
async function redeliver(letter: DeadLetter, force: boolean): Promise<string | undefined> {
  const obstacle = force ? undefined : await sourceObstacle(letter);
  if (obstacle !== undefined) return obstacle;
  try {
    await getExternalWorkflowHandle(letter.jobWorkflowId).signal(redeliveredSignal, redeliveryOf(letter));
    return undefined;
  } catch (error) {
    if (isCancellation(error)) throw error;
    log.warn('the job did not take its dead letter', { error });
    const job = `The job ${jobIdOf(letter.jobWorkflowId)}`;
    return isFull(error)
      ? `${job} takes no more signals until it continues as a new run. Is a worker running? Signal redeliver again in a minute.`
      : `${job} did not take it: it is not running. Resume or start it, then signal redeliver again.`;
  }
}

async function sourceObstacle({ audience, user, event }: DeadLetter): Promise<string | undefined> {
  try {
    return membershipObstacle(event, await isMember(audience.id, user));
  } catch (error) {
    if (isCancellation(error)) throw error;
    return `The source could not say whether the person is in ${audience.slug} today. Signal redeliver again when it can, or with {"force": true} to send it all the same.`;
  }
}
