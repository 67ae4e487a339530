import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
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

  test('by options: the id is made from the label', async () => {
    const label = `By options ${randomUUID()}`;
    const args = ['start', '--label', label, '--audience', 'vip', '--audience', 'news', '--url', lab.receiver.url];
    const started = await operator.json<{ jobId: string; audiences: unknown[] }>(args);
    expect(started.jobId).toMatch(/^by-options-/);
    expect(started.audiences).toHaveLength(2);
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
