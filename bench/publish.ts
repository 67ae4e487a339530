// npx tsx bench/publish.ts [--triggers 100000 --jobs 3] : NDJSON through the built `triggers push` to every job that listens. Says how fast, what
// memory the push took while it went on, and what did not arrive. Needs /proc, and a build (npm run build).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { SoakEndpoint } from '../chaos/soak-endpoint.ts';
import { SoakLedger } from '../chaos/soak-ledger.ts';
import { openStage, type Stage } from '../chaos/stage.ts';
import { optionsOf } from '../chaos/options.ts';

const values = optionsOf('npx tsx bench/publish.ts', { triggers: 1_000_000, jobs: 1 });
const TRIGGERS = values.triggers;
const PEOPLE = 5_000;
const LOOK_MS = 2_000;
const DRAIN_MS = 15 * 60_000;
const MIB = 1024 ** 2;

function* linesOf(stage: Stage): Generator<string> {
  for (let i = 0; i < TRIGGERS; i++) {
    const user = stage.people[i % PEOPLE]?.user ?? '';
    const event = Math.floor(i / PEOPLE) % 2 === 0 ? 'enter' : 'exit';
    // Read by the ledger: the number of a trigger is in its nanoseconds.
    const at = `2026-01-01T00:00:00.${String(i).padStart(9, '0')}Z`;
    yield `${JSON.stringify({ event, audience: 'vip', user, at })}\n`;
  }
}

/** Runs the command, and looks at its memory again and again, in MiB. */
async function push(stage: Stage, file: string): Promise<{ seconds: number; rssMiB: number[]; output: string }> {
  const main = fileURLToPath(new URL('../lib/app/main.js', import.meta.url));
  const startedAt = performance.now();
  const child = spawn(process.execPath, [main, 'push', '--file', file, '--json'], {
    env: { ...process.env, TEMPORAL_ADDRESS: stage.server.address },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const ended = once(child, 'close');
  const rssMiB: number[] = [];
  while (child.exitCode === null && child.signalCode === null) {
    const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
    const kib = /VmRSS:\s+(\d+)/.exec(status)?.[1];
    if (kib !== undefined) rssMiB.push(Math.round((Number(kib) * 1024) / MIB));
    await Promise.race([ended, sleep(LOOK_MS)]);
  }
  await ended;
  return { seconds: (performance.now() - startedAt) / 1000, rssMiB, output: output.trim() };
}

async function main(): Promise<void> {
  const ledgers = Array.from({ length: values.jobs }, () => new SoakLedger(TRIGGERS, PEOPLE));
  const endpoints = await Promise.all(ledgers.map((ledger) => SoakEndpoint.reserve(ledger)));
  const stage = await openStage({
    people: PEOPLE,
    workers: 2,
    origins: endpoints.map(({ url }) => new URL(url).origin),
  });
  try {
    for (const [i, endpoint] of endpoints.entries()) {
      await endpoint.heal();
      const job = { label: 'Publish', audiences: ['vip'], webhookUrl: endpoint.url, authorization: null };
      await stage.jobs.start({ ...job, parallelRequestCount: 20 }, { jobId: `publish-${i}` });
    }
    const file = join(stage.folder, 'changes.ndjson');
    await pipeline(Readable.from(linesOf(stage)), createWriteStream(file));
    await sleep(2_000); // Until the list of jobs shows them.
    const { seconds, rssMiB, output } = await push(stage, file);
    const pushedAt = performance.now();
    const isMissing = () => ledgers.some(({ lost }) => lost > 0);
    while (isMissing() && performance.now() - pushedAt < DRAIN_MS) await sleep(100);
    const arrived = ledgers.map(({ lost, duplicates, outOfOrder }) => ({ lost, duplicates, outOfOrder }));
    console.log(
      JSON.stringify({
        pushed: JSON.parse(output) as unknown,
        seconds: Math.round(seconds),
        readPerSecond: Math.round(TRIGGERS / seconds),
        rssMiB,
        secondsToLastArrivalAfterThat: Math.round((performance.now() - pushedAt) / 1000),
        arrived,
        crashes: stage.fleet.crashes,
      }),
    );
  } finally {
    await stage.close();
    await Promise.all(endpoints.map((endpoint) => endpoint.close()));
  }
}

await main();
