import { Agent, type Dispatcher } from 'undici';
import type { ClientIdentity } from './client-identity.ts';
import { createGuardedConnector } from './guarded-connector.ts';
import type { LookUp } from './look-up.ts';
import type { ConnectionPolicy } from './network-policy.ts';

export interface GuardedAgentsOptions {
  /** Longest time, in ms, for opening a connection. */
  readonly timeoutMs: number;
  /** Decides where connections may go. */
  readonly policy: ConnectionPolicy;
  /** Default: the one shared by all connections of the process. */
  readonly lookUp?: LookUp;
  /** Default: `performance.now()`. */
  readonly nowMs?: () => number;
  /** Most bytes on the wire in answer to one request. Default 1 MiB. */
  readonly maxAnswerBytes?: number;
}

/** An identity that was not used for this long may have been replaced. Each costs half a megabyte when certificate authorities were added. */
const UNUSED_MS = 10 * 60_000;

/** Most bytes of all headers of an answer together. */
const MAX_HEADER_BYTES = 16 * 1024;

/** The connections that every request of a worker uses, whatever its purpose: guarded, and never shared between identities. */
export class GuardedAgents {
  readonly #options: GuardedAgentsOptions;
  readonly #nowMs: () => number;
  readonly #agents = new Map<ClientIdentity | undefined, { readonly agent: Agent; usedAtMs: number }>();
  #isClosed = false;

  constructor(options: GuardedAgentsOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** The agent whose connections present this identity; without an identity, the one whose connections present none. */
  of(identity?: ClientIdentity): Agent {
    const usedAtMs = this.#nowMs();
    const known = this.#agents.get(identity);
    if (known !== undefined) {
      known.usedAtMs = usedAtMs;
      return known.agent;
    }
    this.#dropUnused(usedAtMs);
    const agent = new Agent({
      // Callers set the deadlines: undici's own start again with every chunk, so an answer that trickles in would never time out.
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

  /** One request. The signal also ends it while its connection is being opened, when undici would ignore it. */
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

  /** Closes idle connections and waits for requests in flight. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#agents.values()].map(({ agent }) => agent.close()));
  }

  /** If one of them is used again after all, it gets a new agent. */
  #dropUnused(nowMs: number): void {
    for (const [identity, { agent, usedAtMs }] of this.#agents) {
      if (nowMs - usedAtMs < UNUSED_MS) continue;
      this.#agents.delete(identity);
      void agent.close();
    }
  }
}
