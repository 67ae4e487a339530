// npx tsx chaos/unproved.ts [--seconds 60] : callers who have proved nothing send the HTTP API, as it is built, all that they can, while others send
// triggers with the right key. None of these may be refused, and 99 of 100 are answered within 500 ms. Prints what it saw; exits 1 when that does not hold.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import { hashOf } from '../src/api/callers.ts';
import { startRecorder } from '../demo/recorder.ts';
import { optionsOf } from './options.ts';
import { Program } from './program.ts';
import { openStage, type Stage } from './stage.ts';

const values = optionsOf('npx tsx chaos/unproved.ts', {
  seconds: 60,
  /** Triggers a second, with the right key, for each of the jobs in turn. */
  rate: 20,
  jobs: 10,
  /** Of the API; loopback only. */
  port: 22_080,
});
const P99_MS = 500;
const QUIET_S = 10;
const KEY = randomBytes(24).toString('hex');
const jobId = (i: number): string => `unproved-${i % values.jobs}`;
const URL_OF_API = `http://127.0.0.1:${values.port}`;
const CALLERS = fileURLToPath(new URL('unproved-callers.ts', import.meta.url));
const INGESTS = {
  signed: { preset: 'segment', signature: { secret: randomBytes(24).toString('hex') } },
  standard: { preset: 'standard', signature: { secret: `whsec_${randomBytes(24).toString('base64')}` } },
  named: { preset: 'segment', header: { name: 'x-key', value: randomBytes(24).toString('hex') } },
};

interface Seen {
  readonly sent: number;
  /** By status, or "no answer", all but 202. */
  readonly refused: Readonly<Record<string, number>>;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly worstMs: number;
  /** Of `/healthz`, which waits for nothing but the API's own thread. */
  readonly healthP99Ms: number;
}

/** The share of these times that is not longer, in ms. */
function share(times: readonly number[], of: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  return Math.round(sorted[Math.floor((sorted.length - 1) * of)] ?? 0);
}

async function watchHealth(until: AbortSignal): Promise<number[]> {
  const times: number[] = [];
  while (!until.aborted) {
    const began = performance.now();
    await request(`${URL_OF_API}/healthz`).then(async ({ body }) => await body.dump());
    times.push(performance.now() - began);
    await sleep(50);
  }
  return times;
}

/** Sends triggers at a steady rate, whether or not those before were answered. */
async function sendProved(seconds: number, stage: Stage): Promise<Seen> {
  const times: number[] = [];
  const refused: Record<string, number> = {};
  const sending: Promise<void>[] = [];
  const send = async (i: number): Promise<void> => {
    const { user } = stage.people[i % stage.people.length]!;
    const began = performance.now();
    const outcome = await request(`${URL_OF_API}/v1/jobs/${jobId(i)}/triggers`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ event: i % 2 === 0 ? 'enter' : 'exit', audience: 'vip', user }),
    }).then(
      async ({ statusCode, body }) => {
        await body.dump();
        return statusCode;
      },
      () => 'no answer',
    );
    times.push(performance.now() - began);
    if (outcome !== 202) refused[outcome] = (refused[outcome] ?? 0) + 1;
  };
  const over = new AbortController();
  const health = watchHealth(over.signal);
  const beganAt = performance.now();
  for (let i = 0; i < seconds * values.rate; i++) {
    await sleep(Math.max(0, beganAt + (i * 1000) / values.rate - performance.now()));
    sending.push(send(i));
  }
  await Promise.all(sending);
  over.abort();
  const [p50Ms, p99Ms, worstMs] = [share(times, 0.5), share(times, 0.99), share(times, 1)];
  return { sent: times.length, refused, p50Ms, p99Ms, worstMs, healthP99Ms: share(await health, 0.99) };
}

const receiver = await startRecorder();
const stage = await openStage({ people: 500, workers: 1, origins: [new URL(receiver.url).origin] });
const config = join(stage.folder, 'api.config.json');
const apiKeys = { sender: { hash: `sha256:${hashOf(KEY)}`, may: ['trigger'] } };
writeFileSync(config, JSON.stringify({ apiKeys, ingests: INGESTS }));
const env = { ...process.env, TRIGGERS_CONFIG: config, TEMPORAL_ADDRESS: stage.server.address };
const api = await Program.start(['api', '--port', String(values.port), '--json'], env);
let isKept = false;
try {
  const definition = { label: 'Unproved', audiences: ['vip'], webhookUrl: receiver.url, authorization: null };
  for (let i = 0; i < values.jobs; i++) await stage.jobs.start(definition, { jobId: jobId(i) });
  const quiet = await sendProved(Math.min(QUIET_S, values.seconds), stage);
  console.log(JSON.stringify({ quiet }));
  const callers = spawn(process.execPath, ['--import', 'tsx', CALLERS, URL_OF_API, String(values.seconds)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(callers, 'exit');
  const [flooded, answers] = await Promise.all([sendProved(values.seconds, stage), text(callers.stdout), ended]);
  console.log(JSON.stringify({ flooded, answers: JSON.parse(answers.trim().split('\n').at(-1) ?? '{}') as unknown }));
  isKept = flooded.p99Ms < P99_MS && Object.keys(flooded.refused).length === 0;
  console.log(isKept ? `ok: none refused, p99 ${flooded.p99Ms} ms` : `NOT KEPT: within ${P99_MS} ms, none refused`);
} finally {
  await api.kill();
  await stage.close();
  await receiver.close();
}
process.exit(isKept ? 0 : 1);
