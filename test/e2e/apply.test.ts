import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { beforeEach, expect, test } from '@jest/globals';
import { carryOut, shownJob } from '../../src/features/apply/command.ts';
import { reportFailure } from '../../src/cli/exit-code.ts';
import type { JobDefinitionInput } from '../../src/app/export-jobs.ts';
import { apiOf, askOf } from '../api/an-api.ts';
import { aTerminal } from '../cli/a-terminal.ts';
import type { RecorderOptions } from '../../demo/recorder.ts';
import { RIGHT } from '../contract/a-mistake.ts';
import { Lab, labOfFile, labOfTest, NEWS, VIP } from '../support/lab.ts';
import { until } from '../support/patience.ts';
import { jsonLines, Operator, unwrapped } from '../support/triggers-cli.ts';
import { tempFolder } from '../support/temp-folder.ts';

let folder: string;
beforeEach(() => {
  folder = tempFolder();
});

/** Two audiences of which one takes over the slug of the other. */
const BEFORE = { id: '7e'.repeat(16), slug: 'seasonal', name: 'Last season' };
const AFTER = { id: '7f'.repeat(16), slug: 'next', name: 'This season' };

/** What a plan, or what was done, is printed as. */
interface Applied {
  readonly dryRun: boolean;
  readonly jobs: readonly { readonly jobId: string; readonly action: string; readonly changes?: readonly object[] }[];
}

/** The endpoint takes nothing about them, so that a job goes on trying. */
const NEVER = 'never';
const receiver: RecorderOptions = {
  answer: ({ message }) => (message?.user === NEVER ? { status: 503 } : undefined),
};

const members = ['1', '2', '3'];
const profiles = Object.fromEntries(members.map((user) => [user, { email: `${user}@example.com` }]));
const others = [NEWS, BEFORE, AFTER].map((one) => ({ ...one, members: [] }));
const lab = await labOfFile({ receiver, content: { audiences: [{ ...VIP, members }, ...others], profiles } });
const operator = new Operator(lab.taskQueue);

const a = (name: string): string => `${name}-${randomUUID()}`;
const simple = (more: Partial<JobDefinitionInput> = {}): JobDefinitionInput => ({
  label: 'Applied',
  audiences: ['vip'],
  webhookUrl: `${lab.receiver.url}secret-path`,
  authorization: null,
  ...more,
});

function file(jobId: string, definition: object | string, place = '.'): string {
  mkdirSync(join(folder, place), { recursive: true });
  const path = join(folder, place, `${jobId}.json`);
  writeFileSync(path, typeof definition === 'string' ? definition : JSON.stringify(definition));
  return path;
}

const apply = async (...args: string[]): Promise<Applied> => await operator.json<Applied>(['apply', folder, ...args]);
const actions = ({ jobs }: Applied): Record<string, string> =>
  Object.fromEntries(jobs.map(({ jobId, action }) => [jobId, action]));
/** What a command that fails says, and its exit code. */
async function failing(...args: string[]): Promise<{ code: number | null; text: string; error: object }> {
  const inWords = await operator.run(args);
  const asJson = await operator.run([...args, '--json']);
  expect(inWords.code).toBe(asJson.code);
  const { error = {} } = jsonLines<{ error?: object }>(asJson.stderr).at(-1) ?? {};
  return { code: inWords.code, text: unwrapped(inWords.stderr), error };
}

test('apply makes jobs match their files, in folders too; a dry run shows the changes; a repeat changes nothing', async () => {
  const [one, other] = [a('one'), a('other')];
  file(one, simple());
  file(other, simple({ audiences: ['news'], parallelRequestCount: 7, description: 'of news' }), 'team/mail');
  file('.hidden', '{');
  writeFileSync(join(folder, 'README.md'), 'no job');
  expect(actions(await apply('--dry-run'))).toEqual({ [one]: 'create', [other]: 'create' });
  await expect(lab.jobs.status(one)).rejects.toThrow('There is no job');

  expect(actions(await apply())).toEqual({ [one]: 'create', [other]: 'create' });
  expect(actions(await apply())).toEqual({ [one]: 'unchanged', [other]: 'unchanged' });
  expect(await lab.jobs.status(other)).toMatchObject({ parallelRequestCount: 7, revision: 1, description: 'of news' });

  // A field that is no longer there has its default again.
  file(other, simple({ audiences: [NEWS.id, 'vip'], webhookUrl: `${lab.receiver.url}other-path` }), 'team/mail');
  const { stdout: planned } = await operator.run(['apply', folder, '--dry-run']);
  expect(planned).toContain(`change     ${other}\n`);
  expect(planned).toMatch(/ {2}description +"of news" → ""\n/);
  expect(planned).toMatch(/ {2}audiences +\["news"\] → \["news","vip"\]\n/);
  expect(planned).toMatch(/ {2}webhookUrl +"http:.*" → "http:.*" \(what is not shown may have changed\)\n/);
  expect(planned).toMatch(/ {2}parallelRequestCount +7 → 5\n/);
  expect(planned).toContain('unchanged  1 job\n');
  expect(planned).toMatch(/1 job would be changed\.\n$/);
  expect(await lab.jobs.status(other)).toMatchObject({ revision: 1 });

  const { stdout, stderr } = await operator.run(['apply', folder]);
  expect(stdout).toBe('1 job was changed.\n');
  expect(stderr + planned).not.toContain('path');
  expect(await lab.jobs.status(other)).toMatchObject({ parallelRequestCount: 5, revision: 2, description: '' });
  expect(await lab.jobs.definition(other)).toEqual(
    simple({ audiences: ['news', 'vip'], webhookUrl: `${lab.receiver.url}other-path` }),
  );
  expect((await operator.run(['apply', folder])).stdout).toBe('All jobs are already up to date.\n');
});

test.each<[string, Partial<JobDefinitionInput>]>([
  ['with all that there is', RIGHT],
  ['with little', { label: 'Little' }],
  [
    'with batches in an envelope, and two URLs',
    {
      envelope: 'cloudevents',
      batch: { size: 50 },
      onEnter: { webhookUrl: 'https://b.example/enter?key=s3cret' },
      onExit: { answers: { '410': 'delivered' } },
    },
  ],
])('apply finds a job exported %s unchanged, and the export is what the job was started with', async (_, more) => {
  const job = a('exported');
  const definition = simple(more);
  await lab.jobs.start(definition, { jobId: job });
  const { stdout } = await operator.run(['export', job]);
  file(job, stdout);
  expect(actions(await apply())).toEqual({ [job]: 'unchanged' });
  const exported = JSON.parse(stdout) as JobDefinitionInput;
  const checked = (of: object) => lab.jobs.check(of).then((prepared) => prepared.ok && prepared.definition);
  expect(await checked(exported)).toEqual(await checked(definition));
  expect(await operator.json(['export', job])).toEqual(exported);
});

test('apply reports every mistake in any file at once, by file, before anything changes', async () => {
  const [right, wrong, late, moved] = [a('right'), a('wrong'), a('late'), a('moved')];
  file(right, simple());
  const paths = {
    form: file(wrong, simple({ parallelRequestCount: 0, audiences: ['vipp'] })),
    json: file(a('no'), '{'),
    name: file('no id', simple()),
    reserved: file('crm-backfill-1', simple()),
    doubled: file(right, simple(), 'twice'),
    late: file(late, simple({ existingUsers: true })),
    moved: file(moved, simple({ audiences: [BEFORE.slug] })),
  };
  await lab.jobs.start(simple(), { jobId: late });
  await lab.jobs.start(simple({ audiences: [BEFORE.slug] }), { jobId: moved });
  lab.source.rename(BEFORE.id, 'formerly');
  lab.source.rename(AFTER.id, BEFORE.slug);
  const { code, text, error } = await failing('apply', folder);
  expect(code).toBe(2);
  expect(error).toMatchObject({ name: 'InvalidJobFiles' });
  const { files } = error as { readonly files: readonly { file: string; problems: readonly { field: string }[] }[] };
  expect(new Map(files.map(({ file: path, problems }) => [path, problems.map(({ field }) => field).sort()]))).toEqual(
    new Map([
      [paths.form, ['audiences[0]', 'parallelRequestCount']],
      [paths.json, ['']],
      [paths.name, ['id']],
      [paths.reserved, ['id']],
      [paths.doubled, ['id']],
      [paths.late, ['existingUsers']],
      [paths.moved, ['audiences']],
    ]),
  );
  expect(text).toContain('Nothing was started, changed or stopped, since not all of it can be:');
  for (const path of Object.values(paths)) expect(text.replaceAll(' ', '')).toContain(path.replaceAll(' ', ''));
  await expect(lab.jobs.status(right)).rejects.toThrow('There is no job');
});

test('a job that cannot be changed or started now is said to be, before anything changes', async () => {
  const [fresh, kept, gone, stopping, elsewhere] = ['fresh', 'kept', 'gone', 'stopping', 'elsewhere'].map(a) as [
    string,
    string,
    string,
    string,
    string,
  ];
  for (const jobId of [fresh, kept, gone, stopping, elsewhere]) file(jobId, simple({ label: 'Another' }));
  for (const jobId of [kept, gone, stopping]) {
    await lab.jobs.start(simple(), { jobId });
    await lab.jobs.pause(jobId);
    await lab.jobs.enter(jobId, { audience: 'vip', user: NEVER, profile: {} });
    await lab.statusWhen(jobId, ({ waiting }) => waiting === 1);
  }
  await lab.jobs.stop(kept, { waiting: 'keep' });
  await lab.statusWhen(kept, ({ state }) => state === 'stopped');
  await lab.handle(gone).terminate();
  await lab.jobs.stop(stopping);
  const there = await labOfTest();
  await there.jobs.start(simple({ webhookUrl: there.receiver.url }), { jobId: elsewhere });
  const { code, error } = await failing('apply', folder);
  expect(code).toBe(2);
  const { files } = error as { readonly files: readonly { problems: readonly { message: string }[] }[] };
  expect(files.map(({ problems }) => problems[0]?.message)).toEqual([
    expect.stringContaining('runs on another task queue'),
    expect.stringContaining('can be recovered'),
    expect.stringContaining('was stopped and kept'),
    expect.stringContaining('It is stopping'),
  ]);
  await expect(lab.jobs.status(fresh)).rejects.toThrow('There is no job');
  await lab.jobs.stop(stopping, { waiting: 'discard' });
});

test('with --prune, jobs of this task queue without a file are stopped when somebody says so, and no others', async () => {
  const there = await Lab.open({ receiver });
  const here = new Operator(there.taskQueue);
  const [wanted, unwanted, foreign] = [a('wanted'), a('unwanted'), a('foreign')];
  try {
    // Another URL, so that it is no rename of the other one.
    file(wanted, simple({ webhookUrl: `${there.receiver.url}wanted` }));
    await there.jobs.start(simple({ webhookUrl: there.receiver.url }), { jobId: unwanted });
    await there.jobs.pause(unwanted);
    await there.jobs.enter(unwanted, { audience: 'vip', user: NEVER, profile: {} });
    await there.statusWhen(unwanted, ({ waiting }) => waiting === 1);
    await lab.jobs.start(simple(), { jobId: foreign });
    // Until the server lists it.
    const plan = async () => await here.json<Applied>(['apply', folder, '--prune', '--dry-run']);
    let planned = await plan();
    while (planned.jobs.length < 2) planned = await plan();
    expect(planned.jobs).toMatchObject([
      { jobId: wanted, action: 'create' },
      { jobId: unwanted, action: 'stop', waiting: 1 },
    ]);
    const unasked = await here.run(['apply', folder, '--prune', '--force']);
    expect(unasked.code).toBe(2);
    expect(unwrapped(unasked.stderr)).toContain(
      `This stops ${unwanted}: what waits there is sent first, for at most an hour. Nothing was done. There is no terminal to confirm on. To go ahead, add --yes.`,
    );
    await expect(there.jobs.status(wanted)).rejects.toThrow('There is no job');
    const bad = file(a('bad'), '{');
    expect(await here.run(['apply', folder, '--prune', '--yes'])).toMatchObject({ code: 2 });
    rmSync(bad);
    expect(await there.jobs.status(unwanted)).toMatchObject({ state: 'paused' });

    // It has none of the jobs that run.
    const strangers = await here.run(['apply', folder, '--prune', '--yes']);
    expect(strangers.code).toBe(1);
    expect(unwrapped(strangers.stderr)).toContain(
      `The folder has none of the 1 running job of this task queue, so all would be stopped (${unwanted}). Most likely it is the wrong folder. Nothing was done. To go ahead anyway, add --force.`,
    );
    expect((await there.jobs.status(unwanted)).state).toBe('paused');
    const done = await here.run(['apply', folder, '--prune', '--force', '--yes']);
    expect(done).toMatchObject({ code: 0, stdout: '1 job was started, 1 job was stopped.\n' });
    expect(await there.jobs.status(unwanted)).toMatchObject({ state: 'stopping' });
    expect(await lab.jobs.status(foreign)).toMatchObject({ state: 'running' });
    expect(actions(await here.json<Applied>(['apply', folder, '--prune']))).toEqual({ [wanted]: 'unchanged' });

    rmSync(join(folder, `${wanted}.json`));
    for (const args of [['--prune', '--yes'], []]) {
      const empty = await here.run(['apply', folder, ...args]);
      expect(empty).toMatchObject({ code: 2, stderr: expect.stringContaining('There is no job file') });
    }
    expect(await there.jobs.status(wanted)).toMatchObject({ state: 'running' });
    expect(await here.run(['apply', join(folder, 'nowhere')])).toMatchObject({ code: 2 });
  } finally {
    await there.jobs.stop(unwanted, { waiting: 'discard' });
    await there.close();
  }
});

test('a renamed file restarts its job without losing changes, and is reported; a file that names its job only moves', async () => {
  // Nobody else's job on this server subscribes to it.
  const own = { id: randomUUID().replaceAll('-', ''), slug: a('own'), name: 'Own', members: [] };
  const there = await Lab.open({ receiver, content: { audiences: [own] } });
  const here = new Operator(there.taskQueue);
  const api = await apiOf(there);
  const name = a('renamed');
  const definition = simple({ webhookUrl: there.receiver.url, audiences: [own.slug] });
  const sent: string[] = [];
  const stop = new AbortController();
  const send = async (): Promise<void> => {
    for (let n = 0; !stop.signal.aborted; n++, await setTimeout(10)) {
      const user = `${name}-${n}`;
      sent.push(user);
      const body = { event: 'enter', audience: own.slug, user, profile: {} };
      expect(await askOf(api, '/v1/triggers', { body })).toMatchObject({ status: 202, body: { unmatched: 0 } });
    }
  };
  try {
    file(name, definition);
    await here.json(['apply', folder]);
    await there.listedWhen(name);
    const sending = send();
    const fresh = `${name}-1`;
    rmSync(join(folder, `${name}.json`));
    file(fresh, definition);
    const applied = await here.run(['apply', folder, '--prune', '--yes']);
    expect(applied.code === 0 ? undefined : applied.stderr).toBeUndefined();
    expect(unwrapped(applied.stderr)).toContain(`If only the file was renamed, say in it "id": "${name}".`);
    expect(unwrapped(applied.stdout)).toContain(
      `1 job was started, 1 job was stopped. ${fresh} took the place of ${name}.`,
    );
    stop.abort();
    await sending;
    const arrived = () => new Set(there.receiver.ledger.entries.map(({ message }) => message?.user));
    await until(() => arrived().size === sent.length);

    rmSync(join(folder, `${fresh}.json`));
    file('another-name', { id: fresh, ...definition });
    expect(actions(await here.json<Applied>(['apply', folder, '--prune']))).toEqual({ [fresh]: 'unchanged' });
    const twin = ['start', join(folder, 'another-name.json'), '--id', a('twin')];
    expect(await here.json(twin)).toMatchObject({ twins: [fresh] });
  } finally {
    stop.abort();
    await api.close();
    await there.close();
  }
});

test('apply needs --yes to leave people out of a backfill, and says first what it cannot do meanwhile', async () => {
  const job = a('filling');
  await lab.jobs.start(simple({ audiences: ['vip', 'news'] }), { jobId: job });
  await lab.jobs.backfill(job, { sample: 1 });
  await lab.statusWhen(job, ({ backfill }) => backfill?.state === 'paused');
  file(job, simple({ audiences: ['vip', 'news'], events: ['exit'] }));
  const { code, error } = await failing('apply', folder);
  expect({ code, error }).toMatchObject({ code: 2, error: { files: [{ problems: [{ field: 'events' }] }] } });
  file(job, simple({ audiences: ['news'] }));
  const unasked = await failing('apply', folder);
  expect(unasked).toMatchObject({ code: 2, text: expect.stringMatching(/Backfill 1.*will skip.*--yes/) });
  const times = (text: string): number => text.split('will skip').length - 1;
  expect(times(unasked.text)).toBe(1);
  expect(times(unwrapped((await operator.run(['apply', folder, '--dry-run'])).stdout))).toBe(1);
  expect(await lab.jobs.status(job)).toMatchObject({ revision: 1 });
  expect(actions(await apply('--yes'))).toEqual({ [job]: 'change' });
  expect(await lab.jobs.status(job)).toMatchObject({ revision: 2, audiences: [{ slug: 'news' }] });
});

test('an apply that fails halfway says what was done, where it failed and what was not begun', async () => {
  const [first, second, third] = ['1', '2', '3'].map((n) => a(`half-${n}`)) as [string, string, string];
  const plan = await lab.jobs.plan(Object.fromEntries([first, second, third].map((jobId) => [jobId, simple()])));
  if (!plan.ok) throw new Error('It is a plan.');
  // As if somebody else started it meanwhile.
  await lab.jobs.start(simple(), { jobId: second });
  const shown = plan.jobs.map((job) => shownJob(job, undefined));
  const error: unknown = await carryOut(lab.jobs, plan.jobs, shown, 'why').catch((thrown: unknown) => thrown);
  const { terminal, err } = aTerminal();
  expect(reportFailure(error, terminal, true)).toBe(1);
  expect(JSON.parse(err.join('\n'))).toMatchObject({
    error: {
      name: 'PartlyApplied',
      done: [{ jobId: first, action: 'create' }],
      failed: { jobId: second, action: 'create' },
      left: [{ jobId: third, action: 'create' }],
      message: expect.stringContaining(`Done: create ${first}. Not begun: create ${third}.`),
    },
  });
  expect((await lab.jobs.status(first)).state).toBe('running');
  await expect(lab.jobs.status(third)).rejects.toThrow('There is no job');
});
