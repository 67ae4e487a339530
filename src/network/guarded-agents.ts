import type { LookupAddress } from 'node:dns';
import { request as httpRequest } from 'node:http';
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls';
import { Agent, buildConnector, type Dispatcher } from 'undici';
import { ATTEMPT_CODES } from '../domain/verdict.ts';
import {
  type ConnectionPolicy,
  type Destination,
  literalOf,
  type LookUp,
  NOT_PUBLIC,
  OURS,
  portOf,
  sharedLookUp,
} from './network-policy.ts';
import type { ClientIdentity } from '../webhook/authorization.ts';
import { TLS_TERMS, trustedAuthorities } from './tls.ts';

/** The proxy did not open a tunnel: it cannot be reached, or refuses. */
class ProxyFailed extends Error {
  override readonly name = 'ProxyFailed';
  readonly code = ATTEMPT_CODES.proxyFailed;
}

/** The proxy answered that it cannot reach the host. This counts as a failure of the host, not of the proxy. */
class HostUnreached extends Error {
  override readonly name = 'HostUnreached';
  readonly code = ATTEMPT_CODES.unreachedByProxy;
}

/** A proxy's statuses when it cannot reach the host: 502, 503, 504 (RFC 9110, 15.6). */
const UNREACHED: ReadonlySet<number | undefined> = new Set([502, 503, 504]);

function failureOf(statusCode: number | undefined): Error {
  return UNREACHED.has(statusCode)
    ? new HostUnreached(`The proxy answered ${statusCode}: it cannot reach the host.`)
    : new ProxyFailed(`The proxy answered ${statusCode} instead of opening a tunnel.`);
}

export interface TunnelOptions {
  /** Judges the address that a name resolved to, together with the port. */
  readonly policy: ConnectionPolicy;
  readonly lookUp: LookupFunction;
  /** Longest time, in ms, until the proxy has opened the tunnel. */
  readonly timeoutMs: number;
  readonly secureContext: SecureContext;
}

/**
 * Opens a tunnel through an HTTP proxy (CONNECT, RFC 9110 §9.3.6) to an address that was looked up and checked here. If the proxy looked names up
 * itself, the check would be bypassed.
 */
function openTunnel(
  proxy: URL,
  to: Destination,
  options: TunnelOptions,
  callback: (...outcome: [Error, null] | [null, Socket]) => void,
): void {
  const through = (address: string) => {
    if (options.policy.isOurs(address, Number(portOf(to)))) return callback(new AddressRefused(OURS), null);
    const target = `${isIP(address) === 6 ? `[${address}]` : address}:${portOf(to)}`;
    const request = httpRequest({
      createConnection: () => connectToProxy(proxy, options.secureContext),
      method: 'CONNECT',
      path: target,
      headers: { host: target, ...credentials(proxy) },
    });
    // One timer for all of it, because Node's own timeout starts again with every byte.
    const timer = setTimeout(
      () => request.destroy(new ProxyFailed('The proxy did not answer in time.')),
      options.timeoutMs,
    );
    request.once('connect', ({ statusCode }, socket) => {
      clearTimeout(timer);
      if (statusCode !== undefined && statusCode >= 200 && statusCode < 300) return callback(null, socket);
      socket.destroy();
      callback(failureOf(statusCode), null);
    });
    request.once('error', (error) => {
      clearTimeout(timer);
      callback(new ProxyFailed('The proxy cannot be reached.', { cause: error }), null);
    });
    request.end();
  };
  const literal = literalOf(to.hostname);
  if (literal !== undefined) through(literal);
  else
    options.lookUp(to.hostname, { all: true }, (error, addresses) => {
      const [first] = Array.isArray(addresses) ? addresses : [];
      if (error !== null || first === undefined) callback(error ?? new ProxyFailed('The name has no address.'), null);
      else through(first.address);
    });
}

/** Verified by the proxy's own name, which the operator chose and which is not checked against the policy. Node alone would use the target's name. */
function connectToProxy(proxy: URL, secureContext: SecureContext): Socket {
  const host = literalOf(proxy.hostname) ?? proxy.hostname;
  if (proxy.protocol !== 'https:') return connectTcp({ host, port: Number(proxy.port || 80) });
  const servername = isIP(host) === 0 ? host : '';
  return connectTls({ host, port: Number(proxy.port || 443), servername, secureContext, rejectUnauthorized: true });
}

function credentials({ username, password }: URL): { 'proxy-authorization'?: string } {
  if (username === '') return {};
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(pair).toString('base64')}` };
}

/** The worker refused to open a connection; nothing was sent. */
class AddressRefused extends Error {
  override readonly name = 'AddressRefused';
  readonly code = ATTEMPT_CODES.addressRefused;
}

export interface GuardOptions {
  readonly policy: ConnectionPolicy;
  /** Longest time, in ms, to reach the address, directly or through a proxy, and the same again for TLS. */
  readonly timeoutMs: number;
  /** Default: the one shared by all connections of the process. */
  readonly lookUp?: LookUp;
  /** Presented to a server that asks for it when a TLS connection is opened. */
  readonly identity?: ClientIdentity;
  /** Most bytes on the wire in answer to one request. Default 1 MiB, more than any real answer. */
  readonly maxAnswerBytes?: number;
}

/** Most addresses per family of one name that are tried for one connection. */
const MOST_TRIED = 4;

/**
 * The only way out of a worker: an undici connector that checks where a connection goes at the moment it is opened. Names are looked up in here and
 * nowhere else. A DNS answer that changes between a check and the connection (DNS rebinding) therefore achieves nothing.
 */
export function createGuardedConnector(options: GuardOptions): buildConnector.connector {
  const { policy, timeoutMs, identity, maxAnswerBytes } = options;
  // One for all connections, since it takes 16 ms to make when certificate authorities were added.
  const trust = { ca: trustedAuthorities(policy.certificateAuthorities), ...TLS_TERMS };
  const secureContext = createSecureContext({
    ...trust,
    ...(identity && { cert: identity.certificate, key: identity.key, passphrase: identity.passphrase }),
  });
  // The client certificate is for the endpoint only, not for a proxy on the way to it.
  const toProxy = identity === undefined || policy.proxy === undefined ? secureContext : createSecureContext(trust);
  const lookUp = guardedLookUp(policy, options.lookUp ?? sharedLookUp);
  const reach =
    policy.proxy === undefined
      ? directly(policy, timeoutMs, lookUp)
      : byWayOf(policy.proxy, { policy, timeoutMs, lookUp, secureContext: toProxy });
  // Verification is set explicitly, which overrides NODE_TLS_REJECT_UNAUTHORIZED. None of our settings turns it off.
  const secure = buildConnector({ timeout: timeoutMs, secureContext, rejectUnauthorized: true, allowH2: false });
  return (to, callback) => {
    const failed = afterwards(callback);
    const refusal = policy.refusalOf(to);
    if (refusal !== undefined) return failed(new AddressRefused(refusal));
    reach(to, (...[error, wire]) => {
      if (error !== null) return failed(error);
      const bound = new AnswerBound(wire, maxAnswerBytes);
      const opened = forAnswers(bound, callback);
      if (to.protocol !== 'https:') return opened(null, wire);
      bound.expectTls();
      secure({ ...to, httpSocket: wire }, opened);
    });
  };
}

/** Reports a failure after the call that asked for the connection has returned. A failure within that call would count as undici's own. */
function afterwards(callback: buildConnector.Callback): (error: Error) => void {
  return (error) => void setImmediate(callback, error, null);
}

function forAnswers(bound: AnswerBound, callback: buildConnector.Callback): buildConnector.Callback {
  return (...[error, socket]) => {
    if (error !== null) return callback(error, null);
    bound.expectAnswers(socket);
    readPastContinue(socket);
    // A TLS error can also arrive on an open connection, for example when the server rejects our certificate. Node only emits it. Otherwise undici
    // would wait for the connection to end without knowing the reason, or send its next request over it.
    socket.once('error', (reason) => socket.destroy(reason));
    callback(null, socket);
  };
}

/** Opens connections straight to the destination. */
function directly(policy: ConnectionPolicy, timeoutMs: number, lookup: LookupFunction): buildConnector.connector {
  const connect = buildConnector({ timeout: timeoutMs, lookup });
  return (to, callback) =>
    connect({ ...to, protocol: 'http:', port: portOf(to) }, (...[error, socket]) => {
      if (error !== null) return callback(error, null);
      // The final check: what the socket is really connected to.
      const address = socket.remoteAddress ?? '';
      const isOurs = policy.isOurs(address, Number(portOf(to)));
      if (!isOurs && policy.allowsAddress(address)) return callback(null, socket);
      socket.destroy();
      callback(new AddressRefused(isOurs ? OURS : NOT_PUBLIC), null);
    });
}

function byWayOf(proxy: URL, options: TunnelOptions): buildConnector.connector {
  return (to, callback) => openTunnel(proxy, to, options, callback);
}

/** Refuses a name even if only one of its addresses is forbidden. The socket would try that address as soon as the others do not answer. */
function guardedLookUp(policy: ConnectionPolicy, lookUp: LookUp): LookupFunction {
  return (hostname, { all, family }, callback) => {
    const ofFamily = family === 4 || family === 6 ? { family } : {};
    lookUp(hostname, { all: true, ...ofFamily }, (error, addresses) => {
      const [first] = addresses ?? [];
      if (error !== null) callback(error, '', 0);
      else if (first === undefined || !addresses.every(({ address }) => policy.allowsAddress(address)))
        callback(new AddressRefused(NOT_PUBLIC), '', 0);
      else if (all === true) callback(null, fewOf(addresses));
      else callback(null, first.address, first.family);
    });
  };
}

/** Addresses are tried one after another. Without a limit, the owner of a name could make the worker connect to thousands of other people's hosts. */
function fewOf(addresses: readonly LookupAddress[]): LookupAddress[] {
  let [fours, sixes] = [0, 0];
  return addresses.filter(({ family }) => (family === 6 ? ++sixes : ++fours) <= MOST_TRIED);
}

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

const CONTINUE = Buffer.from('HTTP/1.1 100');
const END_OF_HEAD = '\r\n\r\n';

/**
 * Lets undici read past a `100 Continue` that it did not ask for, as RFC 9110, 15.2 demands. Servers and the proxies in front of them do send it.
 * While undici reads past every other interim answer (1xx), it takes a 100 for the end of the connection. A 100 at the start of an answer is
 * therefore changed to 102 before undici parses it. If its head arrives in pieces, it still ends the connection, and the request is retried.
 */
function readPastContinue(socket: Socket): void {
  let answered = socket.bytesWritten;
  // Node passes arrived bytes to `push`, after TLS has decrypted them.
  const push = socket.push.bind(socket);
  socket.push = (chunk: Buffer | null, encoding) => {
    // Only one request is in flight at a time. The first bytes after a write begin its answer, and the bytes after a 100 begin it again.
    if (chunk !== null && socket.bytesWritten !== answered) {
      let at = 0;
      while (CONTINUE.equals(chunk.subarray(at, at + CONTINUE.length))) {
        chunk.write('2', at + CONTINUE.length - 1);
        const end = chunk.indexOf(END_OF_HEAD, at);
        at = end === -1 ? chunk.length : end + END_OF_HEAD.length;
      }
      if (at < chunk.length) answered = socket.bytesWritten;
    }
    return push(chunk, encoding);
  };
}

/** An endpoint sent more in answer to one request than any answer could need. */
class AnswerTooLong extends Error {
  override readonly name = 'AnswerTooLong';
  readonly code = ATTEMPT_CODES.answerTooLong;
}

/** Default for the most bytes on the wire in answer to one request. The longest body that is read takes 384 KiB when sent in chunks of one byte. */
const MAX_WIRE_BYTES = 1024 * 1024;
/** How often a TLS connection is measured, since it may receive bytes that nothing reads. */
const MEASURE_MS = 100;

/**
 * Closes a connection on which an endpoint keeps sending data that no other limit counts: informational answers, a reason phrase, chunk extensions,
 * empty lines. In TLS that is possible even without a request: session tickets, key updates, padding. Otherwise such an endpoint would keep a
 * processor of the worker busy until the deadline.
 */
class AnswerBound {
  readonly #wire: Socket;
  readonly #maxBytes: number;
  #socket: Socket;
  #requestEnd = 0;
  #seen = 0;
  #answerStart = 0;

  /** @param wire the socket that the bytes arrive on. */
  constructor(wire: Socket, maxBytes = MAX_WIRE_BYTES) {
    this.#wire = wire;
    this.#socket = wire;
    this.#maxBytes = maxBytes;
  }

  /** Call this before TLS begins. Much of the data then never reaches a reader, so a timer measures it. */
  expectTls(): void {
    const timer = setInterval(() => {
      if (this.#wire.destroyed) clearInterval(timer);
      else this.#measure();
    }, MEASURE_MS).unref();
  }

  /** @param socket that requests are written to and answers read from: the wire itself, or TLS over it. */
  expectAnswers(socket: Socket): void {
    this.#socket = socket;
    socket.on('readable', () => this.#measure());
  }

  #measure(): void {
    // Only one request is in flight at a time, so whatever arrives after a write answers it.
    if (this.#socket.bytesWritten !== this.#requestEnd) {
      this.#requestEnd = this.#socket.bytesWritten;
      this.#answerStart = this.#seen;
    }
    this.#seen = this.#wire.bytesRead;
    if (this.#seen - this.#answerStart > this.#maxBytes)
      this.#socket.destroy(new AnswerTooLong('The answer is too long.'));
  }
}

/** Reads a body as a whole; undefined as soon as it has more than `maxBytes`. */
export async function wholeBody(body: AsyncIterable<Buffer>, maxBytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}
