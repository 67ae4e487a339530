import type { HttpAttempt, Poster } from '../../src/webhook/attempt.ts';
import { NetworkPolicy } from '../../src/webhook/network-policy.ts';

/** The outcome of one POST. */
export function attemptOf(
  poster: Poster,
  url: URL | string,
  headers: string[],
  body: string | Buffer,
  mostMs = 60_000,
): Promise<HttpAttempt> {
  return new Promise((resolve) => poster.post(new URL(url), { headers, body }, mostMs, resolve));
}

/** Allows what tests need: servers on this machine, by http, on any port. */
export const THIS_MACHINE = new NetworkPolicy({
  allowHttp: true,
  allowAddresses: ['127.0.0.0/8', '::1'],
  allowPorts: ['1-65535'],
});
