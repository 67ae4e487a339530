import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Pool } from 'undici';
import { stringifyJson } from '../src/domain/json.ts';
import type { EventTrigger } from '../src/contract/trigger.ts';

/** Makes each call once, so many at a time, and says how many a second were answered, and how long each took, in ms. */
export async function manyAtOnce<T>(
  items: Iterable<T>,
  atOnce: number,
  call: (item: T) => Promise<unknown>,
): Promise<{ readonly perS: number; readonly latenciesMs: readonly number[] }> {
  const latenciesMs: number[] = [];
  const rest = items[Symbol.iterator]();
  const lane = async (): Promise<void> => {
    for (let next = rest.next(); next.done !== true; next = rest.next()) {
      const calledAt = performance.now();
      await call(next.value);
      latenciesMs.push(performance.now() - calledAt);
    }
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: atOnce }, lane));
  return { perS: (latenciesMs.length * 1000) / (performance.now() - startedAt), latenciesMs };
}

/** Makes so many calls a second, whether those before were answered or not; when each was made, by person. */
export async function steadily<T extends { readonly user: string }>(
  items: Iterable<T>,
  perSecond: number,
  call: (item: T) => Promise<void>,
): Promise<Map<string, bigint>> {
  const calledAtNs = new Map<string, bigint>();
  const calls: Promise<void>[] = [];
  const startedAt = performance.now();
  for (const item of items) {
    const due = startedAt + (calls.length * 1000) / perSecond;
    await sleep(Math.max(0, due - performance.now()));
    calledAtNs.set(item.user, process.hrtime.bigint());
    calls.push(call(item));
  }
  await Promise.all(calls);
  return calledAtNs;
}

/** The HTTP API as it is shipped and run, in a process of its own, and who asks it. */
export interface BenchApi {
  readonly pid: number;
  /** Resolves once Temporal has them. */
  send(jobId: string, triggers: EventTrigger | readonly EventTrigger[]): Promise<void>;
  close(): Promise<void>;
}

export async function openApi(address: string, connections: number): Promise<BenchApi> {
  const main = fileURLToPath(new URL('../lib/app/main.js', import.meta.url));
  const nodeOptions = process.execArgv.filter((arg) => arg.startsWith('--cpu-prof')); // So that it can be profiled.
  const api: ChildProcess = spawn(process.execPath, [...nodeOptions, main, 'api', '--port', '0', '--json'], {
    env: { ...process.env, TEMPORAL_ADDRESS: address },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface(api.stdout!), 'line')) as [string]; // Its output is a pipe, and comes in lines.
  const pool = new Pool((JSON.parse(line) as { apiUrl: string }).apiUrl, { connections }); // As `api --json` says it.
  return {
    pid: api.pid ?? 0,
    send: async (jobId, triggers) => {
      const { statusCode, body } = await pool.request({
        method: 'POST',
        path: `/v1/jobs/${jobId}/triggers`,
        headers: { 'content-type': 'application/json' },
        body: stringifyJson(triggers),
      });
      const text = await body.text();
      if (statusCode !== 202) throw new Error(`The API answered ${statusCode}: ${text}`);
    },
    close: async () => {
      await pool.close();
      const exited = once(api, 'exit');
      api.kill('SIGTERM');
      await exited;
    },
  };
}
