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

/** The worker refused to open a connection; nothing was sent. */
export class AddressRefused extends Error {
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
 * The only way out of a worker: an undici connector that checks where a connection goes at the moment it is opened. Names are looked up in here
 * and nowhere else, so a DNS answer that changes between a check and the connection (DNS rebinding) achieves nothing.
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
      : byWayOf(policy.proxy, { timeoutMs, lookUp, secureContext: toProxy });
  // Verification is set explicitly, which overrides NODE_TLS_REJECT_UNAUTHORIZED. None of our settings turns it off.
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
    // A TLS error can also arrive on an open connection, for example when the server rejects our certificate. Node only emits it, and undici would
    // wait for the connection to end without knowing the reason, or send its next request over it.
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
      if (policy.allowsAddress(socket.remoteAddress ?? '')) return callback(null, socket);
      socket.destroy();
      callback(new AddressRefused(NOT_PUBLIC), null);
    });
}

function byWayOf(proxy: URL, options: TunnelOptions): buildConnector.connector {
  return (to, callback) => openTunnel(proxy, to, options, callback);
}

/** A name is refused if only one of its addresses is forbidden: that one would be tried as soon as the others do not answer. */
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

/** Addresses are tried one after another, so whoever owns a name could otherwise make the worker connect to thousands of strangers' hosts. */
function fewOf(addresses: readonly LookupAddress[]): LookupAddress[] {
  let [fours, sixes] = [0, 0];
  return addresses.filter(({ family }) => (family === 6 ? ++sixes : ++fours) <= MOST_TRIED);
}
