// The endpoint of every case, in a process of its own: counts, and says when what was awaited has come.
import { createServer } from 'node:http';

export type ToReceiver = Await | { readonly kind: 'count' };

interface Await {
  readonly kind: 'await';
  /** Triggers. */
  readonly requests: number;
  readonly delayMs: number;
  readonly times: boolean;
  /** Whether bodies are lists, whose elements are counted. */
  readonly lists: boolean;
}

export type FromReceiver =
  | { readonly kind: 'ready'; readonly port: number }
  | {
      readonly kind: 'counted';
      /** Requests since the last count. */
      readonly requests: number;
      /** The longest that none came meanwhile, up to now. */
      readonly longestGapMs: number;
    }
  | {
      readonly kind: 'done';
      /** Of the shared monotonic clock, in ns as text: BigInt does not travel. */
      readonly lastAtNs: string;
      readonly mostInFlight: number;
      readonly bodyBytes: number;
      /** With `times`: arrival by person. */
      readonly arrivals: Readonly<Record<string, string>>;
    };

let awaited = 0;
let delayMs = 0;
let keepsTimes = false;
let takesLists = false;
let seen = 0;
let inFlight = 0;
let mostInFlight = 0;
let bodyBytes = 0;
let arrivals: Record<string, string> = {};
let counted = 0;
let lastAtMs = performance.now();
let longestGapMs = 0;

const server = createServer((request, response) => {
  inFlight++;
  mostInFlight = Math.max(mostInFlight, inFlight);
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    if (delayMs === 0) answer();
    else setTimeout(answer, delayMs);
  });

  function answer(): void {
    inFlight--;
    counted++;
    noteGap();
    const before = seen;
    seen += takesLists ? elementsIn(Buffer.concat(chunks).toString()) : 1;
    for (const chunk of chunks) bodyBytes += chunk.length;
    if (keepsTimes) arrivals[userOf(Buffer.concat(chunks).toString())] = process.hrtime.bigint().toString();
    response.end();
    if (seen < awaited || before >= awaited) return;
    const message: FromReceiver = {
      kind: 'done',
      lastAtNs: process.hrtime.bigint().toString(),
      mostInFlight,
      bodyBytes,
      arrivals,
    };
    process.send?.(message);
  }
});

function noteGap(): void {
  const nowMs = performance.now();
  longestGapMs = Math.max(longestGapMs, nowMs - lastAtMs);
  lastAtMs = nowMs;
}

function count(): void {
  noteGap();
  const message: FromReceiver = { kind: 'counted', requests: counted, longestGapMs };
  [counted, longestGapMs] = [0, 0];
  process.send?.(message);
}

function elementsIn(body: string): number {
  return body.split('"segment_events":').length - 1;
}

function userOf(body: string): string {
  return /^\{"id":"([^"]*)"/.exec(body)?.[1] ?? '';
}

process.on('message', (message: ToReceiver) => {
  if (message.kind === 'count') return count();
  ({ requests: awaited, delayMs, times: keepsTimes, lists: takesLists } = message);
  [seen, mostInFlight, bodyBytes, arrivals] = [0, 0, 0, {}];
});
process.on('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  const message: FromReceiver = {
    kind: 'ready',
    port: typeof address === 'object' && address !== null ? address.port : 0,
  };
  process.send?.(message);
});
