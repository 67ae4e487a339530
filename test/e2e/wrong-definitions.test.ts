import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { run } from '../../src/cli/program.ts';
import { clientForLists } from '../../src/client/client-for-lists.ts';
import { InvalidJob } from '../../src/client/errors.ts';
import type { JobDefinitionInput, JobStatus, PreparedJob, Problem } from '../../src/client/export-jobs.ts';
import { EXPORT_JOB } from '../../src/domain/names.ts';
import { aTerminal } from '../cli/a-terminal.ts';
import { type Mistake, mistakesWith, RIGHT } from '../contract/a-mistake.ts';
import { Lab } from '../support/lab.ts';
import { temporal } from '../support/temporal.ts';

let lab: Lab;
let folder = '';
let edited = '';
let before: JobStatus;
const environment = { ...process.env };

beforeAll(async () => {
  lab = await Lab.open();
  folder = mkdtempSync(join(tmpdir(), 'triggers-'));
  process.env['TEMPORAL_ADDRESS'] = temporal.address;
  process.env['TRIGGERS_TASK_QUEUE'] = lab.taskQueue;
  edited = await lab.start({ ...RIGHT, webhookUrl: lab.receiver.url });
  before = await lab.jobs.status(edited);
});
afterAll(async () => {
  process.env = environment;
  rmSync(folder, { recursive: true });
  await lab.close();
});

/** The problems that a command reports with exit code 2; it may not print anything else. */
async function refusedBy(args: readonly string[]): Promise<readonly Problem[]> {
  const { terminal, out, err } = aTerminal();
  const code = await run([...args, '--json'], terminal);
  const said = [`${args.join(' ')} ended with ${code}:`, ...err, ...out].join('\n');
  if (code !== 2 || out.length > 0) throw new Error(said);
  const { error } = JSON.parse(err.join('')) as { error: { name: string; message: string; problems?: Problem[] } };
  // A file that says two things under one key is wrong as a file.
  if (error.name === 'UsageError')
    return [{ field: /key "([^"]+)" twice/.exec(error.message)?.[1] ?? '', message: '' }];
  if (error.name !== 'InvalidJob') throw new Error(said);
  return error.problems ?? [];
}

async function thrownBy(call: Promise<unknown>): Promise<readonly Problem[]> {
  const error: unknown = await call.then(
    (answer) => new Error(`It was accepted: ${JSON.stringify(answer)}`),
    (error: unknown) => error,
  );
  if (error instanceof InvalidJob) return error.problems;
  throw error;
}

type Door = readonly [name: string, problems: readonly Problem[]];

/** What every command and method that takes a definition has against one. */
async function refusalsOf({ text, definition }: Pick<Mistake, 'text' | 'definition'>): Promise<Door[]> {
  const file = join(folder, 'job.json');
  writeFileSync(file, text);
  const wrong = definition as unknown as JobDefinitionInput; // That it is not one is the point.
  // A sample contradicts a file that says to send nobody.
  const asWell = wrong?.existingUsers === false ? ['--existing-users'] : [];
  return await Promise.all([
    door('triggers start', refusedBy(['start', file, '--id', 'wrong'])),
    door('triggers start, with a sample', refusedBy(['start', file, '--id', 'wrong', '--sample', '1', ...asWell])),
    door('triggers render', refusedBy(['render', file])),
    door('triggers test', refusedBy(['test', file])),
    ...(definition === undefined
      ? []
      : [
          door('jobs.check', problemsOf(lab.jobs.check(wrong))),
          door('jobs.start', thrownBy(lab.jobs.start(wrong, { jobId: 'wrong' }))),
          door('jobs.sample', thrownBy(lab.jobs.sample({ definition: wrong }))),
          door('jobs.test', thrownBy(lab.jobs.test({ definition: wrong }))),
        ]),
  ]);
}

async function problemsOf(checking: Promise<PreparedJob>): Promise<readonly Problem[]> {
  const prepared = await checking;
  return prepared.ok ? [] : prepared.problems;
}

async function door(name: string, refusing: Promise<readonly Problem[]>): Promise<Door> {
  return [name, await refusing];
}

/** The same of an edit. */
async function editRefusalsOf({ text, definition }: Mistake): Promise<Door[]> {
  const file = join(folder, 'edit.json');
  writeFileSync(file, text);
  return await Promise.all([
    door('triggers edit', refusedBy(['edit', edited, file])),
    ...(definition === undefined ? [] : [door('jobs.edit', thrownBy(lab.jobs.edit(edited, definition)))]),
  ]);
}

/** The first mistake of each kind. test/client/wrong-definitions.test.ts tries all mistakes with all fields, without a server. */
function mistakesIn(right: (field: keyof JobDefinitionInput) => object) {
  const kinds = new Map<string, Mistake>();
  for (const name of Object.keys(RIGHT)) {
    const field = name as keyof JobDefinitionInput; // A key of RIGHT.
    for (const mistake of mistakesWith(field, { ...right(field) }))
      if (!kinds.has(mistake.kind)) kinds.set(mistake.kind, mistake);
  }
  return [...kinds.values()].map((mistake) => [mistake.field, mistake.kind, mistake] as const);
}

function expectNamed(doors: readonly Door[], { field, near }: Mistake): void {
  for (const [door, problems] of doors) {
    const fields = problems.map((problem) => problem.field.replace(/[.[].*$/, ''));
    expect({ door, fields }).toEqual({ door, fields: expect.arrayContaining([field]) });
    const hint = near === undefined || problems.some(({ message }) => message.includes(`Did you mean "${near}"?`));
    expect({ door, hint }).toEqual({ door, hint: true });
  }
}

test.each(mistakesIn(() => RIGHT))(
  'a job whose %s is wrong (%s) is refused by everything that takes a definition',
  async (_field, _kind, mistake) => {
    expectNamed(await refusalsOf(mistake), mistake);
  },
);

test.each(mistakesIn((field) => ({ [field]: RIGHT[field] })))(
  'an edit whose %s is wrong (%s) is refused',
  async (_field, _kind, mistake) => {
    expectNamed(await editRefusalsOf(mistake), mistake);
  },
);

test('all problems are reported at once', async () => {
  const wrong = { label: 7, audience: ['vip'], webhookURL: 'https://a.example/', authorization: '', backfillPerSec: 1 };
  for (const [door, problems] of await refusalsOf({ text: JSON.stringify(wrong), definition: wrong }))
    expect({ door, fields: problems.map(({ field }) => field).sort() }).toEqual({
      door,
      fields: ['audience', 'audiences', 'authorization', 'backfillPerSec', 'label', 'webhookURL', 'webhookUrl'],
    });
});

test('none of this started a job, changed one or sent anything', async () => {
  expect(await lab.jobs.status(edited)).toEqual(before);
  const marker = await lab.start();
  const started = new Set<string>();
  // Other tests' jobs on this server may be encrypted.
  const { workflow } = clientForLists(lab.client);
  while (!started.has(`export-job-${marker}`))
    for await (const { workflowId, taskQueue } of workflow.list({ query: `WorkflowType = '${EXPORT_JOB}'` }))
      if (taskQueue === lab.taskQueue) started.add(workflowId);
  expect([...started].sort()).toEqual([`export-job-${edited}`, `export-job-${marker}`].sort());
  expect(lab.receiver.ledger.entries).toEqual([]);
});
