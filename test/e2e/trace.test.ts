import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { TraceStory } from '../../src/features/trace/render.ts';
import { ExportJobs, type TraceEvent, type TraceOptions, UnknownPayloadKey } from '../../src/app/export-jobs.ts';
import { EXPORT_JOB, jobWorkflowId } from '../../src/domain/names.ts';
import { answerWhen } from '../support/patience.ts';
import { type Lab, labOfFile, labOfTest, NEWS, VIP } from '../support/lab.ts';
import { Operator, unwrapped } from '../support/triggers-cli.ts';
import { aPayloadKey } from '../temporal/a-payload-key.ts';

/** Left to fail, by person. */
const failing = new Map<string, number>();

const lab = await labOfFile({
  content: {
    audiences: [
      { ...VIP, members: ['member'] },
      { ...NEWS, members: [] },
    ],
    profiles: Object.fromEntries(
      ['member', 'well', 'flaky', 'refused', 'down', 'other'].map((user) => [user, { user }]),
    ),
  },
  receiver: {
    answer: ({ message }) => {
      const user = message?.user ?? '';
      if (user === 'refused') return { status: 422, body: 'no email' };
      const left = failing.get(user) ?? 0;
      failing.set(user, left - 1);
      return left > 0 ? { status: 503, body: 'busy' } : undefined;
    },
  },
});

async function traced(user: string, options: TraceOptions, jobs = lab.jobs): Promise<TraceEvent[]> {
  const events: TraceEvent[] = [];
  for await (const event of jobs.trace(user, options)) events.push(event);
  return events;
}

function story(events: readonly TraceEvent[]): string {
  const teller = new TraceStory({ nowMs: Date.now() });
  return unwrapped(events.flatMap((event) => teller.lines(event)).join('\n'));
}

/** An endpoint that took somebody is believed when it refuses somebody else. */
async function proven(definition: Parameters<Lab['start']>[0] = {}): Promise<string> {
  const job = await lab.start(definition);
  await lab.jobs.enter(job, { audience: 'vip', user: 'well', at: '2026-11-25T08:30:00Z' });
  await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  return job;
}

test('a person through a retry: what was signalled, each attempt with its answer, and that nothing waits', async () => {
  const job = await proven();
  // After the second failure, the next attempt is half a minute away: long enough for all that is done before it.
  failing.set('flaky', 2);
  await lab.jobs.enter(job, { audience: 'vip', user: 'flaky', at: '2026-11-25T08:30:00Z' });
  const attempts = () => lab.receiver.ledger.entries.filter(({ message }) => message?.user === 'flaky');
  await lab.statusWhen(job, ({ delayed }) => delayed === 1 && attempts().length === 2);
  const delayed = await traced('flaky', { jobId: job });
  expect(delayed.map(({ kind }) => kind)).toEqual(['received', 'attempted', 'attempted', 'stands']);
  expect(delayed.at(-1)).toMatchObject({
    standing: { state: 'running', waitingCount: 1, chain: { place: 'delayed', failures: 2 } },
  });
  expect(story(delayed)).toMatch(
    /The next attempt is due at \d\d:\d\d:\d\d \(in \d+ s\), since the last one failed: HTTP 503/,
  );

  await lab.jobs.push(job, [{ event: 'exit', audience: 'news', user: 'flaky' }]);
  await lab.handle(job).signal('enter', { audience: 'nobody', user: 'flaky' });
  await lab.statusWhen(job, ({ rejected }) => rejected === 1);
  await lab.jobs.retry(job);
  await lab.statusWhen(job, ({ waiting }) => waiting === 0);
  const events = await traced('flaky', { jobId: job });
  expect(events).toMatchObject([
    { kind: 'received', event: 'enter', audience: 'vip', triggerAt: '2026-11-25T08:30:00Z' },
    { kind: 'attempted', attempt: 1, outcome: 'failed', verdict: 'transient', status: 503, answer: 'busy' },
    { kind: 'attempted', attempt: 2, outcome: 'failed', verdict: 'transient', status: 503, answer: 'busy' },
    { kind: 'received', event: 'exit', audience: 'news' },
    { kind: 'received', event: 'enter', audience: 'nobody', refused: expect.stringContaining('does not subscribe') },
    { kind: 'attempted', attempt: 3, outcome: 'delivered', event: 'enter', audience: 'vip' },
    { kind: 'attempted', attempt: 1, outcome: 'delivered', event: 'exit', audience: 'news' },
    { kind: 'stands', standing: { waitingCount: 0 } },
  ]);
  const [attempted] = events.filter(({ kind }) => kind === 'attempted');
  const arrived = lab.receiver.ledger.entries.find(({ message }) => message?.user === 'flaky');
  expect(attempted).toMatchObject({ deliveryId: arrived?.deliveryId });
});

test('a dead letter is shown with its present state, and with what came of it when it was sent again', async () => {
  const job = await proven();
  await lab.jobs.enter(job, { audience: 'vip', user: 'refused' });
  await lab.statusWhen(job, ({ deadLetters }) => deadLetters === 1);
  const waits = await traced('refused', { jobId: job });
  expect(waits).toMatchObject([
    { kind: 'received' },
    { kind: 'attempted', outcome: 'failed', verdict: 'refused', status: 422, answer: 'no email' },
    { kind: 'died', failure: 'HTTP 422', attempts: 1, state: 'waiting' },
    { kind: 'stands', standing: { waitingCount: 0, pendingDeadLetters: 0 } },
  ]);
  const [, , died] = waits;
  if (died?.kind !== 'died') throw new Error('There is a dead letter.');
  expect(story(waits)).toContain(`show ${died.deadLetterId}`);

  await lab.jobs.deadLetters.redeliver(died.deadLetterId, { force: true });
  await lab.statusWhen(job, ({ deadLetters }) => deadLetters === 2);
  const again = await traced('refused', { jobId: job });
  expect(again).toMatchObject([
    { kind: 'received' },
    { kind: 'attempted', outcome: 'failed' },
    { kind: 'died', state: 'redelivered' },
    { kind: 'received', redelivery: 1 },
    { kind: 'attempted', outcome: 'failed', deliveryId: died.deadLetterId.slice(0, 32) },
    { kind: 'died', state: 'waiting' },
    { kind: 'stands' },
  ]);

  const last = again.findLast((event) => event.kind === 'died')?.deadLetterId ?? '';
  await lab.client.workflow.getHandle(`dead-letter-${last}`).terminate();
  const ended = await traced('refused', { jobId: job });
  expect(ended.slice(-2)).toMatchObject([{ kind: 'died', state: 'terminated' }, { kind: 'stands' }]);
  expect(story(ended)).toContain('its workflow was terminated or cancelled');
});

test.each([
  ['pauses', undefined, '1 trigger waits: enter vip. Paused by an operator.'],
  ['keeps what waits', { waiting: 'keep' }, 'Resume the job to send them.'],
] as const)(
  'a trace shows what waits in a job that %s, and says why, also when somebody terminates it',
  async (_, stop, why) => {
    const job = await lab.start();
    await lab.jobs.pause(job);
    await lab.jobs.enter(job, { audience: 'vip', user: 'kept' });
    await lab.statusWhen(job, ({ waiting }) => waiting === 1);
    if (stop !== undefined) await lab.jobs.stop(job, stop);
    const state = stop === undefined ? 'paused' : 'stopped';
    await lab.statusWhen(job, (status) => status.state === state);
    const [, before] = await traced('kept', { jobId: job });
    expect(before).toMatchObject({ kind: 'stands', standing: { state, waitingCount: 1 } });
    expect(story([before as TraceEvent])).toContain(why);
    await lab.handle(job).terminate('by mistake');
    const [, stands] = await traced('kept', { jobId: job });
    expect(stands).toMatchObject({ kind: 'stands', standing: { state: 'terminated', waitingCount: 1 } });
    expect(story([stands as TraceEvent])).toContain('Recover the job to send what waits.');
  },
);

test('a trace shows a stop with discard only for people it concerns; the status counts what was dropped', async () => {
  const job = await lab.start();
  await lab.jobs.pause(job);
  await lab.jobs.enter(job, { audience: 'vip', user: 'late' });
  await lab.statusWhen(job, ({ waiting }) => waiting === 1);
  await lab.jobs.stop(job, { waiting: 'discard' });
  await lab.handle(job).result();
  const events = await traced('late', { jobId: job });
  expect(events).toMatchObject([
    { kind: 'received' },
    { kind: 'discarded' },
    { kind: 'stands', standing: { state: 'stopped', waitingCount: 0 } },
  ]);
  expect(story(events)).toContain('what it had not sent by then was dropped');
  expect(await traced('stranger', { onlyJobs: [job] })).toEqual([]);
  expect(await lab.jobs.status(job)).toMatchObject({ received: 1, delivered: 0, discarded: 1, waiting: 0 });
  const { stdout } = await new Operator(lab.taskQueue).run(['status', job]);
  expect(unwrapped(stdout)).toMatch(/Discarded +1 that waited, by a stop/);
});

test('a trace without a job searches all jobs, newest first, and shows only those that know the person', async () => {
  const user = `p-${Date.now()}`;
  const [first, stranger, last] = [await lab.start(), await lab.start(), await lab.start()];
  for (const job of [first, last]) await lab.jobs.enter(job, { audience: 'vip', user, profile: {} });
  for (const job of [first, last]) await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  await lab.listedWhen(last);
  const events = await traced(user, {});
  expect([...new Set(events.filter(({ kind }) => kind !== 'left-out').map(({ jobId }) => jobId))]).toEqual([
    last,
    first,
  ]);
  expect(events.some(({ jobId }) => jobId === stranger)).toBe(false);
});

test('a trace leaves out what was before the time asked for, except for what still waits', async () => {
  const job = await lab.start();
  await lab.jobs.pause(job);
  await lab.jobs.enter(job, { audience: 'vip', user: 'other' });
  const later = new Date(Date.now() + 60_000);
  expect(await traced('other', { jobId: job, since: later })).toMatchObject([
    { kind: 'stands', standing: { waitingCount: 1 } },
  ]);
  // Nothing is said to be unknown where something waits.
  const since = ['--since', new Date().toISOString()];
  const waits = await new Operator(lab.taskQueue).run(['trace', 'other', '--job', job, ...since]);
  expect(waits).toMatchObject({ code: 0, stdout: expect.stringContaining('1 trigger waits'), stderr: '' });
  const unknown = await new Operator(lab.taskQueue).run(['trace', 'stranger', '--job', job, ...since]);
  expect(unknown.stderr).toContain('No trigger of stranger is known');
});

test('a job that does not exist is reported as such', async () => {
  await expect(traced('other', { jobId: 'no-such-job' })).rejects.toMatchObject({ name: 'JobNotFound' });
  await expect(traced('other', { jobId: "no' OR WorkflowId != '" })).rejects.toMatchObject({ name: 'JobNotFound' });
});

test('a job that a newer release wrote is left out, with the reason, and hides no other', async () => {
  const own = await labOfTest();
  const { client, jobs, taskQueue } = own;
  const known = await own.start();
  const newer = randomUUID();
  const written = await client.workflow.start(EXPORT_JOB, {
    workflowId: jobWorkflowId(newer),
    taskQueue,
    args: [{ v: 99 }],
  });
  await jobs.enter(known, { audience: 'vip', user: 'seen', profile: {} });
  const told = await answerWhen(
    () => traced('seen', {}, jobs),
    (events) => [known, newer].every((id) => events.some(({ jobId }) => jobId === id)),
  );
  expect(told).toContainEqual(
    expect.objectContaining({ kind: 'left-out', jobId: newer, reason: expect.stringContaining('newer release') }),
  );
  expect(told).toContainEqual(expect.objectContaining({ kind: 'received', jobId: known }));
  await written.terminate();
});

test('a trace of encrypted jobs uses the keys of the client, and says when they are missing', async () => {
  const key = aPayloadKey('a');
  const secret = await labOfTest({ config: { payloadKeys: [key] } });
  const job = await secret.start();
  await secret.jobs.enter(job, { audience: 'vip', user: 'hidden', profile: {} });
  await secret.statusWhen(job, ({ delivered }) => delivered === 1);
  expect(await traced('hidden', { jobId: job }, secret.jobs)).toMatchObject([
    { kind: 'received' },
    { kind: 'attempted', outcome: 'delivered' },
    { kind: 'stands', standing: { waitingCount: 0 } },
  ]);
  await expect(traced('hidden', { jobId: job })).rejects.toBeInstanceOf(UnknownPayloadKey);
  // The same task queue, without the keys.
  const keyless = new ExportJobs(lab.client, { taskQueue: secret.taskQueue });
  for (;;) {
    const told = await traced('hidden', {}, keyless);
    const about = told.filter(({ jobId }) => jobId === job);
    if (about.length === 0) continue; // The list is a moment behind.
    expect(about).toMatchObject([{ kind: 'left-out', reason: expect.stringContaining('key') }]);
    break;
  }
});
