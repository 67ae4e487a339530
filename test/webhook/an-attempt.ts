import type { Socket } from 'node:net';
import { type Recorder, type RecorderOptions, startRecorder } from '../../demo/recorder.ts';
import { createPoster, type HttpAttempt, type Poster, type PosterOptions } from '../../src/webhook/attempt.ts';
import { GuardedAgents, type GuardedAgentsOptions } from '../../src/network/guarded-agents.ts';
import { type LookUp, NetworkPolicy } from '../../src/network/network-policy.ts';
import { afterwards, startRawServer } from './a-server.ts';

/** A time limit far longer than any answer takes that comes. */
export const PATIENT_MS = 20_000;
/** A time limit for what never comes. */
export const IMPATIENT_MS = 200;

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
export function aPoster({
  keeps,
  ...options
}: Partial<GuardedAgentsOptions> & Pick<PosterOptions, 'keeps'> = {}): Poster {
  const reaching = { timeoutMs: PATIENT_MS, policy: THIS_MACHINE, ...options };
  const poster = createPoster({ agents: new GuardedAgents(reaching), timeoutMs: reaching.timeoutMs, keeps });
  // A test may have closed it itself.
  afterwards(() => poster.close().catch(() => undefined));
  return poster;
}

/** The outcome of one POST of JSON to this machine. */
export function post(url: URL | string, timeoutMs = PATIENT_MS): Promise<HttpAttempt> {
  return attemptOf(aPoster({ timeoutMs }), url, ['content-type', 'application/json'], '{"a":1}');
}

/** The outcome of an answer that is sent exactly as given. */
export async function postToRaw(answer: string | ((socket: Socket) => void), timeoutMs?: number): Promise<HttpAttempt> {
  const server = await startRawServer(
    typeof answer === 'string' ? (socket) => socket.end(Buffer.from(answer, 'latin1')) : answer,
  );
  return await post(server.url, timeoutMs);
}

/** An endpoint until the test is over. */
export async function aReceiver(options?: RecorderOptions): Promise<Recorder> {
  const receiver = await startRecorder(options);
  afterwards(() => receiver.close());
  return receiver;
}
