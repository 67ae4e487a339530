import type { LookupFunction } from 'node:net';
import { createSecureContext } from 'node:tls';
import { buildConnector } from 'undici';
import { ATTEMPT_CODES } from '../domain/attempt-codes.ts';
import { boundAnswers } from './answer-bound.ts';
import { trustedAuthorities } from './certificate-authorities.ts';
import type { ClientIdentity } from './client-identity.ts';
import { type LookUp, sharedLookUp } from './look-up.ts';
import { type ConnectionPolicy, NOT_PUBLIC } from './network-policy.ts';
import { openTunnel } from './tunnel.ts';

/** A connection was refused by us, before anything was sent. */
export class AddressRefused extends Error {
  override readonly name = 'AddressRefused';
  readonly code = ATTEMPT_CODES.addressRefused;
}

export interface GuardOptions {
  readonly policy: ConnectionPolicy;
  /** For connecting, TLS and a proxy together. */
  readonly timeoutMs: number;
  /** Default: the one that all share. */
  readonly lookUp?: LookUp;
  /** Shown to whoever asks for it when a TLS connection is opened. */
  readonly identity?: ClientIdentity;
  /** Most bytes on the wire in answer to one request. Default 1 MiB: more than an endpoint has to say. */
  readonly maxAnswerBytes?: number;
}

/**
 * The only way out of a worker: an undici connector that judges where a connection goes at the moment at which it is opened. Names are
 * looked up in here and nowhere else, so that an answer which changes between a check and the connection gets nowhere.
 */
export function createGuardedConnector(options: GuardOptions): buildConnector.connector {
  const { policy, timeoutMs, identity, maxAnswerBytes } = options;
  const lookUp = guardedLookUp(policy, options.lookUp ?? sharedLookUp);
  // One for all connections: it takes 16 ms to make when authorities are added to the system's.
  const trust = { ca: trustedAuthorities(policy.certificateAuthorities), minVersion: 'TLSv1.2' } as const;
  const secureContext = createSecureContext({
    ...trust,
    ...(identity && { cert: identity.certificate, key: identity.key, passphrase: identity.passphrase }),
  });
  // Who we are is for the endpoint to know, and not for the proxy on the way there.
  const toProxy = identity === undefined || policy.proxy === undefined ? secureContext : createSecureContext(trust);
  const connect = buildConnector({
    timeout: timeoutMs,
    lookup: lookUp,
    secureContext,
    // Stronger than NODE_TLS_REJECT_UNAUTHORIZED; nothing of ours turns it off.
    rejectUnauthorized: true,
    allowH2: false,
  });
  return (to, callback) => {
    const opened: buildConnector.Callback = (...[error, socket]) => {
      if (error !== null) return callback(error, null);
      boundAnswers(socket, maxAnswerBytes);
      // Of TLS 1.3 also what is said of our certificate comes when the connection is open, and undici would tell its end only, not why.
      socket.once('error', (reason) => socket.destroy(reason));
      callback(null, socket);
    };
    const refusal = policy.refusalOf(to);
    if (refusal !== undefined) {
      opened(new AddressRefused(refusal), null);
      return;
    }
    if (policy.proxy !== undefined) {
      openTunnel(policy.proxy, to, { lookUp, timeoutMs, secureContext: toProxy }, (error, socket) => {
        if (error !== null) opened(error, null);
        else if (to.protocol === 'https:') connect({ ...to, httpSocket: socket }, opened);
        else opened(null, socket);
      });
      return;
    }
    connect(to, (...[error, socket]) => {
      if (error !== null) {
        opened(error, null);
        return;
      }
      // The last word: what the socket really is connected to.
      if (policy.allowsAddress(socket.remoteAddress ?? '')) {
        opened(null, socket);
        return;
      }
      socket.destroy();
      opened(new AddressRefused(NOT_PUBLIC), null);
    });
  };
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
      else if (all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}
