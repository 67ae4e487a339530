import { request as httpRequest } from 'node:http';
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext } from 'node:tls';
import { ATTEMPT_CODES } from '../domain/attempt-codes.ts';
import { type Destination, literalOf, portOf } from './network-policy.ts';

/** The proxy did not open a tunnel: it cannot be reached, or refuses. */
export class ProxyFailed extends Error {
  override readonly name = 'ProxyFailed';
  readonly code = ATTEMPT_CODES.proxyFailed;
}

/** The proxy answered that it cannot reach the host. This counts as a failure of the host, not of the proxy. */
export class HostUnreached extends Error {
  override readonly name = 'HostUnreached';
  readonly code = ATTEMPT_CODES.unreachedByProxy;
}

/** What a proxy answers when it cannot reach the host: 502, 503, 504 (RFC 9110, 15.6). */
const UNREACHED: ReadonlySet<number | undefined> = new Set([502, 503, 504]);

function failureOf(statusCode: number | undefined): Error {
  return UNREACHED.has(statusCode)
    ? new HostUnreached(`The proxy answered ${statusCode}: it cannot reach the host.`)
    : new ProxyFailed(`The proxy answered ${statusCode} instead of opening a tunnel.`);
}

export interface TunnelOptions {
  readonly lookUp: LookupFunction;
  /** Longest time, in ms, until the proxy has opened the tunnel. */
  readonly timeoutMs: number;
  readonly secureContext: SecureContext;
}

/**
 * Opens a tunnel through an HTTP proxy (CONNECT, RFC 9110 §9.3.6) to an address that was looked up and checked here: if the proxy looked names up
 * itself, the check would be bypassed.
 */
export function openTunnel(
  proxy: URL,
  to: Destination,
  options: TunnelOptions,
  callback: (...outcome: [Error, null] | [null, Socket]) => void,
): void {
  const through = (address: string) => {
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
