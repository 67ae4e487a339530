import { Agent, type Dispatcher } from 'undici';
import type { ClientIdentity } from './client-identity.ts';
import { createGuardedConnector } from './guarded-connector.ts';
import type { LookUp } from './look-up.ts';
import type { ConnectionPolicy } from './network-policy.ts';

export interface GuardedAgentsOptions {
  /** Longest time, in ms, for opening a connection. */
  readonly timeoutMs: number;
  /** Where connections may go. */
  readonly policy: ConnectionPolicy;
  /** Default: the one that all share. */
  readonly lookUp?: LookUp;
  /** Default: `performance.now()`. */
  readonly nowMs?: () => number;
  /** Most bytes on the wire in answer to one request. Default 1 MiB. */
  readonly maxAnswerBytes?: number;
}

/** An identity that nobody used for so long may have been replaced: each costs half a megabyte where authorities are added to the system's. */
const UNUSED_MS = 10 * 60_000;

/** Most bytes of an answer's headers, all together. */
const MAX_HEADER_BYTES = 16 * 1024;

/** The connections that every request of a worker goes over, whatever it is for: guarded, and never shared between identities. */
export class GuardedAgents {
  readonly #options: GuardedAgentsOptions;
  readonly #nowMs: () => number;
  readonly #agents = new Map<ClientIdentity | undefined, { readonly agent: Agent; usedAtMs: number }>();
  #isClosed = false;

  constructor(options: GuardedAgentsOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** The agent for who shows this certificate; for those who show none, without one. */
  of(identity?: ClientIdentity): Agent {
    const usedAtMs = this.#nowMs();
    const known = this.#agents.get(identity);
    if (known !== undefined) {
      known.usedAtMs = usedAtMs;
      return known.agent;
    }
    this.#dropUnused(usedAtMs);
    const agent = new Agent({
      // The deadlines are their users': undici's begin anew with every chunk, so that a drip would never end.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: createGuardedConnector({ ...this.#options, ...(identity === undefined ? {} : { identity }) }),
      maxHeaderSize: MAX_HEADER_BYTES,
      pipelining: 1,
    });
    this.#agents.set(identity, { agent, usedAtMs });
    if (this.#isClosed) void agent.close();
    return agent;
  }

  /** One request. It ends with the signal also while its connection is being opened, when undici would not hear it. */
  async request(
    request: Dispatcher.RequestOptions & { readonly origin: string; readonly signal: AbortSignal },
    identity?: ClientIdentity,
  ): Promise<Dispatcher.ResponseData> {
    const { signal } = request;
    const over = new Promise<never>((_, reject) =>
      signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
    );
    return await Promise.race([this.of(identity).request(request), over]);
  }

  /** Ends idle connections, and waits for requests in flight. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#agents.values()].map(({ agent }) => agent.close()));
  }

  /** Whoever does use one again gets another. */
  #dropUnused(nowMs: number): void {
    for (const [identity, { agent, usedAtMs }] of this.#agents) {
      if (nowMs - usedAtMs < UNUSED_MS) continue;
      this.#agents.delete(identity);
      void agent.close();
    }
  }
}
