import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { run } from '../../src/app/program.ts';
import { aTerminal } from '../cli/a-terminal.ts';
import { labOfFile } from '../support/lab.ts';
import { temporal } from '../support/temporal.ts';
import { aPayloadKey } from '../temporal/a-payload-key.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { afterFile } from '../webhook/a-server.ts';

// Every command, as somebody runs it who has not the payload keys of the workers: it must not take what it cannot read for what is not there.

const KEY = aPayloadKey('a');
const AUDIENCE = { id: randomUUID().replaceAll('-', ''), slug: `keys-${randomUUID()}`, name: 'Keys' };

const folder = tempFolder();
/** It is paused, and a trigger waits in it. */
let paused = '';
/** It kept one trigger. */
let kept = '';
/** It was terminated with one trigger waiting. */
let terminated = '';
let letter = '';
const environment = { ...process.env };

const lab = await labOfFile({
  config: { payloadKeys: [KEY], watch: { folder } },
  content: { audiences: [{ ...AUDIENCE, members: ['member'] }], profiles: { member: { email: 'x' } } },
  receiver: { answer: ({ message }) => (message?.user === 'refused' ? { status: 422 } : undefined) },
});
process.env['TEMPORAL_ADDRESS'] = temporal.address;
process.env['TRIGGERS_TASK_QUEUE'] = lab.taskQueue;
afterFile(() => lab.jobs.watches.stop(AUDIENCE.id));
beforeAll(async () => {
  await lab.jobs.watches.start([AUDIENCE.slug], { everyMs: 3_600_000 });
  [paused, kept, terminated] = await Promise.all([aPausedJob(), aPausedJob(), aPausedJob()]);
  await lab.jobs.stop(kept, { waiting: 'keep' });
  await lab.statusWhen(kept, ({ state }) => state === 'stopped');
  await lab.handle(terminated).terminate();
  const job = await lab.start({ audiences: [AUDIENCE.slug] });
  for (const user of ['taken', 'refused']) {
    await lab.jobs.enter(job, { audience: AUDIENCE.id, user, profile: {} });
    await lab.arrives(user);
  }
  while (letter === '') for await (const { id } of lab.jobs.deadLetters.list({ jobId: job })) letter = id;
  await lab.listedWhen(kept, (job) => job.kept !== undefined);
  writeFileSync(join(folder, 'job.json'), JSON.stringify(definition()));
});
afterAll(() => {
  process.env = environment;
});

const definition = () => ({
  label: 'Keys',
  audiences: [AUDIENCE.slug],
  webhookUrl: lab.receiver.url,
  authorization: null,
});

async function aPausedJob(): Promise<string> {
  const job = await lab.start({ audiences: [AUDIENCE.slug] });
  await lab.jobs.pause(job);
  await lab.jobs.enter(job, { audience: AUDIENCE.id, user: `waits-in-${job}`, profile: {} });
  await lab.statusWhen(job, ({ waiting }) => waiting === 1);
  return job;
}

/** All that commands could have changed, as those see it who have the key. */
async function everything(): Promise<unknown> {
  const requests = lab.receiver.ledger.entries.length;
  const statuses = await Promise.all([paused, kept, terminated].map((job) => lab.jobs.status(job)));
  const { state } = await lab.jobs.deadLetters.show(letter);
  const { everyMs, rounds } = await lab.jobs.watches.status(AUDIENCE.id);
  const jobs = (await lab.jobs.list()).filter(({ taskQueue }) => taskQueue === lab.taskQueue).map(({ jobId }) => jobId);
  return { requests, statuses, state, watch: { everyMs, rounds }, jobs };
}

const COMMANDS: readonly (readonly [name: string, args: () => readonly string[]])[] = [
  ['render of a job', () => ['render', paused]],
  ['test of a job', () => ['test', paused]],
  ['start', () => ['start', join(folder, 'job.json'), '--id', 'never']],
  ['start over a kept job', () => ['start', join(folder, 'job.json'), '--id', kept]],
  [
    'start over a terminated job',
    () => ['start', join(folder, 'job.json'), '--id', terminated, '--discard-recoverable'],
  ],
  ['push to a job', () => ['push', paused, '--audience', AUDIENCE.id, '--enter', '--user', '1']],
  ['push by slug', () => ['push', paused, '--audience', AUDIENCE.slug, '--enter', '--user', '1']],
  ['push to all', () => ['push', '--audience', AUDIENCE.id, '--enter', '--user', '1']],
  ['status', () => ['status', paused]],
  ['status of a kept job', () => ['status', kept]],
  ['trace in a job', () => ['trace', 'member', '--job', paused]],
  ['attempts', () => ['attempts', paused]],
  ['pause', () => ['pause', paused]],
  ['resume', () => ['resume', paused]],
  ['resume of a kept job', () => ['resume', kept]],
  ['recover', () => ['recover', terminated]],
  ['edit', () => ['edit', paused, '--parallel', '7']],
  ['backfill', () => ['backfill', paused]],
  ['stop', () => ['stop', paused]],
  ['stop with discard', () => ['stop', paused, '--waiting', 'discard', '--yes']],
  ['stop of a kept job with discard', () => ['stop', kept, '--waiting', 'discard', '--yes']],
  ['watch', () => ['watch', AUDIENCE.slug, '--every', '2h']],
  ['watch --now', () => ['watch', AUDIENCE.id, '--now']],
  ['watch --stop', () => ['watch', AUDIENCE.id, '--stop']],
  ['dead-letters list', () => ['dead-letters', 'list']],
  ['dead-letters show', () => ['dead-letters', 'show', letter]],
  ['dead-letters redeliver', () => ['dead-letters', 'redeliver', letter, '--yes']],
  ['dead-letters discard', () => ['dead-letters', 'discard', letter, '--yes']],
  ['authorizations list', () => ['authorizations', 'list']],
];

// test/temporal/encrypting-codec.test.ts has the other ways in which keys are wrong: they fail at the same place.
const REASON = /UnknownPayloadKey|JobsUnreadable|"a", and no payload keys are set here\. Add it/;

describe('with no payload keys', () => {
  let before: unknown;
  const ended = new Map<string, ReturnType<typeof aTerminal> & { code: number }>();
  const end = async ([name, args]: (typeof COMMANDS)[number]): Promise<void> => {
    const at = aTerminal();
    ended.set(name, { ...at, code: await run([...args(), '--json'], at.terminal) });
  };
  beforeAll(async () => {
    delete process.env['TRIGGERS_PAYLOAD_KEYS'];
    before = await everything();
    // Some wait for two seconds for what no worker can read.
    for (let i = 0; i < COMMANDS.length; i += 8) await Promise.all(COMMANDS.slice(i, i + 8).map(end));
  });

  test.each(COMMANDS)('%s fails, and says which key is missing', (name) => {
    const { code, out, err } = ended.get(name) ?? { code: -1, out: [], err: [] };
    // What other tests have on the same server may be read.
    const ours = out.filter((line) => [paused, kept, terminated, letter].some((one) => line.includes(one)));
    expect({ code, ours, err: err.join('').replaceAll('\\', '') }).toEqual({
      code: 1,
      ours: [],
      err: expect.stringMatching(REASON),
    });
  });

  // Once for all of them: to look at everything costs more than a command.
  test('none of these commands has changed anything', async () => {
    expect(await everything()).toEqual(before);
  });

  test('list shows which jobs there are, and says why it does not show more', async () => {
    const { terminal, out, err } = aTerminal();
    expect(await run(['list'], terminal)).toBe(0);
    const line = out.find((one) => one.startsWith(kept));
    expect(line).toMatch(/stopped, \(encrypted\) kept +\(encrypted\) +\(encrypted\)/);
    expect(err.join(' ').replaceAll(/\s+/g, ' ')).toMatch(REASON);
    const machine = aTerminal();
    expect(await run(['list', '--json'], machine.terminal)).toBe(0);
    const listed = machine.out.map((one) => JSON.parse(one) as { jobId: string; kept?: object; unreadable?: string });
    const found = listed.find(({ jobId }) => jobId === kept);
    expect(found).toMatchObject({ unreadable: expect.stringMatching(REASON) });
    expect(found?.kept).toEqual({});
  });

  test('the list of watches shows which there are, and says why it does not show more', async () => {
    const { terminal, out } = aTerminal();
    expect(await run(['watch', '--list', '--json'], terminal)).toBe(0);
    const lines = out.map((one) => JSON.parse(one) as { audience: { id: string }; unreadable?: string });
    const found = lines.find(({ audience }) => audience.id === AUDIENCE.id);
    expect(found).toEqual({ audience: expect.anything(), unreadable: expect.stringMatching(REASON) });
    const people = aTerminal();
    expect(await run(['watch', '--list'], people.terminal)).toBe(0);
    expect(people.out.join(' ').replaceAll(/\s+/g, ' ')).toMatch(REASON);
  });

  test('a trace through all jobs names those that it could not read', async () => {
    const { terminal, out } = aTerminal();
    expect(await run(['trace', 'member', '--json'], terminal)).toBe(0);
    const left = out
      .map((one) => JSON.parse(one) as { kind: string; jobId: string })
      .filter(({ kind }) => kind === 'left-out');
    for (const job of [paused, kept, terminated]) expect(left.map(({ jobId }) => jobId)).toContain(job);
  });
});
