import type { ConnectionOptions } from '@temporalio/client';
import { GRPC } from './server-errors.ts';

type Interceptor = NonNullable<ConnectionOptions['interceptors']>[number];
/** As an interceptor gets it from the next one. */
export type Call = ReturnType<Parameters<Interceptor>[1]>;

/**
 * The calls of a connection that are under way. Closing it lets them go on, so a server that takes calls and never answers would keep the process for
 * as long as each of them may take.
 */
export class OpenCalls {
  readonly #calls = new Set<Call>();

  /** Knows of a call from its start to its end. */
  follow(call: Call): Call {
    const start = call.start.bind(call);
    call.start = (metadata, listener = {}) => {
      this.#calls.add(call);
      const ended = listener.onReceiveStatus?.bind(listener);
      listener.onReceiveStatus = (status) => {
        this.#calls.delete(call);
        ended?.(status);
      };
      start(metadata, listener);
    };
    return call;
  }

  /** Ends them as calls that were cancelled. */
  cancel(): void {
    for (const call of this.#calls) call.cancelWithStatus(GRPC.CANCELLED, 'The connection was abandoned.');
  }
}
