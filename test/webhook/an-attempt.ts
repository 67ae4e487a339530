import { type Receiver, type ReceiverOptions, startReceiver } from '../../src/local/receiver.ts';
import { createPoster, type HttpAttempt, type Poster } from '../../src/webhook/attempt.ts';
import type { GuardedAgentsOptions } from '../../src/webhook/guarded-agents.ts';
import { type LookUp, NetworkPolicy } from '../../src/webhook/network-policy.ts';
import { afterwards } from './a-server.ts';

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

/** Every name is one of this machine. */
export const onThisMachine: LookUp = (_, __, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]);

/** Posts to this machine unless it is told otherwise, until the test is over. */
export function aPoster(options: Partial<GuardedAgentsOptions> = {}): Poster {
  const poster = createPoster({ timeoutMs: 20_000, policy: THIS_MACHINE, ...options });
  // A test may have closed it itself.
  afterwards(() => poster.close().catch(() => undefined));
  return poster;
}

/** An endpoint until the test is over. */
export async function aReceiver(options?: ReceiverOptions): Promise<Receiver> {
  const receiver = await startReceiver(options);
  afterwards(() => receiver.close());
  return receiver;
}
