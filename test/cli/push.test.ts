import { Readable } from 'node:stream';
import { expect, jest, test } from '@jest/globals';
import { run } from '../../src/app/program.ts';
import { type EventTrigger, JobClient, type Triggers } from '../../src/client/job-client.ts';
import { JobNotFound, ServerUnreachable } from '../../src/client/calls/errors.ts';
import { Slugs } from '../../src/client/jobs/slugs.ts';
import { NOBODY } from '../client/an-easy-worker.ts';
import { aTerminal } from './a-terminal.ts';
import { readTriggers, triggerFrom, progressText } from '../../src/cli/commands/push.ts';

const HEARD = { id: 'a'.repeat(32), slug: 'vip' };
const OTHER = 'b'.repeat(32);

/**
 * Pushes lines about these audiences to a job that subscribes to the first, as a command line does.
 *
 * @param options.awayTimes how often the server is not there before it is.
 */
async function pushed(
  audiences: readonly string[],
  args: readonly string[],
  { state = 'running', awayTimes = 0, isThere = true }: { state?: string; awayTimes?: number; isThere?: boolean } = {},
) {
  const accepted: EventTrigger[] = [];
  const take = async (triggers: Triggers) => {
    for await (const trigger of triggers) accepted.push(trigger);
    return accepted.length;
  };
  const jobs = {
    slugs: async (job = 'x') => {
      if (!isThere) throw new JobNotFound(job);
      return new Slugs(NOBODY, 'q', [{ jobId: 'x', taskQueue: 'q', audiences: [HEARD], state }]);
    },
    list: async () => [],
    push: async (_: string, triggers: Triggers) => ({ accepted: await take(triggers), signals: 1 }),
    publish: async (triggers: Triggers) => {
      const read = await take(triggers);
      const heard = accepted.filter(({ audience }) => audience === HEARD.id).length;
      const told = heard === 0 ? [] : [{ jobId: 'x', accepted: heard, signals: 1 }];
      return { read, unmatched: read - heard, jobs: told, unreadable: [] };
    },
    close: async () => undefined,
  };
  const connect = jest.spyOn(JobClient, 'connect').mockReset();
  connect.mockResolvedValue(jobs as unknown as JobClient); // What push uses of one.
  for (let i = 0; i < awayTimes; i++) connect.mockRejectedValueOnce(new ServerUnreachable('localhost:7233'));
  const input = audiences.map((audience, i) => JSON.stringify({ event: 'exit', audience, user: `${i}` })).join('\n');
  const { terminal, out, err } = aTerminal(input === '' ? {} : { input });
  const code = await run(['push', ...args], terminal);
  const text = (lines: readonly string[]) => lines.join(' ').replaceAll(/\s+/g, ' ');
  const tries = connect.mock.calls.length;
  return { code, said: text(out), failed: text(err), accepted: accepted.length, result: out[0] ?? '', tries };
}

test.each([
  [[OTHER], '0 triggers accepted by x. 1 not sent.', '1 trigger was not sent.'],
  [[HEARD.id, OTHER, OTHER], '1 trigger accepted by x. 2 not sent.', '2 triggers were not sent.'],
])(
  'push skips triggers that the job does not subscribe to, sends the rest, and exits with 1: %j',
  async (audiences, says, fails) => {
    const { code, said, failed, accepted } = await pushed(audiences, ['x', '-']);
    expect({ code, said, accepted }).toEqual({
      code: 1,
      said: says,
      accepted: audiences.filter((one) => one !== OTHER).length,
    });
    expect(failed).toContain(`${fails} See what it subscribes to: triggers status x`);
    const forMachines = await pushed(audiences, ['x', '-', '--json']);
    expect(forMachines.code).toBe(1);
    expect(JSON.parse(forMachines.result)).toMatchObject({
      unmatched: audiences.filter((one) => one === OTHER).length,
    });
  },
);

test('an audience without a subscribing job does too, where other triggers of the input were accepted', async () => {
  const { code, said, failed } = await pushed([HEARD.id, OTHER, OTHER], ['-']);
  expect(code).toBe(1);
  expect(said).toContain('x 1 accepted No running job subscribes to the audiences of 2 of them.');
  expect(failed).toBe('2 triggers were sent to no job.');
});

test('push succeeds when its jobs take every trigger', async () => {
  await expect(pushed([HEARD.id], ['x', '-'])).resolves.toMatchObject({ code: 0, said: '1 trigger accepted by x.' });
  await expect(pushed([HEARD.id], ['-'])).resolves.toMatchObject({ code: 0, failed: '' });
});

test.each([
  [['x', '-'], 'Standard input was empty; nothing was pushed.'],
  [['-'], 'Standard input was empty; nothing was pushed.'],
  [['x'], 'Standard input was empty; nothing was pushed. To push one trigger: --audience vip --enter --user 707…'],
  [['x', '--file', '/dev/null'], 'There is no trigger in /dev/null; nothing was pushed.'],
])('an empty input pushes nothing, and push says what was empty: %j', async (args, said) => {
  await expect(pushed([], args)).resolves.toMatchObject({ code: 0, said, failed: '' });
});

test('a job that does not exist is not found, also when there was nothing to push to it', async () => {
  const gone = { isThere: false };
  const { code, said, failed } = await pushed([], ['nosuch', '-'], gone);
  expect({ code, said, failed }).toEqual({
    code: 1,
    said: '',
    failed: 'There is no job "nosuch". See all jobs: triggers list',
  });
  const forMachines = await pushed([], ['nosuch', '--json'], gone);
  expect(forMachines).toMatchObject({ code: 1, said: '' });
  expect(JSON.parse(forMachines.failed)).toMatchObject({ error: { name: 'JobNotFound', jobId: 'nosuch' } });
});

const FILE = 'examples/changes.ndjson';

test.each([
  [FILE, `There is a file of that name: triggers push vip-to-crm --file ${FILE}`],
  ['examples/none.ndjson', 'begins with a letter or digit.'],
  ['', 'begins with a letter or digit.'],
])(
  'push refuses an impossible job id before it reads anything, with a hint at --file for a file: %j',
  async (job, end) => {
    for (const audiences of [[], [HEARD.id]])
      await expect(pushed(audiences, [job])).resolves.toMatchObject({
        code: 2,
        accepted: 0,
        tries: 0,
        said: '',
        failed: expect.stringMatching(new RegExp(`^"${job}" cannot be the id of a job\\. A job id has .*${end}$`)),
      });
    const { code, failed } = await pushed([], [job, '--json']);
    expect({ code, ...JSON.parse(failed) }).toMatchObject({ code: 2, error: { name: 'UsageError' } });
  },
);

test('standard input given as a file is refused with the right way', async () => {
  await expect(pushed([HEARD.id], ['x', '--file', '-'])).resolves.toMatchObject({
    code: 2,
    accepted: 0,
    failed: 'Standard input is read without --file: triggers push vip-to-crm -',
  });
});

test('a push that was given a patience waits for a server that is away at the start', async () => {
  await expect(pushed([HEARD.id], ['x', '-', '--patience', '1m'], { awayTimes: 3 })).resolves.toMatchObject({
    code: 0,
    accepted: 1,
    tries: 4,
    failed: '',
  });
});

test('push waits no longer than its patience; without one, it reports a missing server at once', async () => {
  const never = { awayTimes: 1_000 };
  const patient = await pushed([HEARD.id], ['x', '-', '--patience', '1s'], never);
  expect(patient).toMatchObject({
    code: 1,
    accepted: 0,
    failed: expect.stringContaining('No Temporal server answers'),
  });
  expect(patient.tries).toBeGreaterThan(2);
  expect(patient.tries).toBeLessThan(8);
  await expect(pushed([HEARD.id], ['x', '-'], never)).resolves.toMatchObject({ code: 1, tries: 1 });
});

test('push sends a trigger that is probably a mistake, with a warning', async () => {
  const one = ['x', '--audience', HEARD.id, '--exit', '--user', ' 1', '--at', '2099-01-01T00:00:00Z'];
  const { code, failed, accepted } = await pushed([], one);
  expect({ code, accepted, failed }).toEqual({
    code: 0,
    accepted: 1,
    failed:
      'Warning: The "at" of 1 trigger is more than a day ahead. It is sent now, not then. Warning: The "user" of 1 trigger begins or ends with a space, which is part of the id.',
  });
  const { result } = await pushed([], [...one, '--json']);
  expect(JSON.parse(result)).toMatchObject({ doubts: [expect.stringContaining('"at"'), expect.any(String)] });
});

test.each([[['x', '-']], [['-']]])('push says that its job is being stopped: %j', async (args) => {
  const { code, said } = await pushed([HEARD.id, HEARD.id], args, { state: 'stopping' });
  // Without a job, nobody looks at jobs before a slug is to be understood.
  if (args.length === 2) expect(said).toContain('x is stopping: what is not sent by then is kept or dropped.');
  expect(code).toBe(0);
});

async function read(chunks: readonly (string | Uint8Array)[]): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const each of readTriggers(Readable.from(chunks, { objectMode: true }))) found.push(each);
  return found;
}

const line = (user: string, more = '') => `{"event":"enter","audience":"vip","user":"${user}"${more}}`;

test('reads one trigger a line, wherever chunks break, with or without a last line end', async () => {
  const text = `${line('1')}\n${line('2')}\n\n  \n${line('3')}`;
  const chunks = [text.slice(0, 60), text.slice(60, 75), text.slice(75)];
  expect((await read(chunks)).map((trigger) => Reflect.get(trigger as object, 'user'))).toEqual(['1', '2', '3']);
});

test('characters that a chunk breaks apart stay whole', async () => {
  const bytes = Buffer.from(`${line('Zoë ✓')}\n`);
  const at = bytes.indexOf('Zo');
  await expect(
    read([bytes.subarray(0, at + 3), bytes.subarray(at + 3, at + 6), bytes.subarray(at + 6)]),
  ).resolves.toEqual([{ event: 'enter', audience: 'vip', user: 'Zoë ✓' }]);
});

test('integers beyond 2^53 keep their digits', async () => {
  await expect(read([`${line('1', ',"profile":{"id":7076027172059065053}')}\n`])).resolves.toEqual([
    { event: 'enter', audience: 'vip', user: '1', profile: { id: 7076027172059065053n } },
  ]);
});

test.each([
  ['{oops', /^Line 3 is not a trigger: it is not JSON/],
  // What stands there may be somebody's profile.
  ['{"user":linnea}', /: it is not JSON \(something is wrong at character 9\)[^a-z]*$/],
  ['{"event":"enter","audience":"vip","user":7}', /^Line 3 is not a trigger: "user" must be a string/],
  ['[]', /^Line 3 is not a trigger/],
  ['{"event":"enter","audience":"vip","user":"1","user":"2"}', /^Line 3 is not a trigger: it has "user" twice/],
  ['{"event":"enter","audience":"vip","user":"1","profil":{}}', /^Line 3 .* has no "profile" but "profil"/],
])('push refuses the line %s with its number', async (wrong, says) => {
  await expect(read([`${line('1')}\n\n${wrong}\n`])).rejects.toThrow(says);
});

test('inside a profile the last of two equal keys counts, as everywhere', async () => {
  await expect(read([line('1', ',"profile":{"a":1,"a":2}')])).resolves.toMatchObject([{ profile: { a: 2 } }]);
});

test('a stream without line ends does not fill the memory', async () => {
  await expect(read(Array.from({ length: 64 }, () => 'x'.repeat(65_536)))).rejects.toThrow(/longer than/);
});

test('one trigger can be given by options', () => {
  expect(triggerFrom({ audience: 'vip', enter: true, user: '707' })).toEqual({
    event: 'enter',
    audience: 'vip',
    user: '707',
  });
  expect(
    triggerFrom({
      audience: 'vip',
      exit: true,
      user: '707',
      at: '2026-11-25T08:30:00Z',
      profile: '{"n":7076027172059065053}',
    }),
  ).toEqual({
    event: 'exit',
    audience: 'vip',
    user: '707',
    at: '2026-11-25T08:30:00Z',
    profile: { n: 7076027172059065053n },
  });
});

test.each([
  [{ audience: 'vip', user: '707' }],
  [{ audience: 'vip', user: '707', enter: true, exit: true }],
  [{ user: '707', enter: true }],
  [{ audience: 'vip', user: '707', enter: true, at: 'yesterday' }],
  [{ audience: 'vip', user: '707', enter: true, profile: '{' }],
  [{ audience: 'vip', user: '707', enter: true, profile: '[]' }],
  [{ audience: 'vip', user: '707', enter: true, profile: '{"a":1,"a":2}' }],
])('%j is no trigger', (options) => {
  expect(() => triggerFrom(options)).toThrow(expect.objectContaining({ name: 'UsageError' }));
});

test('a profile that is not JSON is not quoted, since it is about somebody', () => {
  const options = { audience: 'vip', user: '707', enter: true, profile: '{"email":linnea}' };
  expect(() => triggerFrom(options)).toThrow(
    /^--profile is not JSON: something is wrong in line 1, at character 10\.$/,
  );
});

test('says how far a push is, how fast, and what it waits for', () => {
  expect(progressText({ accepted: 12_345, signals: 20 }, 2_000)).toBe('12,345 triggers accepted, 6,173 a second');
  expect(progressText({ accepted: 1, signals: 1, waitingFor: 'history' }, 1_000)).toBe(
    '1 trigger accepted, 1 a second; waiting for the job to process what it has',
  );
});
