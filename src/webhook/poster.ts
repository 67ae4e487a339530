import { type Attempt, AttemptHandler } from './attempt.ts';
import { Deadlines } from './deadlines.ts';
import { GuardedAgents, type GuardedAgentsOptions } from './guarded-agents.ts';
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

/** `timeoutMs` is the time of a whole attempt: connecting, TLS, headers and body together. */
export function createPoster(options: GuardedAgentsOptions): Poster {
  const { timeoutMs } = options;
  const deadlines = new Deadlines();
  const agents = new GuardedAgents(options);
  return {
    post: (url, { headers, query, identity, body }, mostMs, done) => {
      const handler = new AttemptHandler(performance.now(), Math.min(timeoutMs, mostMs), (settled, attempt) => {
        deadlines.delete(settled);
        done(attempt);
      });
      deadlines.add(handler);
      const path = url.pathname + joined(url.search, query);
      // No redirects are followed: undici does so only with an interceptor that is not here.
      agents.of(identity).dispatch({ origin: url.origin, path, method: 'POST', headers, body }, handler);
    },
    close: async () => {
      await agents.close();
      deadlines.close();
    },
  };
}

/** A query with more at its end; what stands in the URL stays as it was written. */
export function joined(search: string, more = ''): string {
  if (more === '') return search;
  return search === '' ? `?${more}` : `${search}&${more}`;
}
