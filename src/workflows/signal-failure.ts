import { ApplicationFailure } from '@temporalio/workflow';

/**
 * Whether a workflow could not be signalled because its run has had all the signals that the server allows; its next run accepts more. The
 * SDK has no class for this: it turns every reason why a signal failed into an ApplicationFailure, whose type is the server's name for the
 * cause.
 */
export function isFull(error: unknown): boolean {
  return error instanceof ApplicationFailure && error.type === 'SignalCountLimitExceeded';
}
