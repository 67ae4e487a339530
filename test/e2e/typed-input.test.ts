import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { afterAll, expect, test } from '@jest/globals';
import { run } from '../../src/app/program.ts';
import { InvalidJob } from '../../src/client/calls/errors.ts';
import type { JobDefinitionInput } from '../../src/contract/export-job.ts';
import { aTerminal } from '../cli/a-terminal.ts';
import { labOfFile, VIP } from '../support/lab.ts';
import { temporal } from '../support/temporal.ts';
import { tempFolder } from '../support/temp-folder.ts';

// What a person types and a program takes, although it is not what was meant.

const environment = { ...process.env };
const watched = { id: randomUUID().replaceAll('-', ''), slug: `watched-${randomUUID()}`, name: 'Watched' };

const folder = tempFolder();
const lab = await labOfFile({
  config: { watch: { folder } },
  content: {
    audiences: [
      { ...VIP, members: ['ann', 'bob'] },
      { ...watched, members: [], windowMinutes: 15 },
    ],
    profiles: { ann: { email: 'ann@example.com' }, bob: { email: 'bob@example.com', name: 'Bob' } },
  },
});
process.env['TEMPORAL_ADDRESS'] = temporal.address;
process.env['TRIGGERS_TASK_QUEUE'] = lab.taskQueue;

afterAll(() => {
  process.env = environment;
});

async function command(...args: string[]) {
  const { terminal, out, err } = aTerminal();
  const code = await run(args, terminal);
  const text = (lines: readonly string[]) => lines.join(' ').replaceAll(/\s+/g, ' ');
  return { code, out: text(out), err: text(err) };
}

const MEANT = 'No profile that was looked at has the field "emial". Did you mean "email"?';

test('every command accepts an export field that nobody has, with a warning that names the nearest', async () => {
  const file = join(folder, 'job.json');
  const definition = { label: 'x', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
  writeFileSync(file, JSON.stringify({ ...definition, exportFields: ['emial', 'name'] }));
  const id = `typed-${randomUUID()}`;
  expect(await command('render', file)).toMatchObject({ code: 0, err: expect.stringContaining(MEANT) });
  expect(await command('test', file)).toMatchObject({ code: 0, err: expect.stringContaining(MEANT) });
  const started = await command('start', file, '--id', id);
  expect(started).toMatchObject({ code: 0, out: expect.stringContaining(`Warning: ${MEANT}`) });
  expect(started.out).not.toContain('"name"');
  const edited = await command('edit', id, '--export-field', 'email,name');
  const several = 'has the field "email,name". Name each field by itself: "email", "name".';
  expect(edited).toMatchObject({ code: 0, out: expect.stringContaining(several) });
  expect(await command('render', id)).toMatchObject({ code: 0, err: expect.stringContaining(several) });
  const { warnings } = (await lab.jobs.check({ ...definition, exportFields: ['emial'] })) as { warnings?: string[] };
  expect(warnings).toContain(MEANT);
  // What a template names is looked at in the same way.
  const shaped = { ...definition, body: '{"email": {{ data.emial | json }}}' };
  expect(await lab.jobs.check(shaped)).toMatchObject({ warnings: [MEANT] });
  for (const right of ['email', 'name']) {
    const { out } = await command('edit', id, '--export-field', right);
    expect(out).toMatch(`Changed ${id}:`);
  }
});

test('a command says nothing about fields when it can read no profile', async () => {
  lab.source.setProfile('ann', undefined);
  lab.source.setProfile('bob', undefined);
  const job = await lab.start({ audiences: ['vip'] });
  expect(await command('edit', job, '--export-field', 'emial')).toEqual({
    code: 0,
    out: expect.stringMatching(`^Changed ${job}:`),
    err: '',
  });
});

test.each([
  [['--every', '10d'], "option '--every <time>' argument '10d' is invalid. It must be a duration from 1 s to 7 days"],
  [['--every', '0s'], "option '--every <time>' argument '0s' is invalid. It must be a duration from 1 s to 7 days"],
  [['--largest-exit', '0'], 'It must be a whole number of percent, from 1 to 100.'],
  [['--largest-exit', '101'], 'It must be a whole number of percent, from 1 to 100.'],
])('a watch with %j is refused by the name and in the unit that were typed', async (options, said) => {
  expect(await command('watch', watched.slug, ...options)).toMatchObject({
    code: 2,
    err: expect.stringContaining(said),
  });
});

test("a watch whose interval is longer than its audience's window is started with a warning", async () => {
  const rare = await command('watch', watched.slug, '--every', '16m');
  expect(rare).toMatchObject({ code: 0, err: expect.stringContaining('looks back over 15 minutes') });
  expect(await command('watch', watched.slug, '--every', '15m')).toMatchObject({ code: 0, err: '' });
  await lab.jobs.watches.stop(watched.id);
});

/** Where what an error says is wrong: `backfillPerSec`. */
interface Refusal {
  readonly problems: readonly { readonly field: string }[];
}
const fieldsOf = ({ problems }: Refusal) => problems.map(({ field }) => field).toSorted();

// test/contract/export-job.test.ts tries each mistake with each field.
test('a definition with mistakes is refused with all of them by everything that takes one, and nothing comes of it', async () => {
  const job = await lab.start({ audiences: ['vip'] });
  const before = { status: await lab.jobs.status(job), requests: lab.receiver.ledger.requests };
  const wrong: object = {
    label: 7,
    audience: ['vip'],
    webhookURL: 'https://a.example/',
    authorization: '',
    backfillPerSec: 1,
  };
  const definition = wrong as JobDefinitionInput; // It is none, which is the point.
  const file = join(folder, 'wrong.json');
  writeFileSync(file, JSON.stringify(wrong));
  const unknown = ['audience', 'authorization', 'backfillPerSec', 'label', 'webhookURL'];
  const all = [...unknown, 'audiences', 'webhookUrl'].toSorted();
  const id = `wrong-${job}`;
  for (const [fields, ...args] of [
    [all, 'start', file, '--id', id],
    [all, 'start', file, '--id', id, '--sample', '1'],
    [all, 'render', file],
    [all, 'test', file],
    [unknown, 'edit', job, file],
  ] as const) {
    const { code, out, err } = await command(...args, '--json');
    const { error } = JSON.parse(err) as { error: Refusal & { name: string } };
    expect({ args, code, out, name: error.name, fields: fieldsOf(error) }).toEqual({
      args,
      code: 2,
      out: '',
      name: 'InvalidJob',
      fields,
    });
  }
  expect(fieldsOf((await lab.jobs.check(definition)) as unknown as Refusal)).toEqual(all);
  for (const [fields, call] of [
    [all, lab.jobs.start(definition, { jobId: id })],
    [all, lab.jobs.sample({ definition })],
    [all, lab.jobs.test({ definition })],
    [unknown, lab.jobs.edit(job, definition)],
  ] as const) {
    const error: unknown = await call.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidJob);
    expect(fieldsOf(error as InvalidJob)).toEqual(fields);
  }
  expect({ status: await lab.jobs.status(job), requests: lab.receiver.ledger.requests }).toEqual(before);
  await expect(lab.jobs.status(id)).rejects.toMatchObject({ name: 'JobNotFound' });
});
