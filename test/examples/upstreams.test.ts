import { execFile, spawn, spawnSync, type SpawnSyncOptions } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Lab } from '../support/lab.ts';
import { temporal } from '../support/temporal.ts';
import { Way } from '../support/way.ts';
import { tempFolder } from '../support/temp-folder.ts';

const upstreams = fileURLToPath(new URL('../../examples/upstreams', import.meta.url));
const USER = '7076027172059065053';
/** The first build of Go's SDK on a machine takes a minute. */
const LONG_MS = 240_000;
const cleanUps: (() => Promise<unknown>)[] = [];
let lab: Lab;

beforeAll(async () => {
  lab = await Lab.open({ receiver: { keepBodies: true } });
  for (const user of [USER, ...examples.map(({ language }) => `patient-${language}`)]) lab.source.setProfile(user, {});
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});
afterAll(async () => lab.close());

interface Upstream {
  readonly language: string;
  /** What it needs and is not there; undefined when all is there. */
  readonly missing: string | undefined;
  /** Program and first arguments; may build first. */
  readonly program: () => Promise<readonly [string, ...string[]]>;
  /** Its environment, for a server whose API is at this address. */
  readonly env: (hostAndPort: string) => Readonly<Record<string, string>>;
  readonly api: 'gRPC' | 'HTTP';
  /** Arguments and input for one trigger, and for many that are given as JSON. */
  readonly one: (job: string, event: string, one: Signalled) => Call;
  readonly many: (job: string, triggers: readonly string[]) => Call;
}

interface Call {
  readonly args: readonly string[];
  readonly input: string;
}

interface Signalled {
  readonly audience: string;
  readonly user: string;
  readonly at: string;
}

/** One trigger as arguments, many as NDJSON. */
const byLines: Pick<Upstream, 'one' | 'many'> = {
  one: (job, event, { audience, user, at }) => ({ args: [job, event, audience, user, at], input: '' }),
  many: (job, triggers) => ({ args: [job], input: triggers.map((one) => `${one}\n`).join('') }),
};

const python = process.env['UPSTREAM_PYTHON'] ?? 'python3';
const goFolder = join(upstreams, 'go');
/** No test fetches anything: what is not in the module cache is missing. */
const goOffline = { ...process.env, GOPROXY: 'off', GOFLAGS: '-mod=readonly', GOTOOLCHAIN: 'local' };

const examples: readonly Upstream[] = [
  {
    language: 'Python',
    missing: runs(python, ['-c', 'import temporalio.envconfig'])
      ? undefined
      : 'Python with its SDK: pip install -r examples/upstreams/python/requirements.txt; of another interpreter, set UPSTREAM_PYTHON',
    program: async () => [python, join(upstreams, 'python', 'upstream.py')],
    env: (address) => ({ TEMPORAL_ADDRESS: address }),
    api: 'gRPC',
    ...byLines,
  },
  {
    language: 'Go',
    missing: runs('go', ['list', '-deps', '.'], { cwd: goFolder, env: goOffline })
      ? undefined
      : 'Go 1.26 with the modules: cd examples/upstreams/go && go mod download',
    program: buildGo,
    env: (address) => ({ TEMPORAL_ADDRESS: address }),
    api: 'gRPC',
    ...byLines,
  },
  {
    language: 'curl',
    missing: runs('curl', ['--version']) ? undefined : 'curl',
    program: async () => [join(upstreams, 'curl', 'upstream.sh')],
    env: (address) => ({ TEMPORAL_HTTP: `http://${address}` }),
    api: 'HTTP',
    one: (job, event, one) => ({ args: [job, event], input: JSON.stringify(one) }),
    many: (job, triggers) => ({ args: [job, 'triggers'], input: `[${triggers.join(',')}]` }),
  },
];

describe.each(examples)('the upstream in $language', (upstream) => {
  const { language, missing, program, env, api, one, many } = upstream;
  const addressOf = { gRPC: temporal.address, HTTP: new URL(temporal.httpUrl).host };
  const promise = missing === undefined ? test : test.skip;
  if (missing !== undefined)
    process.stderr.write(`SKIPPED: the upstream in ${language} is not tried. Missing is ${missing}.\n`);

  promise(
    'signals one and many in their order, with all digits; all of it once more is sent no second time',
    async () => {
      const command = await program();
      const job = await lab.start({ parallelRequestCount: 5 });
      const calls = [
        one(job, 'enter', { audience: 'vip', user: USER, at: at(1) }),
        one(job, 'exit', { audience: 'vip', user: USER, at: at(2) }),
        many(job, BATCH),
      ];
      for (const times of [1, 2]) {
        for (const { args, input } of calls) {
          const { code, stderr } = await run(command, args, { env: env(addressOf[api]), input }).end;
          expect({ code, stderr }).toMatchObject({ code: 0 });
        }
        const received = times * (2 + BATCH.length);
        await lab.statusWhen(job, (status) => status.received === received && status.waiting === 0);
      }
      const status = await lab.jobs.status(job);
      const { rejected, delivered, repeated } = status;
      expect({ rejected, delivered, repeated }).toEqual({
        rejected: 0,
        delivered: 2 + BATCH.length,
        repeated: 2 + BATCH.length,
      });
      const arrivals = lab.receiver.ledger.entries.filter(({ body }) => body?.includes(status.subscriptionId));
      const told = arrivals.filter(({ message }) => message?.user === USER);
      expect(told.map(({ message }) => [message?.event, message?.at])).toEqual([
        ['enter', at(1)],
        ['exit', at(2)],
        ['enter', at(3)],
        ['exit', at(4)],
        ['enter', at(5)],
      ]);
      expect(arrivals).toHaveLength(2 + BATCH.length);
      expect(told.at(-1)?.body).toContain('"points":9007199254740993');
    },
    LONG_MS,
  );

  // The one over HTTP passes on what it is given.
  (missing === undefined && api === 'gRPC' ? test : test.skip)(
    'puts hundreds of triggers into a signal, and no more than 64 KiB',
    async () => {
      const command = await program();
      const job = await lab.start({ parallelRequestCount: 20 });
      const lines = Array.from({ length: 3_000 }, (_, i) => trigger('enter', `many-${i}`, 1, '"name":"Zoë"'));
      const { args, input } = many(job, lines);
      expect((await run(command, args, { env: env(addressOf[api]), input }).end).code).toBe(0);
      await lab.statusWhen(job, ({ received }) => received === lines.length);
      const { events } = await lab.handle(job).fetchHistory();
      const sizes = (events ?? []).flatMap(
        ({ workflowExecutionSignaledEventAttributes: signal }) => signal?.input?.payloads?.[0]?.data?.length ?? [],
      );
      expect(Math.max(...sizes)).toBeLessThanOrEqual(64 * 1024);
      expect(sizes.length).toBeLessThan(lines.length / 100);
    },
    LONG_MS,
  );

  promise(
    'asks again until Temporal answers',
    async () => {
      const command = await program();
      const job = await lab.start();
      const way = new Way(addressOf[api]);
      cleanUps.push(() => way.close());
      await way.open();
      await way.close();
      const user = `patient-${language}`;
      const { args, input } = one(job, 'enter', { audience: 'vip', user, at: at(1) });
      const running = run(command, args, { env: env(way.address), input });
      await running.says('waiting for Temporal');
      await way.open();
      expect((await running.end).code).toBe(0);
      await lab.arrives(user);
    },
    LONG_MS,
  );

  promise(
    'says at once that a job does not run, and what is no trigger',
    async () => {
      const command = await program();
      const ask = async ({ args, input }: Call) => await run(command, args, { env: env(addressOf[api]), input }).end;
      const gone = await ask(one('no-such-job', 'enter', { audience: 'vip', user: USER, at: at(1) }));
      expect(gone.code).toBe(1);
      expect(gone.stderr).toContain('export-job-no-such-job');
      if (api === 'HTTP') return; // That one passes on what it is given.
      for (const fields of ['"user":7,"at":"2026-11-25T08:30:00Z"', '"user":"7"']) {
        const line = `{"event":"enter","audience":"vip",${fields}}`;
        const wrong = await ask({ args: ['no-such-job'], input: `${line}\n` });
        expect(wrong.code).toBe(1);
        expect(wrong.stderr).toMatch(/line 1: .* as text/);
      }
    },
    LONG_MS,
  );
});

function at(nanoseconds: number): string {
  return `2026-11-25T08:30:00.${String(nanoseconds).padStart(9, '0')}Z`;
}

/** 403 triggers: three changes of the one person among 400 others, the last with a number that no double holds. */
const BATCH: readonly string[] = [
  change('enter', 3),
  ...Array.from({ length: 400 }, (_, i) => trigger('enter', `other-${i}`, 3)),
  change('exit', 4),
  trigger('enter', USER, 5, '"points":9007199254740993'),
];

function change(event: string, nanoseconds: number): string {
  return trigger(event, USER, nanoseconds);
}

function trigger(event: string, user: string, nanoseconds: number, fields = ''): string {
  return `{"event":"${event}","audience":"vip","user":"${user}","at":"${at(nanoseconds)}","profile":{${fields}}}`;
}

function runs(program: string, args: readonly string[], options: SpawnSyncOptions = {}): boolean {
  return spawnSync(program, args, options).status === 0;
}

async function buildGo(): Promise<readonly [string]> {
  const folder = tempFolder();
  const program = join(folder, 'upstream');
  await promisify(execFile)('go', ['build', '-o', program, '.'], { cwd: goFolder, env: goOffline });
  return [program];
}

/** Runs a program; `end` has its exit code, `says` waits for a text on standard error. */
function run(
  [program, ...first]: readonly [string, ...string[]],
  args: readonly string[],
  { env, input }: { readonly env: Readonly<Record<string, string>>; readonly input: string },
) {
  const child = spawn(program, [...first, ...args], { env: { ...process.env, ...env } });
  let stderr = '';
  const heard = new Set<() => void>();
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
    for (const listen of heard) listen();
  });
  // One that refuses what it is given ends without reading it.
  child.stdin.on('error', () => undefined).end(input);
  const end = once(child, 'close').then(([code]) => ({ code: code as unknown, stderr }));
  const says = (wanted: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => stderr.includes(wanted) && resolve();
      heard.add(look);
      look();
      void end.then(() => reject(new Error(`It ended without saying "${wanted}": ${stderr}`)));
    });
  cleanUps.push(async () => {
    child.kill();
    await end;
  });
  return { end, says };
}
