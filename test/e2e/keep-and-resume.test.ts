import { randomBytes, randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { ExportJobs, JobKept, JobNotRunning, type JobStatus } from '../../src/app/export-jobs.ts';
import { labOfFile, NEWS, VIP } from '../support/lab.ts';
import { Operator, unwrapped } from '../support/triggers-cli.ts';

let isEndpointUp = true;
let answerMs = 0;

/** No other file's job subscribes to it: a publisher tells all jobs that do. */
const OWN = { id: randomBytes(16).toString('hex'), slug: `own-${randomBytes(4).toString('hex')}`, name: 'Own' };

const lab = await labOfFile({
  content: { audiences: [VIP, NEWS, OWN].map((one) => ({ ...one, members: [] })) },
  receiver: { keepBodies: true, answer: () => ({ status: isEndpointUp ? 200 : 503, delayMs: answerMs }) },
});
const operator = new Operator(lab.taskQueue);

/** A paused job with triggers that wait, one after another: of each person an enter, then of each an exit. */
async function pausedJobOf(...users: string[]): Promise<string> {
  const job = await lab.start({ label: 'Kept', audiences: ['vip', OWN.slug] });
  await lab.jobs.pause(job);
  for (const user of users) await lab.jobs.enter(job, { audience: 'vip', user, profile: {} });
  for (const user of users) await lab.jobs.exit(job, { audience: 'vip', user, profile: {} });
  await lab.statusWhen(job, ({ waiting }) => waiting === users.length * 2);
  return job;
}

/** A job that was stopped and kept what waited. */
async function keptJobOf(...users: string[]): Promise<string> {
  const job = await pausedJobOf(...users);
  await lab.jobs.stop(job, { waiting: 'keep' });
  await lab.statusWhen(job, ({ state }) => state === 'stopped');
  return job;
}

function arrivals(...users: string[]) {
  return lab.receiver.ledger.entries.filter(({ message }) => message !== undefined && users.includes(message.user));
}

test('stop keeps what waits, says so, and resume sends it in order under the same subscription', async () => {
  const users = [randomUUID(), randomUUID()];
  const job = await pausedJobOf(...users);
  const { subscriptionId } = await lab.jobs.status(job);
  const { code, stdout } = await operator.run(['stop', job, '--waiting', 'keep']);
  expect({ code, stdout: unwrapped(stdout) }).toEqual({
    code: 0,
    stdout: `Stopped ${job}, which kept 4 waiting triggers. Resume it later with: triggers resume ${job}`,
  });
  expect(arrivals(...users)).toEqual([]);

  const kept = await operator.json<JobStatus>(['status', job]);
  expect(kept).toMatchObject({ state: 'stopped', kept: { waiting: 4, keptAt: expect.any(String) } });
  expect(unwrapped((await operator.run(['status', job])).stdout)).toMatch(
    /Kept 4 triggers, \d+ s ago; resume the job to send them/,
  );
  expect(await lab.listedWhen(job, ({ kept }) => kept !== undefined)).toMatchObject({
    state: 'stopped',
    running: false,
    kept: { waiting: 4 },
  });
  expect((await operator.run(['list'])).stdout).toMatch(new RegExp(`${job} +stopped, 4 kept`));

  const resumed = await operator.run(['resume', job]);
  expect(resumed).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^Resumed .*, with 4 triggers that it had\skept\.\n$/),
  });
  const status = await lab.statusWhen(job, ({ delivered }) => delivered === 4);
  expect(status).toMatchObject({ state: 'running', subscriptionId, waiting: 0, received: 4 });
  expect(status).not.toHaveProperty('kept');
  for (const user of users) expect(arrivals(user).map(({ message }) => message?.event)).toEqual(['enter', 'exit']);
  for (const { body } of arrivals(...users)) expect(body).toContain(`"subscription_id":"${subscriptionId}"`);
  await lab.listedWhen(job, ({ running, kept }) => running && kept === undefined);
});

test('a job that is resumed while it is still stopping runs again as soon as what is waiting is kept', async () => {
  // Long enough to be seen in flight.
  answerMs = 5000;
  const user = randomUUID();
  const job = await lab.start({ parallelRequestCount: 1 });
  await lab.jobs.enter(job, { audience: 'vip', user, profile: {} });
  await lab.statusWhen(job, ({ inFlight }) => inFlight === 1);
  await lab.jobs.exit(job, { audience: 'vip', user, profile: {} });
  expect((await lab.jobs.stop(job, { waiting: 'keep' })).state).not.toBe('running');
  answerMs = 0;
  expect((await lab.jobs.resume(job)).state).not.toBe('stopping');
  await lab.statusWhen(job, ({ delivered, state }) => delivered === 2 && state === 'running');
  expect(arrivals(user).map(({ message }) => message?.event)).toEqual(['enter', 'exit']);
});

test('under the id of a kept job nothing else starts, and the error says what to do', async () => {
  const job = await keptJobOf('patient');
  const definition = { label: 'Another', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
  const refusal = await lab.jobs.start(definition, { jobId: job }).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(JobKept);
  expect(refusal).toMatchObject({ jobId: job, waiting: 2 });
  const args = ['start', '--id', job, '--label', 'Another', '--audience', 'vip', '--url', lab.receiver.url];
  const { code, stderr } = await operator.run(args);
  expect(code).toBe(1);
  expect(unwrapped(stderr)).toBe(
    `The job "${job}" was stopped and kept 2 triggers. Resume it: triggers resume ${job} Discard its kept triggers: triggers stop ${job} --waiting discard`,
  );
  expect((await lab.jobs.status(job)).kept?.waiting).toBe(2);
});

test('an operator can discard what a stopped job kept, which frees its id', async () => {
  const user = randomUUID();
  const job = await keptJobOf(user);
  const unasked = await operator.run(['stop', job, '--waiting', 'discard']);
  expect({ code: unasked.code, stderr: unwrapped(unasked.stderr) }).toEqual({
    code: 2,
    stderr: expect.stringContaining(`2 waiting triggers of ${job} will not be sent, and cannot be had back.`),
  });
  expect((await lab.jobs.status(job)).kept?.waiting).toBe(2);
  const { code, stdout } = await operator.run(['stop', job, '--waiting', 'discard', '--yes']);
  expect({ code, stdout: unwrapped(stdout) }).toEqual({
    code: 0,
    stdout: `${job} had already stopped, and has now dropped 2 waiting triggers.`,
  });
  expect(await lab.jobs.status(job)).not.toHaveProperty('kept');
  await lab.jobs.start(
    { label: 'Another', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null },
    { jobId: job },
  );
  await lab.jobs.enter(job, { audience: 'vip', user: `after ${user}`, profile: {} });
  await lab.arrives(`after ${user}`);
  expect(arrivals(user)).toEqual([]);
});

test.each(['deliver', 'keep'] as const)('a kept job cannot be stopped with %s once more', async (waiting) => {
  const job = await keptJobOf('kept');
  await expect(lab.jobs.stop(job, { waiting })).rejects.toBeInstanceOf(JobNotRunning);
  expect((await lab.jobs.status(job)).kept?.waiting).toBe(2);
});

test('a request to a kept job advises only to resume it, which works; recover is refused', async () => {
  const job = await keptJobOf('asked');
  const refusal: unknown = await lab.jobs.edit(job, { label: 'x' }).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(JobNotRunning);
  expect(refusal).toMatchObject({ remedies: [{ action: 'resume', job }] });
  await expect(lab.jobs.recover(job)).rejects.toBeInstanceOf(JobKept);
  await lab.jobs.resume(job);
  await lab.jobs.edit(job, { label: 'x' });
});

test('a stopped job refuses triggers from clients and publishers, but keeps those that another program signals', async () => {
  const user = randomUUID();
  const job = await keptJobOf(user);
  const late = { event: 'enter', audience: OWN.slug, user: `late ${user}`, profile: {} } as const;
  const publisher = new ExportJobs(lab.client, { taskQueue: lab.taskQueue });
  for (const jobs of [lab.jobs, publisher]) {
    await expect(jobs.enter(job, late)).rejects.toBeInstanceOf(JobNotRunning);
    await expect(jobs.push(job, [late])).rejects.toMatchObject({ accepted: 0, cause: expect.any(JobNotRunning) });
  }
  await lab.listedWhen(job, ({ kept }) => kept !== undefined);
  const { jobs } = await publisher.publish([late]);
  expect(jobs.map(({ jobId }) => jobId)).not.toContain(job);
  await lab.handle(job).signal('enter', late);
  await lab.statusWhen(job, ({ kept }) => kept?.waiting === 3);
  await lab.jobs.resume(job);
  expect(await lab.statusWhen(job, ({ delivered }) => delivered === 3)).toMatchObject({ received: 3 });
});

test.each(['discard', 'keep'] as const)(
  'amid its work, a stop with %s says how much the receiver did not get, to the trigger',
  async (waiting) => {
    answerMs = 30;
    const users = Array.from({ length: 400 }, () => randomUUID());
    const job = await lab.start({ parallelRequestCount: 20 });
    await lab.jobs.push(
      job,
      users.map((user) => ({ event: 'enter' as const, audience: 'vip', user, profile: {} })),
    );
    await lab.statusWhen(job, ({ delivered }) => delivered > 20);
    const { dropped, kept, state } = await lab.jobs.stop(job, { waiting });
    answerMs = 0;
    const missed = users.length - arrivals(...users).length;
    expect(missed).toBeGreaterThan(0);
    expect({ state, count: dropped ?? kept?.waiting }).toEqual({ state: 'stopped', count: missed });
  },
);

test('a stopped job that kept nothing cannot be resumed, and refuses to discard', async () => {
  const job = await lab.start();
  await lab.jobs.stop(job);
  await lab.handle(job).result();
  await expect(lab.jobs.resume(job)).rejects.toBeInstanceOf(JobNotRunning);
  await expect(lab.jobs.stop(job, { waiting: 'discard' })).rejects.toBeInstanceOf(JobNotRunning);
});

test('at its deadline a stopping job keeps what it could not send', async () => {
  isEndpointUp = false;
  try {
    const job = await lab.start();
    await lab.jobs.enter(job, { audience: 'vip', user: 'undelivered', profile: {} });
    await lab.statusWhen(job, ({ delayed }) => delayed === 1);
    const { stdout } = await operator.run(['stop', job, '--deadline', '1s']);
    expect(unwrapped(stdout)).toContain('1 waiting trigger will be sent first, for at most 1 s. The rest is kept.');
    await lab.statusWhen(job, ({ state }) => state === 'stopped');
    expect((await lab.jobs.status(job)).kept?.waiting).toBe(1);
    isEndpointUp = true;
    await lab.jobs.resume(job);
    await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  } finally {
    isEndpointUp = true;
  }
});

test('a job stopped with keep and nothing waiting can be resumed, and does not block its id', async () => {
  const job = await keptJobOf();
  expect((await lab.jobs.status(job)).kept).toMatchObject({ waiting: 0 });
  expect((await lab.jobs.resume(job)).state).toBe('running');
  const { subscriptionId } = await lab.jobs.status(job);
  await lab.jobs.stop(job, { waiting: 'keep' });
  await lab.statusWhen(job, ({ state }) => state === 'stopped');

  const definition = { label: 'Anew', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
  expect(await lab.jobs.plan({ [job]: definition })).toMatchObject({ ok: true, jobs: [{ action: 'create' }] });
  expect((await lab.jobs.status(job)).kept).toMatchObject({ waiting: 0 });
  await lab.jobs.start(definition, { jobId: job });
  const status = await lab.jobs.status(job);
  expect(status).toMatchObject({ state: 'running', label: 'Anew' });
  expect(status.subscriptionId).not.toBe(subscriptionId);
  const user = randomUUID();
  await lab.jobs.enter(job, { audience: 'vip', user, profile: {} });
  await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  await lab.jobs.stop(job);
  await lab.handle(job).result();
  expect(await lab.jobs.status(job)).not.toHaveProperty('kept');
});
