import { once } from 'node:events';
import { createServer } from 'node:net';

const HOST = '127.0.0.1';
/** How long, in ms, a scrape waits for the exporter, which is in this process. */
const ANSWER_MS = 2_000;

/** A free loopback address, for the exporter of the Temporal SDK, which has to be given one. */
export async function freeAddress(): Promise<string> {
  const server = createServer();
  await once(server.listen(0, HOST), 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('There is no free port.');
  const closed = once(server, 'close');
  server.close();
  await closed;
  return `${HOST}:${address.port}`;
}

/** What the SDK's exporter at this address exposes, to be appended to our own metrics, so that there is only one thing to scrape. */
export async function readSdkMetrics(address: string): Promise<string> {
  const answer = await fetch(`http://${address}/metrics`, { signal: AbortSignal.timeout(ANSWER_MS) });
  return await answer.text();
}
