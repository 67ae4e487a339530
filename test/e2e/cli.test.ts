import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { JobStatus } from '../../src/client/export-jobs.ts';
import { Lab, NEWS, VIP } from '../support/lab.ts';
import { Operator, type ProgramOptions, startTriggers, unwrapped } from '../support/triggers-cli.ts';

let lab: Lab;
let operator: Operator;

beforeAll(async () => {
  lab = await Lab.open({
    content: { audiences: [VIP, NEWS].map((one) => ({ ...one, members: ['1'] })), profiles: { 1: { user: '1' } } },
  });
  operator = new Operator(lab.taskQueue);
});
afterAll(async () => lab.close());

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
    expect((await operator.run(['edit', job, '--parallel', '9'])).stdout).toBe(`${job} was like that already.\n`);
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

    await listed(job);
    const { stdout: list } = await operator.run(['list', '--running']);
    expect(list).toMatch(/^JOB +STATE +WAITING +DELIVERED +LAST +LETTERS +LABEL +AUDIENCES\n/);
    expect(list).toContain(job);
    const { stdout: lines } = await operator.run(['list', '--json']);
    expect(
      lines
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toContainEqual(expect.objectContaining({ jobId: job, running: true, label: 'From pause to stop' }));

    expect((await operator.json<JobStatus>(['stop', job, '--waiting', 'discard', '--yes'])).state).toBe('stopping');
    await lab.handle(job).result();
    expect((await operator.run(['status', job])).stdout).toMatch(/State +stopped\n/);
    const late = await operator.run(['pause', job]);
    expect(late.code).toBe(1);
    expect(unwrapped(late.stderr)).toContain(`The job "${job}" is no longer running (stopped).`);
  });

  test('status --watch --json: one status a line, until the job has ended', async () => {
    const job = await lab.start();
    const watch = startTriggers(['status', job, '--watch', '--json']);
    try {
      await watch.says(({ stdout }) => stdout.includes('"state":"running"'));
      await lab.jobs.enter(job, { audience: 'vip', user: '1' });
      await watch.says(({ stdout }) => stdout.includes('"delivered":1'));
      await lab.jobs.stop(job);
      const { code, stdout } = await watch.end();
      expect(code).toBe(0);
      const statuses = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as JobStatus);
      expect(statuses.at(-1)).toMatchObject({ state: 'stopped', delivered: 1 });
    } finally {
      await watch.kill();
    }
  });

  test('Ctrl-C ends a watch', async () => {
    const job = await lab.start();
    const watch = startTriggers(['status', job, '--watch']);
    try {
      await watch.says(({ stdout }) => stdout.startsWith('running'));
      watch.signal('SIGINT');
      expect((await watch.end()).code).toBe(0);
    } finally {
      await watch.kill();
    }
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

test('receive answers as told, and prints what arrives until Ctrl-C', async () => {
  const receiver = startTriggers(['receive', '--port', '0', '--status', '202', '--json']);
  try {
    await receiver.says(({ stderr }) => stderr.includes('Stop with Ctrl-C.'));
    const [url = ''] = /http:\S+/.exec(receiver.stderr) ?? [];
    const answer = await fetch(url, { method: 'POST', headers: { 'webhook-id': 'abc' }, body: '{"any":"thing"}' });
    expect(answer.status).toBe(202);
    await receiver.says(({ stdout }) => stdout.endsWith('\n'));
    expect(JSON.parse(receiver.stdout)).toMatchObject({ number: 1, deliveryId: 'abc', body: '{"any":"thing"}' });
    receiver.signal('SIGINT');
    expect((await receiver.end()).code).toBe(0);
  } finally {
    await receiver.kill();
  }
});

test('when no worker polls the task queue, that is said, and what to do', async () => {
  const args = ['start', '--label', 'Nobody', '--audience', 'vip', '--url', lab.receiver.url];
  const { code, stderr } = await operator.run(args, { env: { TRIGGERS_TASK_QUEUE: 'nobody-polls-this' } });
  expect(code).toBe(1);
  expect(unwrapped(stderr)).toContain(
    'No worker polls the task queue "nobody-polls-this". Start a worker: triggers worker (or everything at once: triggers up)',
  );
});

test('when no server answers, that is said, and what to do', async () => {
  const { code, stderr } = await operator.run(['list', '--json'], { env: { TEMPORAL_ADDRESS: '127.0.0.1:1' } });
  expect(code).toBe(1);
  expect(JSON.parse(stderr)).toMatchObject({ error: { name: 'ServerUnreachable', address: '127.0.0.1:1' } });
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
