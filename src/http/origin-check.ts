/** The parts of a request that tell who sent it. */
export interface AskedBy {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly httpVersion: string;
  readonly method?: string | undefined;
}

/** Why a request is not from this machine itself, or is from a page of another origin. */
export type OriginFault = 'PassedOn' | 'WrongHost' | 'WrongOrigin';

/** Headers by which proxies, load balancers and tunnels name the client. */
const PASSED_ON =
  /^(?:forwarded|via|x-forwarded.*|x-original-.*|x-real-ip|cf-.*|cdn-loop|x-envoy-.*|x-amzn-trace-id|x-cluster-client-ip|(?:.*-)?(?:client|connecting|user|remote)-?ip)$/;

/**
 * Whether a proxy on this machine passed the request on for somebody else, as far as it shows. A proxy that speaks HTTP/1.1 and adds
 * nothing does not show, so a server behind a proxy needs a secret. Unconfigured proxies often speak HTTP/1.0, which hardly any other
 * client does.
 */
export function isProxied({ headers, httpVersion }: AskedBy): boolean {
  return httpVersion === '1.0' || Object.keys(headers).some((name) => PASSED_ON.test(name));
}

/**
 * Returns why a request may not have what is for this machine only: a proxy passed it on, or a page open in a browser here sent it. A page
 * shows by its origin or, after DNS rebinding, by the host name that it asks for.
 *
 * @param isPage whether another page may link here, since that page cannot see the answer.
 */
export function originFault(by: AskedBy, isPage: boolean): OriginFault | undefined {
  return isProxied(by) ? 'PassedOn' : pageFault(by, isPage);
}

/** The same, for a server that also answers requests through a proxy. */
export function pageFault(by: AskedBy, isPage: boolean): 'WrongHost' | 'WrongOrigin' | undefined {
  const { host = '', origin } = by.headers;
  const name = String(host)
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1');
  if (!isLoopback(name)) return 'WrongHost';
  const isOther = origin !== undefined && origin !== `http://${String(host)}`;
  return isOther || isOfOtherPage(by, isPage) ? 'WrongOrigin' : undefined;
}

/** Whether a page of another site asks, as browsers say it. Programs say nothing of the kind. */
export function isOfOtherPage(by: AskedBy, isPage: boolean): boolean {
  const { origin, host, 'sec-fetch-site': site, 'x-forwarded-host': forwardedHost } = by.headers;
  if (site !== undefined) return site !== 'same-origin' && site !== 'none' && !(isPage && isFollowedLink(by));
  // Browsers leave that out where the connection is not secure. A proxy may have replaced the requested host name with its own.
  if (origin === undefined) return false;
  const from = hostOf(String(origin));
  return from === undefined || (from !== host && from !== forwardedHost);
}

function isFollowedLink({ headers, method }: AskedBy): boolean {
  return method === 'GET' && headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
}

function hostOf(origin: string): string | undefined {
  return /^https?:\/\/([^/]+)$/.exec(origin)?.[1];
}

/** @param host an address without brackets, or a name. */
export function isLoopback(host: string): boolean {
  return host.toLowerCase() === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}
