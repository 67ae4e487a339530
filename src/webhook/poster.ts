import { type Attempt, AttemptHandler } from './attempt.ts';
import { Deadlines } from './deadlines.ts';
import { GuardedAgents, type GuardedAgentsOptions } from './guarded-agents.ts';
import type { WebhookRequest } from './request.ts';

/** Sends the requests of all jobs of a worker, over connections that are kept open between requests. */
export interface Poster {
  /**
   * One POST, and only one attempt, whatever happens. `mostMs` can shorten its timeout but never extend it. Calls `done` once, possibly before
   * returning; `done` must not throw. It is a callback because promises would make a delivery a tenth more expensive.
   */
  post(url: URL, request: WebhookRequest, mostMs: number, done: (attempt: Attempt) => void): void;
  /** Closes idle connections and waits for requests in flight. */
  close(): Promise<void>;
}

/** @param options of which `timeoutMs` limits a whole attempt: connecting, TLS, headers and body together. */
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
      // Redirects are not followed: undici does that only with an interceptor, and none is installed.
      agents.of(identity).dispatch({ origin: url.origin, path, method: 'POST', headers, body }, handler);
    },
    close: async () => {
      await agents.close();
      deadlines.close();
    },
  };
}

/** A query with more parameters appended; what is already in the URL stays exactly as it was written. */
export function joined(search: string, more = ''): string {
  if (more === '') return search;
  return search === '' ? `?${more}` : `${search}&${more}`;
}
