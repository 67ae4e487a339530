import { Agent } from 'undici';
import { createGuardedConnector, type LookUp } from './guarded-connector.ts';
import type { ConnectionPolicy } from './network-policy.ts';

/** What a client shows of itself when a TLS connection is opened. One object is one identity. */
export interface ClientIdentity {
  /** PEM, perhaps with the chain behind it. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
  readonly passphrase?: string | undefined;
}

export interface GuardedAgentsOptions {
  /** Longest time, in ms, for opening a connection. */
  readonly timeoutMs: number;
  /** Where connections may go. */
  readonly policy: ConnectionPolicy;
  /** Default: the system's. */
  readonly lookUp?: LookUp;
  /** Most bytes on the wire in answer to one request. Default 1 MiB. */
  readonly maxAnswerBytes?: number;
}

/** Most bytes of an answer's headers, all together. */
const MAX_HEADER_BYTES = 16 * 1024;

/** The connections that every request of a worker goes over, whatever it is for: guarded, and never shared between identities. */
export class GuardedAgents {
  readonly #options: GuardedAgentsOptions;
  readonly #agents = new Map<ClientIdentity | undefined, Agent>();
  #isClosed = false;

  constructor(options: GuardedAgentsOptions) {
    this.#options = options;
  }

  /** The agent for who shows this certificate; for those who show none, without one. */
  of(identity?: ClientIdentity): Agent {
    const known = this.#agents.get(identity);
    if (known !== undefined) return known;
    const agent = new Agent({
      // The deadlines are their users': undici's begin anew with every chunk, so that a drip would never end.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: createGuardedConnector({ ...this.#options, ...(identity === undefined ? {} : { identity }) }),
      maxHeaderSize: MAX_HEADER_BYTES,
      pipelining: 1,
    });
    this.#agents.set(identity, agent);
    if (this.#isClosed) void agent.close();
    return agent;
  }

  /** Ends idle connections, and waits for requests in flight. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#agents.values()].map((agent) => agent.close()));
  }
}
