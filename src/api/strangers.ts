import { isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { Refused } from './refusal.ts';

/** Headers by which proxies, load balancers and tunnels say whom they ask for. */
const PASSED_ON =
  /^(?:forwarded|via|x-forwarded.*|x-original-.*|x-real-ip|cf-.*|cdn-loop|x-envoy-.*|x-amzn-trace-id|x-cluster-client-ip|(?:.*-)?(?:client|connecting|user|remote)-?ip)$/;

/**
 * Whether somebody else asked, and a proxy on this machine passed it on, as far as it shows. One that speaks HTTP/1.1 and adds nothing does not:
 * what is behind a proxy needs a secret. Proxies that are configured with nothing often speak HTTP/1.0, which hardly anybody else does.
 */
export function isPassedOn({ headers, raw }: FastifyRequest): boolean {
  return raw.httpVersion === '1.0' || Object.keys(headers).some((name) => PASSED_ON.test(name));
}

/** Without keys, a page that somebody on this machine has open must not be able to ask: it comes from elsewhere, or asks by another name. */
export function refuseStrangers(request: FastifyRequest): void {
  const { headers } = request;
  if (isPassedOn(request))
    throw new Refused(
      403,
      'PassedOn',
      'The API has no keys, so it is for this machine only, and for nothing that a proxy passes on. Make a key with: triggers secrets new --api-key',
    );
  const name = (headers.host ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  if (!isLoopback(name))
    throw new Refused(403, 'WrongHost', 'The API is not asked by that name. Use 127.0.0.1 or localhost.');
  const site = headers['sec-fetch-site'];
  const isElsewhere = site !== undefined && site !== 'same-origin' && site !== 'none';
  if (isElsewhere || (headers.origin !== undefined && headers.origin !== `http://${headers.host ?? ''}`))
    throw new Refused(403, 'WrongOrigin', 'Pages of other sites may not ask.');
}

export function isLoopback(host: string): boolean {
  if (isIP(host) === 0) return host.toLowerCase() === 'localhost';
  return host === '::1' || host.startsWith('127.');
}
