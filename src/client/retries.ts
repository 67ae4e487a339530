import {
  type ConnectionOptions,
  defaultGrpcRetryOptions,
  type GrpcRetryOptions,
  makeGrpcRetryInterceptor,
} from '@temporalio/client';
import proto from '@temporalio/proto';
import { type Call, OpenCalls } from './open-calls.ts';
import { GRPC } from './server-errors.ts';

// It is a CommonJS module, whose exports Node cannot import by name.
const { google, temporal } = proto;
const { ResourceExhaustedFailure } = temporal.api.errordetails.v1;
const { RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW } = temporal.api.enums.v1.ResourceExhaustedCause;

type Interceptor = NonNullable<ConnectionOptions['interceptors']>[number];
/** What a call ended with. */
type Status = Parameters<GrpcRetryOptions['retryableDecider']>[1];

const bySdk = defaultGrpcRetryOptions();
const FIRST_BUSY_PAUSE_MS = 25;
const LONGEST_BUSY_PAUSE_MS = 1_000;
/** With those pauses, for half a minute. */
const MOST_BUSY_TRIES = 35;

/**
 * A job whose run ends takes no signal until its next run has begun: mostly for less than a second. The SDK takes that for a server with too much to do,
 * and would leave everybody who signals waiting for another one to two seconds.
 */
const retrying = makeGrpcRetryInterceptor({
  retryableDecider: (attempt, status) =>
    isBusyWorkflow(status) ? attempt < MOST_BUSY_TRIES : bySdk.retryableDecider(attempt, status),
  delayFunction: (attempt, status) =>
    isBusyWorkflow(status)
      ? Math.min(LONGEST_BUSY_PAUSE_MS, FIRST_BUSY_PAUSE_MS * 1.5 ** (attempt - 1)) * (0.8 + Math.random() * 0.4)
      : bySdk.delayFunction(attempt, status),
});

/** Whether it is one workflow that takes no calls at the moment, and not the server. */
function isBusyWorkflow({ metadata }: Status): boolean {
  const [bytes] = metadata.get('grpc-status-details-bin');
  if (!(bytes instanceof Uint8Array)) return false;
  try {
    return google.rpc.Status.decode(bytes).details.some(
      ({ type_url: type, value }) =>
        type?.endsWith('/temporal.api.errordetails.v1.ResourceExhaustedFailure') === true &&
        ResourceExhaustedFailure.decode(value ?? new Uint8Array()).cause === RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW,
    );
  } catch {
    return false;
  }
}

/**
 * The SDK's own retries of calls, which outlive their connection: one that is due after the connection was closed throws from a timer, which ends the
 * process. With this it is a call that was cancelled.
 * @param calls knows of each try that is under way.
 */
export function retriesWhileOpen(calls = new OpenCalls()): Interceptor {
  return (options, nextCall) => {
    let isFirst = true;
    return retrying(options, (again) => {
      if (isFirst) {
        isFirst = false;
        return calls.follow(nextCall(again));
      }
      try {
        return calls.follow(nextCall(again));
      } catch {
        return new CancelledCall();
      }
    });
  };
}

/** It is not tried again. */
class CancelledCall implements Call {
  start(...[metadata, listener]: Parameters<Call['start']>): void {
    setImmediate(() =>
      listener?.onReceiveStatus?.({ code: GRPC.CANCELLED, details: 'The connection was closed.', metadata }),
    );
  }
  cancelWithStatus(): void {}
  sendMessageWithContext(): void {}
  sendMessage(): void {}
  startRead(): void {}
  halfClose(): void {}
  getPeer(): string {
    return 'unknown';
  }
  getAuthContext(): null {
    return null;
  }
}
