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

const NO_KEYS =
  'The API has no keys, so it is for this machine only, and for nothing that a proxy passes on. Make a key with: triggers secrets new --api-key';

/**
 * Without keys, a page that somebody on this machine has open must not be able to ask: it comes from elsewhere, or asks by another name.
 * @param passedOn what is said of a request that a proxy passed on.
 */
export function refuseStrangers(request: FastifyRequest, passedOn = NO_KEYS): void {
  const { headers } = request;
  if (isPassedOn(request)) throw new Refused(403, 'PassedOn', passedOn);
  const name = (headers.host ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  if (!isLoopback(name))
    throw new Refused(403, 'WrongHost', 'The API is not asked by that name. Use 127.0.0.1 or localhost.');
  if (headers.origin !== undefined && headers.origin !== `http://${headers.host ?? ''}`) throw new OfAnotherPage();
  refuseOtherPages(request);
}

/**
 * Refuses what a page of another site asks for, as browsers say it; one that only follows a link from there to a page of ours may, since the other
 * sees nothing of it. Programs say nothing of the kind.
 * @throws Refused
 */
export function refuseOtherPages(request: FastifyRequest): void {
  const { headers } = request;
  const site = headers['sec-fetch-site'];
  if (site !== undefined) {
    if (site !== 'same-origin' && site !== 'none' && !isFollowedLink(request)) throw new OfAnotherPage();
    return;
  }
  // Browsers leave that out where the connection is not safe. A proxy may have put its own name in the place of the one that was asked.
  const { origin, host, 'x-forwarded-host': asked } = headers;
  if (origin === undefined) return;
  const from = hostOf(origin);
  if (from === undefined || (from !== host && from !== asked)) throw new OfAnotherPage();
}

function isFollowedLink({ headers, method, routeOptions }: FastifyRequest): boolean {
  const isToPage = headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
  return isToPage && method === 'GET' && routeOptions.config.right === undefined;
}

function hostOf(origin: string): string | undefined {
  return /^https?:\/\/([^/]+)$/.exec(origin)?.[1];
}

class OfAnotherPage extends Refused {
  constructor() {
    super(403, 'WrongOrigin', 'Pages of other sites may not ask.');
  }
}

export function isLoopback(host: string): boolean {
  if (isIP(host) === 0) return host.toLowerCase() === 'localhost';
  return host === '::1' || host.startsWith('127.');
}
