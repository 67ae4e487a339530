import { Agent, request } from 'undici';
import type { Endpoint } from './endpoint.ts';

/** What undici alone does with so many requests in flight: the limit that everything else is held against, in requests a second. */
export async function rawRate(
  endpoint: Endpoint,
  { requests, inFlight, delayMs = 0, body }: { requests: number; inFlight: number; delayMs?: number; body: string },
): Promise<number> {
  const dispatcher = new Agent();
  const done = endpoint.expect(requests, { delayMs });
  let left = requests;
  const startedAtNs = process.hrtime.bigint();
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (left-- > 0) {
        const answer = await request(endpoint.url, {
          dispatcher,
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
        });
        await answer.body.dump();
      }
    }),
  );
  const { lastAtNs } = await done;
  await dispatcher.close();
  return (requests * 1e9) / Number(BigInt(lastAtNs) - startedAtNs);
}
