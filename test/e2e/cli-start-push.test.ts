import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { JobStatus } from '../../src/client/export-jobs.ts';
import { Lab, NEWS, VIP } from '../support/lab.ts';
import { Operator, unwrapped } from '../support/triggers-cli.ts';

/** Of this file alone: a push without a job goes to every job of the server that listens. */
const ONLY_HERE = { id: randomUUID().replaceAll('-', ''), slug: `only-here-${randomUUID()}`, name: 'Only here' };

let lab: Lab;
let operator: Operator;
let folder: string;

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
  folder = mkdtempSync(join(tmpdir(), 'cli-test-'));
});
afterAll(async () => {
  await lab.close();
  rmSync(folder, { recursive: true });
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

describe('start', () => {
  test('by a file: says what was started and what to do next, warns of a short time window, and starts nothing twice', async () => {
    const path = file('job.json', definition());
    const id = `cli-${randomUUID()}`;
    const first = await operator.run(['start', path, '--id', id, '--existing-users']);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    const text = unwrapped(first.stdout);
    expect(text).toContain(`Started ${id}, listening to vip (3 members). Current members are sent first, as enters.`);
    expect(text).toMatch(/Warning: .*"vip".* 15 minutes/);
    expect(text).toContain(`triggers status ${id} --watch`);
    await arrives('3', 'enter');

    const again = await operator.run(['start', path, '--id', id]);
    expect(again).toMatchObject({ code: 1, stdout: '' });
    expect(unwrapped(again.stderr)).toContain(`"${id}" is already running.`);
    const forMachines = await operator.run(['start', path, '--id', id, '--json']);
    expect(JSON.parse(forMachines.stderr)).toMatchObject({ error: { name: 'JobAlreadyRunning', jobId: id } });
  });

  test("an option can say no to a file's existing users", async () => {
    const path = file('everybody.json', { ...definition(), existingUsers: true });
    const id = `cli-${randomUUID()}`;
    const { code, stdout } = await operator.run(['start', path, '--id', id, '--no-existing-users']);
    expect({ code, stdout: unwrapped(stdout) }).toEqual({ code: 0, stdout: expect.not.stringContaining('as enters') });
    expect((await operator.json<JobStatus>(['status', id])).backfill).toBeUndefined();
  });

  test('by options: the id is made from the label', async () => {
    const label = `By options ${randomUUID()}`;
    const args = ['start', '--label', label, '--audience', 'vip', '--audience', 'news', '--url', lab.receiver.url];
    const started = await operator.json<{ jobId: string; audiences: unknown[] }>(args);
    expect(started.jobId).toMatch(/^by-options-/);
    expect(started.audiences).toHaveLength(2);
  });

  test('a job that is wrong: every problem at once, by field, exit code 2', async () => {
    const path = file('wrong.json', { ...definition(), label: '', audience: ['vip'], audiences: ['vpi'] });
    const { code, stdout, stderr } = await operator.run(['start', path, '--parallel', '0']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    const text = unwrapped(stderr);
    expect(text).toContain('The job was not accepted:');
    expect(text).toContain('label The label must not be empty.');
    expect(text).toContain(
      'audiences[0] The source knows no audience "vpi". Did you mean "vip"? It knows: vip, news, only-here',
    );
    expect(text).toMatch(/parallelRequestCount .*at least 1/);
    expect(text).toMatch(/audience .*audiences/);

    const forMachines = await operator.run(['start', path, '--json']);
    expect(forMachines.code).toBe(2);
    expect(JSON.parse(forMachines.stderr)).toMatchObject({ error: { name: 'InvalidJob' } });
  });
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
    for (const [wrong, why] of [
      ['{oops', 'it is not JSON'],
      ['{"event":"exit","audience":"vip","user":7}', '"user" must be a string'],
    ]) {
      const { code, stdout, stderr } = await operator.run(['push', job, '-'], {
        stdin: `${good}\n\n${wrong}\n${good}\n`,
      });
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      const text = unwrapped(stderr);
      expect(text).toContain(`Line 3 is not a trigger: ${why}`);
      expect(text).toContain(
        '1 trigger was accepted. Nothing after that was sent. Fix it, and push again from line 3 on.',
      );
    }
  });

  test('without a job: to every running job that listens to the audience, and says to which', async () => {
    const [one, other] = [
      await lab.start({ audiences: [ONLY_HERE.slug] }),
      await lab.start({ audiences: [ONLY_HERE.slug] }),
    ];
    await listed(one, other);
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

  test('what the job does not listen to is said: one trigger is not sent, and of many it is told how many were not', async () => {
    const job = await lab.start({ audiences: ['vip'] });
    const one = await operator.run(['push', job, '--audience', 'vpi', '--exit', '--user', '1']);
    expect({ code: one.code, stdout: one.stdout, stderr: unwrapped(one.stderr) }).toEqual({
      code: 2,
      stdout: '',
      stderr: `Nothing was sent to "${job}": It does not listen to "vpi". Did you mean "vip"? See what it listens to: triggers status ${job}`,
    });
    expect(await lab.jobs.status(job)).toMatchObject({ received: 0, rejected: 0 });
    const lines = ['vip', 'vpi', 'news', 'vpi'].map((audience, i) =>
      JSON.stringify({ event: 'exit', audience, user: `unmatched ${i}` }),
    );
    const many = await operator.run(['push', job, '--file', file('unmatched.ndjson', lines.join('\n'))]);
    expect({ code: many.code, stdout: unwrapped(many.stdout) }).toEqual({
      code: 1,
      stdout: `1 trigger accepted by ${job}. 3 not sent.`,
    });
    expect(unwrapped(many.stderr)).toBe(
      `${job} does not listen to "vpi" (did you mean "vip"?), "news". 3 triggers were not sent. See what it listens to: triggers status ${job}`,
    );
    expect(await lab.statusWhen(job, ({ received }) => received === 1)).toMatchObject({ rejected: 0 });
    const again = await operator.run(['push', job, '--file', file('unmatched.ndjson', lines.join('\n')), '--json']);
    expect(again.code).toBe(1);
    expect(JSON.parse(again.stdout)).toMatchObject({ accepted: 1, unmatched: 3 });
  });

  test('where nothing at all was sent, since nobody listens, that is no success', async () => {
    const { code, stdout, stderr } = await operator.run([
      'push',
      '--audience',
      'nobody-does',
      '--enter',
      '--user',
      '1',
    ]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'Nothing was sent.\n' });
    // Other tests' jobs on the same server may be encrypted.
    expect(stdout).toMatch(/^1 trigger read\. No running job (?:that can be read here )?listens to its audience\.\n/);
  });

  test('what cannot be done is said with its reason', async () => {
    const one = ['--audience', 'vip', '--enter', '--user', '1'];
    const unknown = await operator.run(['push', 'no-such-job', ...one]);
    expect(unknown).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'Nothing was sent to "no-such-job": There is no job "no-such-job".\nSee all jobs: triggers list\n',
    });
    const unread = await operator.run(['push', 'any', '--file', 'none.ndjson']);
    expect(unread).toMatchObject({ code: 2, stderr: 'The file none.ndjson cannot be read. Check its path.\n' });
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

/** The server lists a new job a moment after its start. */
async function listed(...jobIds: readonly string[]): Promise<void> {
  for (;;) {
    const listed = new Set(
      (await lab.jobs.list()).filter(({ audiences }) => audiences !== undefined).map(({ jobId }) => jobId),
    );
    if (jobIds.every((jobId) => listed.has(jobId))) return;
  }
}
