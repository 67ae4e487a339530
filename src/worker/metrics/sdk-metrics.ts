/** How long, in ms, a scrape waits for the exporter, which is in this process. */
const ANSWER_MS = 2_000;

/** What the SDK's exporter at this address exposes, to be appended to our own metrics, so that there is only one thing to scrape. */
export async function readSdkMetrics(address: string): Promise<string> {
  const answer = await fetch(`http://${address}/metrics`, { signal: AbortSignal.timeout(ANSWER_MS) });
  return await answer.text();
}
