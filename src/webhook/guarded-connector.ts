import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { createSecureContext } from 'node:tls';
import { buildConnector } from 'undici';
import { ATTEMPT_CODES } from '../domain/attempt-codes.ts';
import { AnswerBound } from './answer-bound.ts';
import { trustedAuthorities } from './certificate-authorities.ts';
import type { ClientIdentity } from './client-identity.ts';
import { type LookUp, sharedLookUp } from './look-up.ts';
import { type ConnectionPolicy, NOT_PUBLIC, portOf } from './network-policy.ts';
import { TLS_TERMS } from './tls-terms.ts';
import { openTunnel, type TunnelOptions } from './tunnel.ts';

/** A connection was refused by us, before anything was sent. */
export class AddressRefused extends Error {
  override readonly name = 'AddressRefused';
  readonly code = ATTEMPT_CODES.addressRefused;
}

export interface GuardOptions {
  readonly policy: ConnectionPolicy;
  /** Longest time, in ms, for reaching the address, by way of a proxy or not, and as long again for TLS. */
  readonly timeoutMs: number;
  /** Default: the one that all share. */
  readonly lookUp?: LookUp;
  /** Shown to whoever asks for it when a TLS connection is opened. */
  readonly identity?: ClientIdentity;
  /** Most bytes on the wire in answer to one request. Default 1 MiB: more than an endpoint has to say. */
  readonly maxAnswerBytes?: number;
}

/** Most addresses of a name, of each family, that one connection is tried to. */
const MOST_TRIED = 4;

/**
 * The only way out of a worker: an undici connector that judges where a connection goes at the moment at which it is opened. Names are
 * looked up in here and nowhere else, so that an answer which changes between a check and the connection gets nowhere.
 */
export function createGuardedConnector(options: GuardOptions): buildConnector.connector {
  const { policy, timeoutMs, identity, maxAnswerBytes } = options;
  // One for all connections: it takes 16 ms to make when authorities are added to the system's.
  const trust = { ca: trustedAuthorities(policy.certificateAuthorities), ...TLS_TERMS };
  const secureContext = createSecureContext({
    ...trust,
    ...(identity && { cert: identity.certificate, key: identity.key, passphrase: identity.passphrase }),
  });
  // Who we are is for the endpoint to know, and not for the proxy on the way there.
  const toProxy = identity === undefined || policy.proxy === undefined ? secureContext : createSecureContext(trust);
  const lookUp = guardedLookUp(policy, options.lookUp ?? sharedLookUp);
  const reach =
    policy.proxy === undefined
      ? directly(policy, timeoutMs, lookUp)
      : byWayOf(policy.proxy, { timeoutMs, lookUp, secureContext: toProxy });
  // Verification is said, which is stronger than NODE_TLS_REJECT_UNAUTHORIZED; nothing of ours turns it off.
  const secure = buildConnector({ timeout: timeoutMs, secureContext, rejectUnauthorized: true, allowH2: false });
  return (to, callback) => {
    const refusal = policy.refusalOf(to);
    if (refusal !== undefined) {
      callback(new AddressRefused(refusal), null);
      return;
    }
    reach(to, (...[error, wire]) => {
      if (error !== null) return callback(error, null);
      const bound = new AnswerBound(wire, maxAnswerBytes);
      const opened = forAnswers(bound, callback);
      if (to.protocol !== 'https:') return opened(null, wire);
      bound.expectTls();
      secure({ ...to, httpSocket: wire }, opened);
    });
  };
}

function forAnswers(bound: AnswerBound, callback: buildConnector.Callback): buildConnector.Callback {
  return (...[error, socket]) => {
    if (error !== null) return callback(error, null);
    bound.expectAnswers(socket);
    // An error of TLS comes also when the connection is open: what is said of our certificate, say. Node only tells it, and undici waits for an end,
    // of which it would not know the reason, or sends its next request.
    socket.once('error', (reason) => socket.destroy(reason));
    callback(null, socket);
  };
}

/** Opens connections to whatever host it is told. */
function directly(policy: ConnectionPolicy, timeoutMs: number, lookup: LookupFunction): buildConnector.connector {
  const connect = buildConnector({ timeout: timeoutMs, lookup });
  return (to, callback) =>
    connect({ ...to, protocol: 'http:', port: portOf(to) }, (...[error, socket]) => {
      if (error !== null) return callback(error, null);
      // The last word: what the socket really is connected to.
      if (policy.allowsAddress(socket.remoteAddress ?? '')) return callback(null, socket);
      socket.destroy();
      callback(new AddressRefused(NOT_PUBLIC), null);
    });
}

function byWayOf(proxy: URL, options: TunnelOptions): buildConnector.connector {
  return (to, callback) => openTunnel(proxy, to, options, callback);
}

/** A name with one forbidden answer is refused whole: it would be tried as soon as the good ones do not answer. */
function guardedLookUp(policy: ConnectionPolicy, lookUp: LookUp): LookupFunction {
  return (hostname, { all, family }, callback) => {
    const wanted = family === 4 || family === 6 ? { family } : {};
    lookUp(hostname, { all: true, ...wanted }, (error, addresses) => {
      const [first] = addresses ?? [];
      if (error !== null) callback(error, '', 0);
      else if (first === undefined || !addresses.every(({ address }) => policy.allowsAddress(address)))
        callback(new AddressRefused(NOT_PUBLIC), '', 0);
      else if (all === true) callback(null, fewOf(addresses));
      else callback(null, first.address, first.family);
    });
  };
}

/** A connection is tried to one address after another: whoever owns a name could have us knock at thousands, of whomever. */
function fewOf(addresses: readonly LookupAddress[]): LookupAddress[] {
  let [fours, sixes] = [0, 0];
  return addresses.filter(({ family }) => (family === 6 ? ++sixes : ++fours) <= MOST_TRIED);
}
