import type { QueryDefinition, UpdateDefinition } from '@temporalio/common';
import { ApplicationFailure, setHandler } from '@temporalio/workflow';
import { missingKeyReason } from '../domain/errors.ts';
import { problemsText, type RequestReading } from '../domain/requests.ts';

/** The description of messages between our own workflows, activities and clients. The Temporal UI lists them beside the others. */
export const INTERNAL = 'Internal: sent by audience-triggers itself.';

/** How an update is answered. Both functions get all arguments, even surplus ones. */
interface UpdateAnswer<Answer> {
  /** Its description, which the Temporal UI shows beside its name. */
  readonly description: string;
  /**
   * Throws the reason of a refusal, and changes nothing: an update refused here is not accepted, and is in no history. The answer has to
   * check again, since it may come later: an update to a starting job waits until the job runs.
   */
  readonly check: (args: readonly unknown[]) => unknown;
  readonly answer: (args: readonly unknown[]) => Answer | Promise<Answer>;
}

/**
 * Answers an update: every update has to be answered by this. It also refuses, before they are accepted, updates encrypted with a key that
 * this worker does not have.
 */
export function answerUpdate<Answer, Args extends [unknown?, unknown?]>(
  update: UpdateDefinition<Answer, Args>,
  { description, check, answer }: UpdateAnswer<Answer>,
): void {
  const validator = (...args: Args): void => {
    const reason = missingKeyReason(args);
    if (reason !== undefined)
      throw ApplicationFailure.nonRetryable(
        `Nothing was changed, since no worker could read it. ${reason}`,
        'UnknownPayloadKey',
      );
    check(args);
  };
  setHandler(update, (...args: Args) => answer(args), { validator, description });
}

/**
 * Answers a query: every query has to be answered by this. A query with more arguments than it takes is refused, since the answer would
 * ignore them.
 *
 * @param takes how many arguments.
 * @param description its description, which the Temporal UI shows beside its name.
 */
export function answerQuery<Answer, Args extends [unknown?]>(
  query: QueryDefinition<Answer, Args>,
  takes: 0 | 1,
  description: string,
  handler: (...args: NoInfer<Args>) => NoInfer<Answer>,
): void {
  const answer = (...args: Args): Answer => {
    if (args.slice(takes).every((one) => one == null)) return handler(...args);
    const most = takes === 0 ? 'no argument' : 'one argument';
    throw ApplicationFailure.nonRetryable(
      `The query "${query.name}" takes ${most}, and was given more.`,
      'InvalidRequest',
    );
  };
  setHandler(query, answer, { description });
}

/** Returns the request. @throws ApplicationFailure of this type with everything that is wrong with it; nothing is done then. */
export function readOrRefuse<T>(reading: RequestReading<T>, type: string): T {
  if (reading.ok) return reading.request;
  throw ApplicationFailure.nonRetryable(problemsText(reading.problems), type);
}

/**
 * Whether a workflow could not be signalled because its run has had all the signals that the server allows; its next run accepts more. The
 * SDK has no class for this: every failure of a signal is an ApplicationFailure, whose type is the server's name for the cause.
 */
export function isFull(error: unknown): boolean {
  return error instanceof ApplicationFailure && error.type === 'SignalCountLimitExceeded';
}
