import { once } from 'node:events';
import type { FastifyReply } from 'fastify';

/** How often something is said when nothing happens, in ms: proxies cut off what is silent. */
const ALIVE_MS = 15_000;
/** How often it is asked whether whoever listens may still do so, in ms. */
const ASK_MS = 1_000;

/** An answer of server-sent events, from its begin to its end. */
export interface EventStream {
  /** Aborted when nobody listens any more, or may, or the API is being ended. */
  readonly signal: AbortSignal;
  /** Resolves once there is room for more. */
  readonly say: (event: string, data: unknown) => Promise<void>;
  readonly end: () => void;
}

/** Begins such an answer: from here on, nothing else can be answered. */
export function eventStream(reply: FastifyReply, closing: AbortSignal, mayStill: () => boolean): EventStream {
  const { raw } = reply;
  const gone = new AbortController();
  raw.once('close', () => gone.abort());
  const signal = AbortSignal.any([gone.signal, closing]);
  reply.hijack();
  const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-store' };
  raw.writeHead(200, { ...headers, 'x-content-type-options': 'nosniff' });
  raw.flushHeaders();
  let saidAt = Date.now();
  const timer = setInterval(() => {
    if (!mayStill()) gone.abort();
    else if (Date.now() - saidAt > ALIVE_MS) {
      raw.write(': still here\n\n');
      saidAt = Date.now();
    }
  }, ASK_MS);
  return {
    signal,
    say: async (event, data) => {
      if (signal.aborted) return;
      saidAt = Date.now();
      const hasRoom = raw.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      if (!hasRoom && !signal.aborted) await once(raw, 'drain', { signal }).catch(() => undefined);
    },
    end: () => {
      clearInterval(timer);
      raw.end();
    },
  };
}
