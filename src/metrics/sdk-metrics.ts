import { once } from 'node:events';
import { createServer } from 'node:net';

const HOST = '127.0.0.1';
/** The exporter is in this process; a scrape of all waits no longer for it. */
const ANSWER_MS = 2_000;

/** An address of this machine alone that nobody listens on now, for the exporter of the Temporal SDK, which must be told one. */
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

/** What the SDK's exporter at this address tells, to stand behind our own metrics, so that there is one thing to scrape. */
export async function readSdkMetrics(address: string): Promise<string> {
  const answer = await fetch(`http://${address}/metrics`, { signal: AbortSignal.timeout(ANSWER_MS) });
  return await answer.text();
}
