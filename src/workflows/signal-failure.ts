import { ApplicationFailure } from '@temporalio/workflow';

/**
 * Whether a workflow could not be signalled because its run has had all the signals that the server lets through; its next run takes more.
 * The SDK has no class for it: of every reason why a signal failed it makes an ApplicationFailure, whose type is the name of the server's cause.
 */
export function isFull(error: unknown): boolean {
  return error instanceof ApplicationFailure && error.type === 'SignalCountLimitExceeded';
}
