import { type ConnectionOptions, defaultGrpcRetryOptions, makeGrpcRetryInterceptor } from '@temporalio/client';

type Interceptor = NonNullable<ConnectionOptions['interceptors']>[number];
type Call = ReturnType<Parameters<Interceptor>[1]>;

const retrying = makeGrpcRetryInterceptor(defaultGrpcRetryOptions());

/**
 * The SDK's own retries of calls, which outlive their connection: one that is due after the connection was closed throws from a timer, which ends the
 * process. With this it is a call that was cancelled.
 */
export const retriesWhileOpen: Interceptor = (options, nextCall) => {
  let isFirst = true;
  return retrying(options, (again) => {
    if (isFirst) {
      isFirst = false;
      return nextCall(again);
    }
    try {
      return nextCall(again);
    } catch {
      return new CancelledCall();
    }
  });
};

/** gRPC's code for a call that was cancelled, which is not tried again. */
const CANCELLED = 1;

class CancelledCall implements Call {
  start(...[metadata, listener]: Parameters<Call['start']>): void {
    setImmediate(() =>
      listener?.onReceiveStatus?.({ code: CANCELLED, details: 'The connection was closed.', metadata }),
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
