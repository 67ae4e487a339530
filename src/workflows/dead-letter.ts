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
  workflowInfo,
} from '@temporalio/workflow';
import type { By } from '../contract/audit.ts';
import type { DeadLetter, DeadLetterEnd, DeadLetterState, RedeliveryRefusal } from '../contract/dead-letter.ts';
import type { Activities } from '../contract/ports.ts';
import {
  DEAD_LETTER_MS,
  describeDeadLetter,
  doubtText,
  membershipObstacle,
  redeliveryOf,
  refusalText,
  unansweredText,
  unaskableText,
} from '../domain/job/dead-letter.ts';
import { refuseNewer } from '../domain/errors.ts';
import { isRecord } from '../domain/json.ts';
import { deadLetterIdOf, jobIdOf } from '../domain/names.ts';
import {
  problemsText,
  readNothing,
  readRedeliverRequest,
  type RequestReading,
  takeBy,
  UNKNOWN,
} from '../domain/requests.ts';
import { deadLetterDetails } from '../domain/workflow-visibility.ts';
import { answerQuery, INTERNAL, isFull } from './answering.ts';
import { Asker, tellDeed } from './deeds.ts';
import { answerSignal, deadLetterStatusQuery, discardSignal, redeliveredSignal, redeliverSignal } from './messages.ts';

// A person is waiting for the answer, so this gives up soon if the source is down, and the person may ask again.
const { isMember } = proxyActivities<Activities>({
  startToCloseTimeout: '30 seconds',
  scheduleToCloseTimeout: '1 minute',
  retry: { maximumAttempts: 3 },
});

/**
 * How long, in ms, to wait for the job before it is asked again: another one may run under its id by then. After the last, it waits only
 * for the answer or a person, since each question is a signal that the job has to take.
 */
const ASK_AGAIN_MS = [15_000, 120_000, 1_800_000];

/** A person's decision. */
type Decision = { readonly kind: 'discard' } | { readonly kind: 'redeliver'; readonly force: boolean };

/**
 * A trigger that will not be sent unless a person decides so. Waits 30 days for the signals `redeliver` or `discard`; the last one counts.
 * It ends as redelivered only when its job has said that it has the trigger. After a redelivery that contradicts the source, or that the
 * job does not accept, it keeps waiting, and says why.
 */
export async function deadLetter(letter: DeadLetter): Promise<DeadLetterEnd> {
  refuseNewer('This dead letter', letter);
  const workflow = new DeadLetterWorkflow(letter);
  const end = await workflow.untilDecided();
  if (end !== 'expired') workflow.tell(end === 'discarded' ? 'discard' : 'redeliver');
  return end;
}

class DeadLetterWorkflow {
  readonly #letter: DeadLetter;
  readonly #runId = workflowInfo().firstExecutionRunId;
  readonly #startedAt = Date.now();
  #state: DeadLetterState = 'waiting';
  #notice: string | undefined;
  /** Whether a forced redelivery would overcome the obstacle in the notice. */
  #isForceable = false;
  /** Its job has refused it as one of an earlier job. */
  #isOfEarlierJob = false;
  #wish: Decision | undefined;
  /** How many have asked since it last began to wait. */
  #asked = 0;
  readonly #asker = new Asker();
  /** Who wished each last. */
  readonly #by: Partial<Record<Decision['kind'], By>> = {};
  #isExpired = false;
  #questions = 0;
  /** The job was asked and has not answered: it may have the trigger. */
  #isInDoubt = false;
  #isTaken = false;
  /** The answer to the last question. */
  #refusal: RedeliveryRefusal | undefined;

  constructor(letter: DeadLetter) {
    this.#letter = letter;
    answerQuery(deadLetterStatusQuery, 0, 'State of the dead letter, and why.', () => this.#status());
    const discard = (...args: unknown[]): void => {
      if (this.#requestOf('discard', args, readNothing) !== undefined) this.#wish = { kind: 'discard' };
    };
    const redeliver = (...args: unknown[]): void => {
      const request = this.#requestOf('redeliver', args, readRedeliverRequest);
      if (request === undefined) return;
      const before = this.#wish?.kind === 'redeliver' && this.#wish.force;
      this.#wish = { kind: 'redeliver', force: request.force === true || before };
    };
    setHandler(discardSignal, discard, { description: 'Drops the trigger for good.' });
    setHandler(redeliverSignal, redeliver, {
      description: 'Sends the trigger after all. {"force": true}: also if the membership has changed meanwhile.',
    });
    setHandler(answerSignal, (answer: unknown) => this.#hear(answer), { description: INTERNAL });
    void sleep(DEAD_LETTER_MS, { summary: 'it expires' }).then(
      () => (this.#isExpired = true),
      () => undefined, // Cancelled, as all of this workflow.
    );
  }

  /** Returns the request of a signal; undefined when it is wrong. The notice then says so, since a signal gets no answer. */
  #requestOf<T>(
    kind: Decision['kind'],
    args: readonly unknown[],
    read: (args: readonly unknown[]) => RequestReading<T>,
  ): T | undefined {
    const { by, rest } = takeBy(args);
    const reading = read(rest);
    if (reading.ok) {
      this.#by[kind] = this.#asker.take(by);
      this.#asked++;
      return reading.request;
    }
    this.#notice = `The last signal changed nothing, since it is wrong. ${problemsText(reading.problems)}`;
    this.#isForceable = false;
    upsertMemo({ notice: this.#notice });
    this.#become(this.#state);
    return undefined;
  }

  /** Tells the delivery log who decided so. It names no person. */
  tell(action: Decision['kind']): void {
    const of = { target: deadLetterIdOf(workflowInfo().workflowId), jobId: jobIdOf(this.#letter.jobWorkflowId) };
    const { isOfMany, ...by } = this.#by[action] ?? UNKNOWN;
    tellDeed(1, { kind: isOfMany === true ? 'one of many' : 'dead letter', ...of, ...by, action });
  }

  async untilDecided(): Promise<DeadLetterEnd> {
    for (;;) {
      this.#asked = this.#wish === undefined ? 0 : 1;
      this.#become('waiting');
      await condition(() => this.#wish !== undefined || this.#isTaken || this.#isExpired);
      if (this.#isTaken) return this.#become('redelivered');
      const wish = this.#takeWish();
      if (wish === undefined) return this.#become('expired');
      // Asks a job that may have it before anybody is told that it is gone.
      if (wish.kind === 'discard' && !this.#isInDoubt) return this.#become('discarded');
      this.#notice = undefined;
      this.#isForceable = false;
      this.#become('redelivering');
      const end = await this.#carryOut(wish);
      if (end !== undefined) return this.#become(end);
      if (this.#notice !== undefined) upsertMemo({ notice: this.#notice });
    }
  }

  /** Returns how it ended; undefined when it keeps waiting. */
  async #carryOut(wish: Decision): Promise<DeadLetterEnd | undefined> {
    if (wish.kind === 'redeliver' && !wish.force) {
      const isDiscarded = () => this.#wish?.kind === 'discard';
      const obstacle = await Promise.race([this.#sourceObstacle(), condition(isDiscarded).then(() => undefined)]);
      this.#isForceable = obstacle !== undefined && !this.#isOfEarlierJob;
      // A job that refused it as another job's would refuse it again, even with force.
      this.#notice = obstacle && (this.#isForceable ? obstacle : refusalText(this.#letter, 'other-subscription'));
      if (this.#notice !== undefined || isDiscarded()) return undefined;
    }
    return await this.#askJob(wish);
  }

  /** Asks the job until it has answered. */
  async #askJob(first: Decision): Promise<DeadLetterEnd | undefined> {
    let wish = first;
    for (let round = 0; ; round++) {
      wish = this.#takeWish() ?? wish;
      if (wish.kind === 'discard' && !this.#isInDoubt) return 'discarded';
      this.#notice = await this.#ask(wish);
      if (this.#notice !== undefined) return undefined;
      const isOver = () => this.#isTaken || this.#refusal !== undefined || this.#isExpired;
      await this.#within(ASK_AGAIN_MS[round], () => isOver() || this.#wish !== undefined);
      if (this.#isTaken) return 'redelivered';
      if (this.#refusal !== undefined) return this.#refused(wish, this.#refusal);
      if (this.#isExpired) return 'expired';
      this.#notice = unansweredText(this.#letter);
      upsertMemo({ notice: this.#notice });
    }
  }

  #refused(wish: Decision, refusal: RedeliveryRefusal): DeadLetterEnd | undefined {
    this.#isInDoubt = false;
    if (wish.kind === 'discard') return 'discarded';
    this.#notice = refusalText(this.#letter, refusal);
    this.#isOfEarlierJob = refusal === 'other-subscription';
    this.#isForceable = refusal === 'audience-left';
    return undefined;
  }

  /** Asks the job; returns why that cannot be done. */
  async #ask(wish: Decision): Promise<string | undefined> {
    this.#questions++;
    this.#refusal = undefined;
    const { workflowId } = workflowInfo();
    const redelivery = redeliveryOf(this.#letter, {
      asking: { workflowId, runId: this.#runId, question: this.#questions },
      force: wish.kind === 'redeliver' && wish.force,
      isWithdrawn: wish.kind === 'discard',
    });
    try {
      await getExternalWorkflowHandle(this.#letter.jobWorkflowId).signal(redeliveredSignal, redelivery);
      this.#isInDoubt = true;
      return undefined;
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('the job could not be asked to take its dead letter', { error });
      if (this.#isInDoubt) return isFull(error) ? unansweredText(this.#letter) : doubtText(this.#letter);
      return unaskableText(this.#letter, isFull(error) ? 'full' : 'not-running');
    }
  }

  /**
   * Reads an answer. A signal from the Temporal UI may carry anything. Only an answer to the last question can refuse: earlier questions
   * were different.
   */
  #hear(answer: unknown): void {
    if (!isRecord(answer) || answer['runId'] !== this.#runId) return;
    const { question, refusal } = answer;
    if (refusal === undefined) this.#isTaken = true;
    else if (question === this.#questions) this.#refusal = refusal as RedeliveryRefusal; // Our own job wrote it: it knows this run's id.
  }

  async #sourceObstacle(): Promise<string | undefined> {
    const { audience, user, event } = this.#letter;
    try {
      return membershipObstacle(event, await isMember(audience.id, user));
    } catch (error) {
      if (isCancellation(error)) throw error;
      return `The source could not say whether the person is in ${audience.slug} today. Redeliver it again when it can, or with force.`;
    }
  }

  async #within(ms: number | undefined, isSo: () => boolean): Promise<void> {
    await (ms === undefined ? condition(isSo) : condition(isSo, ms));
  }

  #takeWish(): Decision | undefined {
    const taken = this.#wish;
    this.#wish = undefined;
    return taken;
  }

  #become<State extends DeadLetterState>(next: State): State {
    this.#state = next;
    setCurrentDetails(deadLetterDetails(this.#status()));
    return next;
  }

  #status() {
    const notice = this.#notice === undefined ? undefined : { text: this.#notice, isForceable: this.#isForceable };
    const status = describeDeadLetter(this.#letter, this.#state, this.#startedAt, notice);
    return this.#asked > 1 ? { ...status, asked: this.#asked } : status;
  }
}
