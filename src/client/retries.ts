import { type ConnectionOptions, defaultGrpcRetryOptions, makeGrpcRetryInterceptor } from '@temporalio/client';
import { type Call, OpenCalls } from './open-calls.ts';
import { GRPC } from './server-errors.ts';

type Interceptor = NonNullable<ConnectionOptions['interceptors']>[number];

const retrying = makeGrpcRetryInterceptor(defaultGrpcRetryOptions());

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
