import { InvalidWatch } from '../src/features/watch/errors.ts';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CommandUnknownOpts, Option } from '@commander-js/extra-typings';
import { afterAll, expect, test } from '@jest/globals';
import { Dice } from '../demo/dice.ts';
import { collect } from '../src/cli/options.ts';
import { createProgram, run } from '../src/app/program.ts';
import { InvalidFilter, InvalidRequest, PublishInterrupted } from '../src/client/calls/errors.ts';
import { ExportJobs } from '../src/app/export-jobs.ts';
import { configuredPayloadKeys, configuredTaskQueue } from '../src/config/file.ts';
import { loadConfig } from '../src/app/config.ts';
import { ConfigError } from '../src/config/problems.ts';
import { VARIABLES } from '../src/config/problems.ts';
import { JOB_FIELDS } from '../src/contract/export-job.ts';
import {
  readBackfillRequest,
  readEdit,
  readNothing,
  readRedeliverRequest,
  readStopRequest,
  type RequestReading,
} from '../src/domain/requests.ts';
import { aTerminal } from './cli/a-terminal.ts';
import { NOBODY, ServerAsked } from './client/an-easy-worker.ts';
import { RIGHT } from './contract/a-mistake.ts';
import { tries } from './support/properties.ts';
import { tempFolder } from './support/temp-folder.ts';
import { readWatchChange } from '../src/features/watch/sandbox/change.ts';

// What goes in by any door is what was meant, or it is refused: keys that are misspelt, missing, doubled or too many, and values of another type.
// Nothing here needs a server: what is wrong has to be refused before anybody is asked.

/** Another seed tries other mistakes: DOORS_SEED=7. */
const SEED = Number(process.env['DOORS_SEED'] ?? 13);
const dice = new Dice(SEED);
const tried = new Map<string, number>();

const folder = tempFolder();
afterAll(() => {
  const counts = [...tried].map(([door, times]) => `${times} of ${door}`);
  const all = [...tried.values()].reduce((sum, times) => sum + times, 0);
  process.stdout.write(`${all} tries at the doors with seed ${SEED}: ${counts.join(', ')}\n`);
});

function count(door: string): void {
  tried.set(door, (tried.get(door) ?? 0) + 1);
}

type Json = Record<string, unknown>;

/** A name as somebody may misspell it. */
function misspelt(name: string, known: readonly string[]): string {
  for (;;) {
    const at = dice.between(0, name.length - 1);
    const [before, letter, after] = [name.slice(0, at), name.charAt(at), name.slice(at + 1)];
    const next = after.charAt(0);
    const wrong = dice.oneOf([
      before + after,
      before + letter + letter + after,
      before + next + letter + after.slice(1),
      before + dice.oneOf([...'abcdefghijklmnopqrstuvwxyz']) + after,
      before + (letter === letter.toUpperCase() ? letter.toLowerCase() : letter.toUpperCase()) + after,
      `${name}s`,
    ]);
    if (wrong !== '' && !known.includes(wrong)) return wrong;
  }
}

const JUNK: readonly unknown[] = [
  7,
  -1,
  0.5,
  NaN,
  1e300,
  '',
  ' ',
  'text',
  '5m',
  'true',
  true,
  false,
  null,
  [],
  {},
  ['a'],
  [7],
  { a: 1 },
];

/** One thing wrong with the keys of an object, or, by chance, with a value. */
function damaged(
  given: Readonly<Json>,
  known: readonly string[],
): { readonly wrong: Json; readonly isKeyWrong: boolean } {
  const keys = Object.keys(given);
  const kind = dice.oneOf(keys.length === 0 ? ['extra'] : ['misspelt', 'beside', 'extra', 'value']);
  const wrong = { ...given };
  if (kind === 'extra')
    wrong[dice.oneOf(['zz', 'job', '__proto', 'constructor', 'toString', '0', 'audience_', 'Null'])] = 1;
  else {
    const key = dice.oneOf(keys);
    const value = wrong[key];
    if (kind === 'misspelt') delete wrong[key];
    if (kind === 'value') wrong[key] = dice.oneOf(JUNK);
    else wrong[misspelt(key, known)] = value;
  }
  return { wrong, isKeyWrong: kind !== 'value' };
}

const isText = (most: number) => (value: unknown) =>
  typeof value === 'string' && value.trim() !== '' && value.length <= most;
const isTexts = (least: number) => (value: unknown) =>
  Array.isArray(value) && value.length >= least && value.every(isText(255));
const isNumber = (least: number, most: number) => (value: unknown) =>
  typeof value === 'number' && value >= least && value <= most;
const isWhole = (least: number, most: number) => (value: unknown) =>
  isNumber(least, most)(value) && Number.isInteger(value);
const isFlag = (value: unknown) => typeof value === 'boolean';

interface Update {
  readonly read: (args: readonly unknown[]) => RequestReading<object>;
  readonly right: Json;
  readonly meant: Readonly<Record<string, (value: unknown) => boolean>>;
}

const UPDATES: Readonly<Record<string, Update>> = {
  backfill: {
    read: readBackfillRequest,
    right: { requestId: 'r', audiences: ['vip'], sample: 5, action: 'start' },
    meant: {
      requestId: isText(255),
      audiences: isTexts(1),
      sample: isWhole(1, Number.MAX_SAFE_INTEGER),
      action: (value) => value === 'start',
    },
  },
  stop: {
    read: readStopRequest,
    right: { waiting: 'deliver', deadlineMs: 5_000 },
    meant: { waiting: (value) => value === 'deliver', deadlineMs: isNumber(0, 30 * 86_400_000) },
  },
  redeliver: { read: readRedeliverRequest, right: { force: true }, meant: { force: isFlag } },
  change: {
    read: readWatchChange,
    right: { everyMs: 5_000, existingUsers: true, largestExitPercent: 20 },
    meant: { everyMs: isWhole(1_000, 604_800_000), existingUsers: isFlag, largestExitPercent: isWhole(1, 100) },
  },
  edit: {
    read: readEdit,
    right: Object.fromEntries(Object.entries(RIGHT).filter(([key]) => key !== 'existingUsers')),
    // Their values are checked by a worker.
    meant: Object.fromEntries(JOB_FIELDS.map((key) => [key, () => true])),
  },
  pause: { read: readNothing, right: {}, meant: {} },
};

test('the argument of an update or a signal is taken as it is meant, or not at all', () => {
  for (const [name, { read, right, meant }] of Object.entries(UPDATES)) {
    expect(read([right])).toEqual({ ok: true, request: right });
    for (let i = 0; i < tries(200); i++) {
      const { wrong, isKeyWrong } = damaged(right, Object.keys(right));
      const args = dice.chance() < 0.1 ? [wrong, right] : [wrong];
      const reading = read(args);
      // Null says the same as nothing, as many languages write it; only an edit and a change say it to a field.
      const said = Object.entries(wrong).filter(([, value]) => value !== null || name === 'edit' || name === 'change');
      const isMeant = !isKeyWrong && args.length === 1 && said.every(([key, value]) => meant[key]?.(value) === true);
      if (reading.ok !== isMeant) throw new Error(`${name} ${JSON.stringify(args)}: ${JSON.stringify(reading)}`);
      if (reading.ok) expect(reading.request).toEqual(Object.fromEntries(said));
      count('updates and signals');
    }
    for (const junk of JUNK.filter((one) => typeof one !== 'object' || Array.isArray(one)))
      expect([name, junk, read([junk]).ok]).toEqual([name, junk, false]);
  }
});

const anything = (): undefined => undefined;
const signal = new AbortController().signal;
const filter = {
  jobId: 'a',
  user: '1',
  audience: 'vip',
  failure: 'HTTP 422',
  olderThan: new Date(),
  newerThan: new Date(0),
};
const decision = { confirm: anything, onProgress: anything, signal };
const push = { onProgress: anything, patienceMs: 5, gatherMs: 5, signal };

const COUNTS = { theirs: 2, members: 2, both: 1, enters: 1, exits: 1 };
const A_DIFFERENCE = {
  id: '0c1f6a6e-8a31-4c56-9d0a-3f1f9f3f2a10',
  audience: { id: 'a'.repeat(32), slug: 'vip', name: 'VIP' },
  ...COUNTS,
  first: { enters: ['1'], exits: ['2'] },
};

const WHEN = { since: '2026-01-01T00:00:00Z', until: '2026-01-02T00:00:00Z' };
const FOUND = {
  id: A_DIFFERENCE.id,
  audiences: ['a'.repeat(32)],
  replay: { ...WHEN, user: '1', onlyLast: true, enters: 1, exits: 0 },
  enters: 1,
  exits: 0,
  people: 1,
  outdated: 0,
  foreign: 0,
  first: [],
};

const BY = { who: 'ada', door: 'client' };
const DEED = { by: BY, reason: 'because' };

/** Each method with all its options, as the call that is to be refused when one of them is wrong. */
const METHODS: Readonly<Record<string, readonly [options: Json, call: (jobs: ExportJobs, options: never) => unknown]>> =
  {
    start: [{ jobId: 'a', discardRecoverable: true, ...DEED }, (jobs, options) => jobs.start(RIGHT, options)],
    'sample of': [{ jobId: 'a' }, (jobs, of) => jobs.sample(of)],
    sample: [
      { user: '1', audience: 'vip', event: 'enter', userLegacyMessageFormat: true },
      (jobs, wish) => jobs.sample({ jobId: 'a' }, wish),
    ],
    test: [
      { user: '1', audience: 'vip', event: 'exit', userLegacyMessageFormat: true },
      (jobs, wish) => jobs.test({ definition: RIGHT }, wish),
    ],
    push: [push, (jobs, options) => jobs.push('a', [], options)],
    publish: [
      { ...push, listAgeMs: 5, onLeftOut: anything },
      (jobs, options) => jobs.publish([{ event: 'enter', audience: 'vip', user: '1' }], options),
    ],
    trace: [
      { jobId: 'a', onlyJobs: ['a'], since: new Date(0), onProgress: anything, signal },
      (jobs, options) => firstOf(jobs.trace('1', options)),
    ],
    overview: [{ lastHour: true }, (jobs, options) => jobs.overview(options)],
    attempts: [{ failed: true, last: 5, follow: signal }, (jobs, options) => firstOf(jobs.attempts('a', options))],
    plan: [{ prune: true }, (jobs, options) => jobs.plan({ a: RIGHT }, options)],
    edit: [{ isMeant: anything, toRevision: 1, ...DEED }, (jobs, options) => jobs.edit('a', {}, options)],
    pause: [DEED, (jobs, options) => jobs.pause('a', options)],
    'pause by': [BY, (jobs, by) => jobs.pause('a', { by })],
    resume: [DEED, (jobs, options) => jobs.resume('a', options)],
    retry: [DEED, (jobs, options) => jobs.retry('a', options)],
    'backfill options': [DEED, (jobs, options) => jobs.backfill('a', {}, options)],
    'stop options': [DEED, (jobs, options) => jobs.stop('a', {}, options)],
    recover: [{ onWait: anything, ...DEED }, (jobs, options) => jobs.recover('a', options)],
    compare: [{ audience: 'vip', signal, onProgress: anything }, (jobs, options) => jobs.compare('a', ['1'], options)],
    reconcile: [{ force: true, ...DEED }, (jobs, options) => jobs.reconcile('a', A_DIFFERENCE, options)],
    findTold: [
      { ...WHEN, user: '1', audiences: ['vip'], deliveryId: 'ab'.repeat(4), onlyLast: true },
      (jobs, wish) => jobs.findTold('a', wish),
    ],
    replay: [{ newIds: true, requestId: 'r', ...DEED }, (jobs, options) => jobs.replay('a', FOUND, options)],
    'what replay sends': [
      FOUND.replay,
      (jobs, replay: (typeof FOUND)['replay']) => jobs.replay('a', { ...FOUND, replay }),
    ],
    'reconcile difference': [COUNTS, (jobs, counts: object) => jobs.reconcile('a', { ...A_DIFFERENCE, ...counts })],
    backfill: [
      { requestId: 'r', audiences: ['vip'], sample: 5, action: 'start' },
      (jobs, request) => jobs.backfill('a', request),
    ],
    stop: [{ waiting: 'deliver', deadlineMs: 5_000 }, (jobs, request) => jobs.stop('a', request)],
    'deadLetters.list': [filter, (jobs, options) => firstOf(jobs.deadLetters.list(options))],
    'deadLetters.discard': [{ ...filter, all: true }, (jobs, which) => jobs.deadLetters.discard(which)],
    'deadLetters.discard options': [decision, (jobs, options) => jobs.deadLetters.discard('a-0', options)],
    'deadLetters.redeliver': [{ ...filter, all: true }, (jobs, which) => jobs.deadLetters.redeliver(which)],
    'deadLetters.redeliver options': [
      { ...decision, force: true, limit: 10, perSecond: 2 },
      (jobs, options) => jobs.deadLetters.redeliver('a-0', options),
    ],
    'watches.start': [
      { everyMs: 5_000, existingUsers: true, largestExitPercent: 20 },
      (jobs, options) => jobs.watches.start(['vip'], options),
    ],
  };

async function firstOf(items: AsyncIterable<unknown>): Promise<unknown> {
  return await items[Symbol.asyncIterator]().next();
}

test('the options of a method are taken as they are meant, or nobody is asked anything', async () => {
  const jobs = new ExportJobs(NOBODY);
  const outcomeOf = async (call: () => unknown): Promise<unknown> => {
    try {
      return await call();
    } catch (error) {
      return error instanceof PublishInterrupted ? error.cause : error;
    }
  };
  for (const [name, [right, call]] of Object.entries(METHODS)) {
    // With no trigger nothing is asked.
    if (name !== 'push')
      expect([name, await outcomeOf(() => call(jobs, right as never))]).toEqual([name, expect.any(ServerAsked)]);
    for (let i = 0; i < tries(20); i++) {
      const { wrong, isKeyWrong } = damaged(right, Object.keys(right));
      if (!isKeyWrong) continue;
      const outcome = await outcomeOf(() => call(jobs, wrong as never));
      const isRefused = [InvalidRequest, InvalidWatch, InvalidFilter].some((kind) => outcome instanceof kind);
      if (!isRefused) throw new Error(`${name} ${JSON.stringify(wrong)}: ${String(outcome)}`);
      count('methods');
    }
    for (const key of Object.keys(right))
      for (const junk of [{ a: 1 }, NaN, null]) {
        const outcome = await outcomeOf(() => call(jobs, { ...right, [key]: junk } as never));
        // In a request null is absent, as in an update.
        if (junk === null && (name === 'backfill' || name === 'stop')) continue;
        expect([name, key, junk, String(outcome)]).toEqual([
          name,
          key,
          junk,
          expect.stringMatching(/^Invalid|Give either/),
        ]);
        count('methods');
      }
  }
});

interface Path {
  readonly path: readonly string[];
  readonly command: CommandUnknownOpts;
}

function commandsIn(command: CommandUnknownOpts, path: readonly string[] = []): Path[] {
  const parts = command.commands.flatMap((part) => commandsIn(part, [...path, part.name()]));
  return path.length === 0 || command.commands.length > 0 ? parts : [{ path, command }, ...parts];
}

function aValueOf({ argChoices, parseArg }: Option): string {
  const values = argChoices ?? ['7', '5m', '443', '200'];
  return (
    values.find((text) => {
      try {
        parseArg?.(text, undefined);
        return true;
      } catch {
        return false;
      }
    }) ?? 'x'
  );
}

/** A command line with one mistake that can be seen without asking anybody. */
function aWrongLine({ path, command }: Path): string[] {
  const { options, registeredArguments: places } = command;
  const longs = [...options.map(({ long }) => long ?? ''), '--help', '--version'];
  const option = dice.oneOf(options);
  const takesValue = option.required || option.optional;
  const said = takesValue ? [option.long ?? '', aValueOf(option)] : [option.long ?? ''];
  const needed = places.filter(({ required }) => required).map(() => 'x');
  const wrong: string[][] = [
    [
      `--${misspelt(
        (option.long ?? '').slice(2),
        longs.map((long) => long.slice(2)),
      )}`,
      ...said.slice(1),
    ],
  ];
  if (takesValue && option.parseArg !== collect) wrong.push([...said, ...said]);
  if (takesValue && option.name() !== 'description') wrong.push([`${option.long}=`]);
  if (takesValue) wrong.push([option.long ?? '', dice.oneOf(longs.slice(0, -2))]);
  if (!takesValue) wrong.push([`${option.long}=7`]);
  if (option.parseArg !== undefined && option.parseArg !== collect)
    for (const junk of ['0x10', '1e', '-1', 'x y', '5 m', '']) wrong.push([option.long ?? '', junk]);
  if (!places.some(({ variadic }) => variadic)) wrong.push(Array<string>(places.length + 1).fill('x'));
  const opposite = options.find((one) => one !== option && one.attributeName() === option.attributeName());
  if (opposite !== undefined && !opposite.required) wrong.push([...said, opposite.long ?? '']);
  return [...path, ...needed, ...dice.oneOf(wrong)];
}

test('a command line with a mistake ends with 2, before anybody is asked', async () => {
  const commands = commandsIn(createProgram(aTerminal().terminal));
  for (let i = 0; i < tries(100); i++) {
    const args = aWrongLine(dice.oneOf(commands));
    const { terminal, out } = aTerminal();
    expect([args, await run(args, terminal), out]).toEqual([args, 2, []]);
    count('command lines');
  }
});

test('a file that says a key twice ends with 2, whichever command reads it', async () => {
  const file = join(folder, 'job.json');
  const text = JSON.stringify(RIGHT);
  const readers = [
    ['start', file],
    ['render', file],
    ['test', file],
    ['edit', 'a', file],
  ];
  for (const [i, key] of JOB_FIELDS.entries()) {
    writeFileSync(file, `${text.slice(0, -1)},${JSON.stringify(key)}:${JSON.stringify(Reflect.get(RIGHT, key))}}`);
    const args = readers[i % readers.length] ?? [];
    const { terminal, err } = aTerminal();
    expect([args, await run(args, terminal)]).toEqual([args, 2]);
    expect(err.join(' ').replaceAll(/\s+/g, ' ')).toContain(`the key "${key}" twice`);
    count('files');
  }
});

const SECRET = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
const PAGING = { next: 'next', maxLimit: 10 };
const SOURCES: readonly Json[] = [
  { kind: 'file', folder: 'data', lagMs: 1_000 },
  {
    kind: 'postgres',
    url: 'postgres://localhost/people',
    password: 'p',
    certificateAuthorities: [],
    profiles: { table: 'profiles', user: 'id', profile: 'p' },
    memberships: { table: 'm', audience: 'a', user: 'u' },
    audiences: { table: 'a', id: 'i', slug: 's', name: 'n', windowMinutes: 'w' },
    poolSize: 5,
    connectTimeoutMs: 1_000,
    statementTimeoutMs: 1_000,
    lagMs: 1_000,
  },
  {
    kind: 'lytics',
    token: 't',
    userField: '_uid',
    url: 'https://api.lytics.io',
    numberFields: ['n'],
    pageSize: 10,
    parallelLookUps: 2,
    maxProfileAgeMs: 1_000,
    lagMs: 1_000,
    timeoutMs: 1_000,
    throughProxy: true,
  },
  {
    kind: 'http',
    url: 'https://people.example.com',
    headers: { authorization: 'Bearer t' },
    audiences: {
      url: '/audiences?c={cursor}',
      items: 'i',
      id: 'id',
      slug: 's',
      name: 'n',
      size: 'z',
      windowMinutes: 'w',
      ...PAGING,
    },
    members: { url: '/audiences/{audience}?c={cursor}', items: 'i', id: 'id', ...PAGING },
    member: { url: '/audiences/{audience}/{user}', value: 'v' },
    profiles: { url: '/people?u={users}', items: 'i', id: 'id', profile: 'p', maxUsers: 5, parallelLookUps: 2 },
    maxProfileAgeMs: 1_000,
    lagMs: 1_000,
    timeoutMs: 1_000,
    throughProxy: true,
  },
];

/** Every setting that there is, with each kind of source. */
const configOf = (source: Json): Json => ({
  taskQueue: 'mine',
  source,
  outbox: {
    url: 'postgres://localhost/people',
    password: 'p',
    certificateAuthorities: [],
    table: 'audience_changes',
    jobs: ['a'],
    accepted: 'mark',
    poisoned: 'stop',
    pollMs: 1_000,
    connectTimeoutMs: 1_000,
    statementTimeoutMs: 1_000,
  },
  kafka: {
    brokers: ['b:9092'],
    topics: ['changes'],
    group: 'g',
    jobs: ['a'],
    ingest: {
      expressions: { each: 'e', user: 'u', audience: 'a', event: 'e', at: 't', profile: 'p', ignore: 'i' },
      audience: 'vip',
      profiles: 'from-source',
    },
    from: 'earliest',
    poisoned: { deadLetterTopic: 'dead' },
    tls: { certificateAuthorities: [] },
    sasl: { mechanism: 'plain', username: 'u', password: 'p' },
    connectTimeoutMs: 1_000,
    sessionTimeoutMs: 6_000,
  },
  authorizations: {
    crm: {
      origins: ['https://a.example'],
      headers: { 'x-key': 'k' },
      queryParameters: { q: 'v' },
      oauth2: {
        tokenUrl: 'https://login.example/token',
        clientId: 'c',
        clientSecret: 's',
        scope: 'all',
        parameters: { audience: 'a' },
        clientAuthentication: 'basic',
      },
      signingSecrets: [SECRET, { secret: SECRET, until: '2030-01-01T00:00:00Z' }],
    },
    mail: { origins: ['https://b.example'], basic: { username: 'u', password: 'p' } },
    push: { origins: ['https://c.example'], bearer: 't' },
  },
  payloadKeys: [`k:${Buffer.alloc(32, 7).toString('base64')}`],
  alerts: { url: 'https://a.example/alerts', authorization: 'crm', backlogMinutes: 5 },
  requestTimeoutMs: 1_000,
  maxConcurrentSlices: 10,
  network: {
    allowHttp: false,
    allowAddresses: ['10.0.0.0/8'],
    allowPorts: ['443'],
    proxy: 'http://p.example:3128',
    certificateAuthorities: [],
  },
  serverLimits: { payloadBytes: 2_097_152, signalsPerRun: 10_000, eventsPerRun: 51_200 },
  watch: { folder: 'watch' },
  metrics: { port: 0, host: '127.0.0.1', jobs: 10 },
  tracing: { endpoint: 'https://otel.example/v1/traces', sampleRatio: 0.5 },
  deployment: { name: 'd', buildId: 'b' },
  logLevel: 'info',
});

/** Objects whose keys are somebody's own names. */
const FREE: readonly string[] = ['authorizations', 'headers', 'queryParameters', 'parameters'];

/** The objects in a configuration whose keys are settings; changing one changes the configuration. */
function settingsIn(value: unknown, key = ''): Json[] {
  if (typeof value !== 'object' || value === null) return [];
  const inner = Object.entries(value).flatMap(([name, part]) => settingsIn(part, Array.isArray(value) ? key : name));
  return Array.isArray(value) || FREE.includes(key) ? inner : [value as Json, ...inner]; // An object, and not a list.
}

test('a setting is taken as it is meant, or nothing starts', () => {
  const path = join(folder, 'triggers.config.json');
  const load = (text: string): unknown => {
    writeFileSync(path, text);
    try {
      return loadConfig({ path, env: {} });
    } catch (error) {
      return error;
    }
  };
  for (const source of SOURCES) {
    const right = configOf(source);
    expect(load(JSON.stringify(right))).toMatchObject({ taskQueue: 'mine' });
    for (let i = 0; i < tries(25); i++) {
      const config = structuredClone(right);
      const place = dice.oneOf(settingsIn(config));
      const key = dice.oneOf(Object.keys(place));
      const known = Object.keys(place);
      const kind = dice.oneOf(['misspelt', 'beside', 'type', 'twice']);
      const value = place[key];
      if (kind === 'misspelt') delete place[key];
      if (kind === 'misspelt' || kind === 'beside') place[misspelt(key, known)] = value;
      if (kind === 'type') place[key] = { nonsense: [value] };
      const entry = `${JSON.stringify(key)}:${JSON.stringify(value)}`;
      const text = JSON.stringify(config);
      const outcome = load(kind === 'twice' ? text.replace(entry, () => `${entry},${entry}`) : text);
      if (!(outcome instanceof ConfigError))
        throw new Error(`${kind} ${key}: ${String(outcome)} ${JSON.stringify(place)}`);
      count('settings');
    }
  }
});

test('a misspelt variable of ours stops every program that reads the configuration', () => {
  const path = join(folder, 'empty.json');
  writeFileSync(path, '{}');
  const all = VARIABLES.map((name) => name.slice('TRIGGERS_'.length));
  for (let i = 0; i < tries(20); i++) {
    const name = `TRIGGERS_${misspelt(dice.oneOf(all), all)}`;
    const env = { TRIGGERS_CONFIG: path, [name]: '9464' };
    for (const read of [() => loadConfig({ env }), () => configuredTaskQueue(env), () => configuredPayloadKeys(env)])
      expect([name, errorOf(read)]).toEqual([name, expect.any(ConfigError)]);
    count('variables');
  }
});

function errorOf(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    return error;
  }
}
