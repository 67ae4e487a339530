import { spawnSync, type StdioOptions } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { JobStatus } from '../../src/app/export-jobs.ts';
import { Lab, labOfFile, NEWS, VIP } from '../support/lab.ts';
import { jsonLines, Operator, type ProgramOptions, startTriggers, unwrapped } from '../support/triggers-cli.ts';
import { afterwards } from '../webhook/a-server.ts';
import { tempFolder } from '../support/temp-folder.ts';

const lab = await labOfFile({
  content: { audiences: [VIP, NEWS].map((one) => ({ ...one, members: ['1'] })), profiles: { 1: { user: '1' } } },
});
const operator = new Operator(lab.taskQueue);
/** A start where no worker is: it waits for one for ten seconds, while other tests run. */
const ofNobody = operator.run(['start', '--label', 'Nobody', '--audience', 'vip', '--url', lab.receiver.url], {
  env: { TRIGGERS_TASK_QUEUE: 'nobody-polls-this' },
});

describe('a job from pause to stop', () => {
  test('pause, status, resume, edit, backfill, list, stop: each for people and for machines', async () => {
    const job = await lab.start({ label: 'From pause to stop' });
    expect(unwrapped((await operator.run(['pause', job])).stdout)).toBe(
      `Paused ${job}. Triggers are still accepted, and wait. Resume it with: triggers resume ${job}`,
    );
    expect((await operator.json<JobStatus>(['pause', job])).state).toBe('paused');
    await operator.run(['push', job, '--audience', 'vip', '--enter', '--user', '1']);

    const { stdout: status } = await operator.run(['status', job]);
    expect(status).toContain(`From pause to stop (${job})`);
    expect(status).toMatch(/State +paused/);
    expect(status).toMatch(/Waiting +1/);

    expect((await operator.run(['resume', job])).stdout).toBe(`Resumed ${job}; 1 trigger waiting.\n`);
    expect((await operator.json<JobStatus>(['resume', job])).state).toBe('running');
    await lab.statusWhen(job, ({ delivered }) => delivered === 1);

    expect((await operator.run(['edit', job, '--parallel', '9'])).stdout).toBe(
      `Changed ${job}:\n  parallelRequestCount  5 → 9\n`,
    );
    expect((await operator.run(['edit', job, '--parallel', '9'])).stdout).toBe(`${job} already has these values.\n`);
    const edited = await operator.json<{ status: JobStatus }>([
      'edit',
      job,
      '--export-field',
      'user',
      '--legacy-format',
    ]);
    expect(edited.status).toMatchObject({ parallelRequestCount: 9, exportFields: ['user'], revision: 4 });
    const wrong = await operator.run(['edit', job, '--url', 'nonsense']);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toMatch(/webhookUrl .*not a web address/);

    expect((await operator.run(['backfill', job])).stdout).toMatch(`Requested a backfill of ${job}.`);
    await lab.statusWhen(job, ({ backfill }) => backfill?.state === 'finished');
    const { backfill } = await operator.json<JobStatus>(['backfill', job, '--audience', 'vip', '--request-id', 'r']);
    expect(backfill).toMatchObject({ n: 2, audiences: ['vip'] });
    await lab.statusWhen(job, (status) => status.backfill?.n === 2 && status.backfill.state === 'finished');
    const refused = await operator.run(['backfill', job, '--audience', 'nobody']);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/its audiences are\s+vip, news/);

    await lab.listedWhen(job);
    const { stdout: list } = await operator.run(['list', '--running']);
    expect(list).toMatch(/^JOB +STATE +WAITING +DELIVERED +LAST +LETTERS +LABEL +AUDIENCES\n/);
    expect(list).toContain(job);
    const all = jsonLines((await operator.run(['list', '--json'])).stdout);
    expect(all).toContainEqual(expect.objectContaining({ jobId: job, running: true, label: 'From pause to stop' }));

    expect((await operator.json<JobStatus>(['stop', job, '--waiting', 'discard', '--yes'])).state).toBe('stopped');
    expect((await operator.run(['status', job])).stdout).toMatch(/State +stopped\n/);
    const late = await operator.run(['pause', job]);
    expect(late.code).toBe(1);
    expect(unwrapped(late.stderr)).toContain(`The job "${job}" is no longer running (stopped).`);
  });

  test('status --watch --json: one status a line, until the job has ended', async () => {
    const job = await lab.start();
    const watch = startTriggers(['status', job, '--watch', '--json']);
    afterwards(() => watch.kill());
    await watch.says(({ stdout }) => stdout.includes('"state":"running"'));
    await lab.jobs.enter(job, { audience: 'vip', user: '1' });
    await watch.says(({ stdout }) => stdout.includes('"delivered":1'));
    await lab.jobs.stop(job);
    const { code, stdout } = await watch.end();
    expect(code).toBe(0);
    expect(jsonLines(stdout).at(-1)).toMatchObject({ state: 'stopped', delivered: 1 });
  });

  test('Ctrl-C ends a watch', async () => {
    const job = await lab.start();
    const watch = startTriggers(['status', job, '--watch']);
    afterwards(() => watch.kill());
    await watch.says(({ stdout }) => stdout.startsWith('running'));
    watch.signal('SIGINT');
    expect((await watch.end()).code).toBe(0);
  });

  test.each(['status', 'stop'])('%s of a job that is not there: exit code 1', async (name) => {
    const { code, stderr } = await operator.run([name, 'no-such-job']);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'There is no job "no-such-job".\nSee all jobs: triggers list\n',
    });
  });
});

test.each<[what: string, args: readonly string[], options?: ProgramOptions]>([
  ['that is done', ['setup']],
  ['that shows its help', ['push', '--help']],
  ['that is used wrongly', ['list', '--jsn']],
  ['that reads its input', ['push', 'no-such-job', '-'], { stdin: '{"event":"enter","audience":"vip","user":"1"}\n' }],
  ['that fails', ['status', 'no-such-job', '--json']],
])('a command %s does so in a process of its own as in the warm one of these tests', async (_, args, options = {}) => {
  const env = { TRIGGERS_TASK_QUEUE: lab.taskQueue, ...options.env };
  expect(await startTriggers(args, { ...options, env }).end()).toEqual(await operator.run(args, options));
});

test('a command whose output cannot be written says so', () => {
  const stdio: StdioOptions = ['ignore', openSync('/dev/full', 'w'), 'pipe'];
  const { status, stderr } = spawnSync('node', ['lib/app/main.js', '--help'], { stdio, encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 1, stderr: 'error: the output cannot be written: ENOSPC\n' });
});

test('receive gives the chosen answer, and prints what arrives until Ctrl-C', async () => {
  const receiver = startTriggers(['receive', '--port', '0', '--status', '202', '--json']);
  afterwards(() => receiver.kill());
  await receiver.says(({ stderr }) => stderr.includes('Stop with Ctrl-C.'));
  const [url = ''] = /http:\S+/.exec(receiver.stderr) ?? [];
  const answer = await fetch(url, { method: 'POST', headers: { 'webhook-id': 'abc' }, body: '{"any":"thing"}' });
  expect(answer.status).toBe(202);
  await receiver.says(({ stdout }) => stdout.endsWith('\n'));
  expect(JSON.parse(receiver.stdout)).toMatchObject({ number: 1, deliveryId: 'abc', body: '{"any":"thing"}' });
  receiver.signal('SIGINT');
  expect((await receiver.end()).code).toBe(0);
});

test('a command says when no worker polls the task queue, and what to do', async () => {
  const { code, stderr } = await ofNobody;
  expect(code).toBe(1);
  expect(unwrapped(stderr)).toContain(
    'No worker polls the task queue "nobody-polls-this". This request changed nothing. Start a worker: triggers worker (or everything at once: triggers up)',
  );
});

test('a command reports an unreachable server with its address', async () => {
  const { code, stderr } = await operator.run(['list', '--json'], { env: { TEMPORAL_ADDRESS: '127.0.0.1:1' } });
  expect(code).toBe(1);
  expect(JSON.parse(stderr)).toMatchObject({ error: { name: 'ServerUnreachable', address: '127.0.0.1:1' } });
});

describe('start and push', () => {
  /** Of this file alone: a push without a job goes to every job of the server that listens. */
  const ONLY_HERE = { id: randomUUID().replaceAll('-', ''), slug: `only-here-${randomUUID()}`, name: 'Only here' };

  let lab: Lab;
  let operator: Operator;
  const folder = tempFolder();

  beforeAll(async () => {
    lab = await Lab.open({
      content: {
        audiences: [
          { ...VIP, windowMinutes: 15, members: ['1', '2', '3'] },
          { ...NEWS, members: [] },
          { ...ONLY_HERE, members: [] },
        ],
        profiles: Object.fromEntries(['1', '2', '3', '7076027172059065053'].map((user) => [user, { user }])),
      },
    });
    operator = new Operator(lab.taskQueue);
  });
  afterAll(async () => {
    await lab.close();
  });

  function file(name: string, content: unknown): string {
    const path = join(folder, name);
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
    return path;
  }

  function definition() {
    return { label: 'Told by a file', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
  }

  async function arrives(user: string, event: 'enter' | 'exit'): Promise<void> {
    await lab.receiver.ledger.waitFor(({ entries }) =>
      entries.some(({ message }) => message?.user === user && message.event === event),
    );
  }

  test('by a file: start names the job and the next step, warns of a short window, and starts nothing twice', async () => {
    const path = file('job.json', definition());
    const id = `cli-${randomUUID()}`;
    const first = await operator.run(['start', path, '--id', id, '--existing-users']);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    const text = unwrapped(first.stdout);
    expect(text).toContain(`Started ${id}, subscribed to vip (3 members). Current members are sent first, as enters.`);
    expect(text).toMatch(/Warning: .*"vip".* 15 minutes/);
    expect(text).toContain(`triggers status ${id} --watch`);
    await arrives('3', 'enter');

    const again = await operator.run(['start', path, '--id', id]);
    expect(again).toMatchObject({ code: 1, stdout: '' });
    expect(unwrapped(again.stderr)).toContain(`"${id}" is already running.`);
    const forMachines = await operator.run(['start', path, '--id', id, '--json']);
    expect(JSON.parse(forMachines.stderr)).toMatchObject({ error: { name: 'JobAlreadyRunning', jobId: id } });
  });

  describe('push', () => {
    test('one trigger by options, into a job that is named', async () => {
      const job = await lab.start();
      const one = ['push', job, '--audience', 'vip', '--enter', '--user', '7076027172059065053'];
      const { code, stdout } = await operator.run(one);
      expect({ code, stdout }).toEqual({ code: 0, stdout: `1 trigger accepted by ${job}.\n` });
      await arrives('7076027172059065053', 'enter');
      await expect(operator.json(['push', job, '--audience', 'vip', '--exit', '--user', '2'])).resolves.toEqual({
        jobId: job,
        accepted: 1,
        signals: 1,
      });
      await arrives('2', 'exit');
    });

    test('NDJSON: a line that is not a trigger is named by its number; what comes before it was sent', async () => {
      const job = await lab.start();
      const good = '{"event":"exit","audience":"vip","user":"1","at":"2026-01-01T00:00:00Z"}';
      const stdin = `${good}\n\n{oops\n${good}\n`;
      const { code, stdout, stderr } = await operator.run(['push', job, '-'], { stdin });
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      const text = unwrapped(stderr);
      expect(text).toContain('Line 3 is not a trigger: it is not JSON');
      expect(text).toContain('1 trigger was accepted. Nothing after that was sent. Fix it, and push again from line 3');
    });

    test('without a job: to every running job that subscribes to the audience, and says to which', async () => {
      const [one, other] = [
        await lab.start({ audiences: [ONLY_HERE.slug] }),
        await lab.start({ audiences: [ONLY_HERE.slug] }),
      ];
      for (const jobId of [one, other]) await lab.listedWhen(jobId);
      const lines = ['a', 'b'].map((user) => JSON.stringify({ event: 'exit', audience: ONLY_HERE.slug, user }));
      const nobody = JSON.stringify({ event: 'exit', audience: 'nobody-listens', user: 'a' });
      const path = file('changes.ndjson', [...lines, nobody].join('\n'));
      const { code, stdout: json } = await operator.run(['push', '--file', path, '--json']);
      const pushed = JSON.parse(json) as { read: number; unmatched: number; jobs: unknown[] };
      expect(code).toBe(1);
      expect(pushed).toMatchObject({ read: 3, unmatched: 1 });
      expect(pushed.jobs).toEqual(
        expect.arrayContaining([one, other].map((jobId) => expect.objectContaining({ jobId, accepted: 2 }))),
      );
      const { stdout } = await operator.run(['push'], { stdin: lines.join('\n') });
      expect(stdout).toMatch(/^2 triggers read\. Sent to:\n/);
      expect(stdout).toContain(`  ${one}  2 accepted`);
    });
  });

  test("an operator's machine needs none of the secrets that the worker's configuration refers to", async () => {
    const TRIGGERS_CONFIG = file('triggers.config.json', {
      taskQueue: lab.taskQueue,
      authorizations: { crm: { origins: ['https://example.com'], headers: { authorization: '${env:CRM_TOKEN}' } } },
    });
    const { code, stderr } = await operator.run(['list'], { env: { TRIGGERS_CONFIG, TRIGGERS_TASK_QUEUE: undefined } });
    expect(code).toBe(0);
    expect(stderr).not.toMatch(/CRM_TOKEN|crm/);
  });
});
