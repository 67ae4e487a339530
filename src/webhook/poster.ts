import { Agent } from 'undici';
import { type Attempt, AttemptHandler } from './attempt.ts';
import { Deadlines } from './deadlines.ts';
import { createGuardedConnector } from './guarded-connector.ts';
import type { LookUp } from './look-up.ts';
import type { NetworkPolicy } from './network-policy.ts';
import type { WebhookRequest } from './request.ts';

/** Sends requests over connections that are kept open between them, for all jobs of a worker. */
export interface Poster {
  /**
   * One POST: one attempt, whatever happens. `mostMs` may shorten its time, never lengthen it. Calls `done` once, maybe before it returns. By a
   * callback, which must not throw: with promises on the way a delivery costs a tenth more.
   */
  post(url: URL, request: WebhookRequest, mostMs: number, done: (attempt: Attempt) => void): void;
  /** Ends idle connections, and waits for requests in flight. */
  close(): Promise<void>;
}

/** Most bytes of an answer's headers, all together. */
const MAX_HEADER_BYTES = 16 * 1024;

export interface PosterOptions {
  /** The time of a whole attempt: connecting, TLS, headers and body together. */
  readonly timeoutMs: number;
  /** Where connections may go. */
  readonly policy: NetworkPolicy;
  /** Default: the one that all share. */
  readonly lookUp?: LookUp;
}

export function createPoster({ timeoutMs, policy, lookUp }: PosterOptions): Poster {
  const deadlines = new Deadlines();
  const agent = new Agent({
    // Our own deadline covers the whole attempt; undici's begin anew with every chunk, so that a drip would never end.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: createGuardedConnector({ policy, timeoutMs, ...(lookUp === undefined ? {} : { lookUp }) }),
    maxHeaderSize: MAX_HEADER_BYTES,
    pipelining: 1,
  });
  return {
    post: (url, { headers, body }, mostMs, done) => {
      const handler = new AttemptHandler(performance.now(), Math.min(timeoutMs, mostMs), (settled, attempt) => {
        deadlines.delete(settled);
        done(attempt);
      });
      deadlines.add(handler);
      // No redirects are followed: undici does so only with an interceptor that is not here.
      agent.dispatch({ origin: url.origin, path: url.pathname + url.search, method: 'POST', headers, body }, handler);
    },
    close: async () => {
      await agent.close();
      deadlines.close();
    },
  };
}
