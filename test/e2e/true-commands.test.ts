import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from '@temporalio/client';
import type { DataConverter, PayloadCodec } from '@temporalio/common';
import { createKeepDeadLetters } from '../../src/activities/holders.ts';
import {
  ExportJobs,
  type JobStatus,
  NoWorker,
  OutcomeUnknown,
  JobNotRunning,
  RequestRefused,
  UnknownPayloadKey,
} from '../../src/app/export-jobs.ts';
import { TemporalSideWorkflows } from '../../src/client/calls/side-workflows.ts';
import { jobWorkflowId } from '../../src/domain/names.ts';
import { type Recorder, startRecorder } from '../../demo/recorder.ts';
import { SourceError } from '../../src/activities/audience-source.ts';
import { dataConverterWith } from '../../src/temporal/data-converter.ts';
import { aDeadLetter as deadLetterOf } from '../domain/job/a-dead-letter.ts';
import { Lab, type LabOptions, VIP } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { temporal } from '../support/temporal.ts';
import { aPayloadKey } from '../temporal/a-payload-key.ts';
import { configured } from '../webhook/an-authorization.ts';
import { tempFolder } from '../support/temp-folder.ts';

const KEY = aPayloadKey('a');

const labs: Lab[] = [];
async function open(options: LabOptions = {}): Promise<Lab> {
  const lab = await Lab.open(options);
  labs.push(lab);
  return lab;
}
afterAll(async () => void (await Promise.all(labs.map((lab) => lab.close()))));

const jobsWith = (lab: Lab, dataConverter: DataConverter): ExportJobs =>
  new ExportJobs(new Client({ connection: lab.client.connection, namespace: temporal.namespace, dataConverter }), {
    taskQueue: lab.taskQueue,
  });

/** A paused job in which one trigger waits. */
async function aPausedJob(lab: Lab): Promise<string> {
  const job = await lab.start();
  await lab.jobs.pause(job);
  await lab.jobs.enter(job, { audience: 'vip', user: randomUUID(), profile: {} });
  await lab.statusWhen(job, ({ waiting }) => waiting === 1);
  return job;
}

/** Every command to a job that changes something. */
const COMMANDS: [string, (jobs: ExportJobs, job: string) => Promise<unknown>][] = [
  ['stop', (jobs, job) => jobs.stop(job, { waiting: 'discard' })],
  ['resume', (jobs, job) => jobs.resume(job)],
  ['pause', (jobs, job) => jobs.pause(job)],
  ['backfill', (jobs, job) => jobs.backfill(job)],
  ['edit', (jobs, job) => jobs.edit(job, { label: 'Another' })],
];

test('a client with another key of the same id commands nothing, since it could not read what came of it', async () => {
  const lab = await open({ config: { payloadKeys: [KEY] } });
  const job = await aPausedJob(lab);
  const before = await lab.jobs.status(job);
  const jobs = jobsWith(lab, dataConverterWith([aPayloadKey('a')]));
  for (const [, command] of COMMANDS) await expect(command(jobs, job)).rejects.toThrow(UnknownPayloadKey);
  // A command of ours comes after anything that was sent before it. It is noted itself.
  expect(await lab.jobs.pause(job)).toEqual({ ...before, stateBytes: expect.any(Number) });
});

// These wait for ten seconds for a worker that does not answer, so they wait together.
test.concurrent('a command to a job without workers fails, and does nothing when a worker comes', async () => {
  const lab = await open();
  const job = await aPausedJob(lab);
  const before = await lab.jobs.status(job);
  await lab.stopWorkers();
  const asked = COMMANDS.map(([, command]) => command(lab.jobs, job).catch((error: unknown) => error));
  for (const error of await Promise.all(asked)) expect(error).toBeInstanceOf(NoWorker);
  await lab.addWorker();
  expect(await lab.jobs.pause(job)).toEqual({ ...before, stateBytes: expect.any(Number) });
});

test.concurrent('commands to a watch and to a stopped job without workers fail, and change nothing', async () => {
  const folder = tempFolder();
  const id = randomUUID().replaceAll('-', '');
  const watched = { id, slug: `slug-${id}`, name: 'Watched' };
  const lab = await open({
    content: {
      audiences: [
        { ...VIP, members: [] },
        { ...watched, members: [] },
      ],
    },
    config: { watch: { folder } },
  });
  await lab.jobs.watches.start([watched.slug]);
  const job = await lab.start({ audiences: ['vip'] });
  await lab.jobs.pause(job);
  await lab.jobs.enter(job, { audience: 'vip', user: randomUUID(), profile: {} });
  await lab.jobs.stop(job, { waiting: 'keep' });
  await lab.statusWhen(job, ({ state }) => state === 'stopped');
  await lab.stopWorkers();
  const asked = [
    lab.jobs.watches.stop(watched.id),
    lab.jobs.watches.startRound(watched.id),
    lab.jobs.stop(job, { waiting: 'discard' }),
    lab.jobs.resume(job),
  ].map((command) => command.catch((error: unknown) => error));
  for (const error of await Promise.all(asked)) expect(error).toBeInstanceOf(NoWorker);
  await lab.addWorker();
  expect(await lab.jobs.watches.accept(watched.id)).toMatchObject({ audience: watched });
  expect(await lab.jobs.status(job)).toMatchObject({ state: 'stopped', kept: { waiting: 1 } });
  await lab.jobs.watches.stop(watched.id);
});

test.concurrent(
  'a command with no answer in time counts as unknown, is done later, and says how to find out',
  async () => {
    const lab = await open();
    lab.source.failure = new SourceError('It is down.');
    const jobId = `commands-${randomUUID()}`;
    // Taken up by a worker, but not begun: what is asked of it waits until its source answers.
    const starting = await lab.client.workflow.start('exportJob', {
      workflowId: `export-job-${jobId}`,
      taskQueue: lab.taskQueue,
      args: [{ label: 'x', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null }],
    });
    const error = await lab.jobs.pause(jobId).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OutcomeUnknown);
    expect(error).toMatchObject({ remedies: [{ action: 'status', job: jobId }] });
    lab.source.failure = undefined;
    await lab.statusWhen(jobId, ({ state }) => state === 'paused');
    await starting.terminate();
  },
);

/** Reads one status of a job: as if the key was taken away after that. */
class ForgetfulCodec implements PayloadCodec {
  readonly #inner: PayloadCodec;
  #isForgotten = false;
  constructor(inner: PayloadCodec) {
    this.#inner = inner;
  }
  encode: PayloadCodec['encode'] = (payloads) => this.#inner.encode(payloads);
  decode: PayloadCodec['decode'] = async (payloads) => {
    if (this.#isForgotten) throw new UnknownPayloadKey({ id: 'a', check: '0'.repeat(16) }, []);
    const decoded = await this.#inner.decode(payloads);
    this.#isForgotten = decoded.some(({ data }) => Buffer.from(data ?? []).includes('"stateBytes"'));
    return decoded;
  };
}

test('a command that was done, but whose answer cannot be read, is not called failed', async () => {
  const lab = await open({ config: { payloadKeys: [KEY] } });
  const job = await lab.start();
  const { payloadCodecs = [], ...converter } = dataConverterWith([KEY]);
  const forgetful = { ...converter, payloadCodecs: payloadCodecs.map((codec) => new ForgetfulCodec(codec)) };
  const asked = jobsWith(lab, forgetful).pause(job);
  await expect(asked).rejects.toThrow(OutcomeUnknown);
  expect(await lab.jobs.status(job)).toMatchObject({ state: 'paused' });
});

test('when two people decide about a kept job at once, the later one learns it', async () => {
  const lab = await open();
  for (let round = 1; round <= 4; round++) {
    const job = await aPausedJob(lab);
    await lab.jobs.stop(job, { waiting: 'keep' });
    await lab.statusWhen(job, ({ state }) => state === 'stopped');
    const [resumed, discarded] = await Promise.allSettled([
      lab.jobs.resume(job),
      lab.jobs.stop(job, { waiting: 'discard' }),
    ]);
    const failures = [resumed, discarded].filter((one) => one.status === 'rejected');
    const isRefusal = ({ reason }: { reason: unknown }) =>
      reason instanceof RequestRefused || reason instanceof JobNotRunning;
    expect(failures.map((one) => isRefusal(one))).toEqual([true]);
    const { state } = await lab.statusWhen(job, ({ state }) => state !== 'stopping');
    expect(state).toBe(resumed.status === 'rejected' ? 'stopped' : 'running');
    const isLost = state === 'stopped';
    if (!isLost) await lab.jobs.stop(job, { waiting: 'discard' });
  }
});

/** The id of a job's dead letter, as soon as the server lists it. */
async function aDeadLetter(lab: Lab, jobId: string): Promise<string> {
  const letter = deadLetterOf({ jobWorkflowId: jobWorkflowId(jobId) });
  await createKeepDeadLetters(new TemporalSideWorkflows(lab.client, lab.taskQueue))([letter]);
  return `${letter.deliveryId}-${letter.redeliveries}`;
}

test.concurrent(
  'a dead letter that cannot be read, or that nobody works for, is neither discarded nor redelivered',
  async () => {
    const lab = await open({ config: { payloadKeys: [KEY] } });
    const jobId = randomUUID();
    const id = await aDeadLetter(lab, jobId);
    const jobs = jobsWith(lab, dataConverterWith([]));
    while (!(await listedLetters(lab.jobs, jobId)).includes(id));
    await expect(listedLetters(jobs, jobId)).rejects.toThrow(UnknownPayloadKey);
    const decisions = (by: ExportJobs) => [
      by.deadLetters.discard(id),
      by.deadLetters.redeliver(id, { force: true }),
      by.deadLetters.discard({ jobId }),
    ];
    for (const decision of decisions(jobs)) await expect(decision).rejects.toThrow(UnknownPayloadKey);
    await lab.stopWorkers();
    const refused = decisions(lab.jobs).map((decision) => decision.catch((error: unknown) => error));
    for (const error of await Promise.all(refused)) expect(error).toBeInstanceOf(NoWorker);
    await lab.addWorker();
    await expect(lab.jobs.deadLetters.show(id)).resolves.toMatchObject({ state: 'waiting' });
    const { events } = await lab.client.workflow.getHandle(`dead-letter-${id}`).fetchHistory();
    expect(events?.filter((event) => event.workflowExecutionSignaledEventAttributes != null)).toEqual([]);
  },
);

async function listedLetters(jobs: ExportJobs, jobId: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of jobs.deadLetters.waiting({ jobId })) ids.push(id);
  return ids;
}

test('a terminated job shows nothing in flight', async () => {
  const lab = await open({ receiver: { answer: () => 'hang' } });
  const job = await lab.start();
  await lab.jobs.enter(job, { audience: 'vip', user: 'x', profile: {} });
  await lab.statusWhen(job, ({ inFlight }) => inFlight === 1);
  await lab.handle(job).terminate();
  expect(await lab.jobs.status(job)).toMatchObject({ state: 'terminated', inFlight: 0, waiting: 1 });
  // The worker would wait for the request.
  await lab.receiver.close();
});

test.each<[string, (jobs: ExportJobs, job: string) => Promise<JobStatus>]>([
  ['pause', (jobs, job) => jobs.pause(job)],
  ['stop with keep', (jobs, job) => jobs.stop(job, { waiting: 'keep' })],
  ['stop with discard', (jobs, job) => jobs.stop(job, { waiting: 'discard' })],
])('once %s has answered, no request begins any more, on any worker', async (_, command) => {
  const begun: number[] = [];
  const lab = await open({
    receiver: { delayMs: 150, onArrival: () => void begun.push(performance.now()) },
    workers: 2,
  });
  const job = await lab.start({ parallelRequestCount: 50 });
  const people = Array.from({ length: MANY }, (__, n) => `${n}`);
  const enter = { event: 'enter', audience: 'vip', profile: {} } as const;
  await lab.jobs.push(
    job,
    people.map((user) => ({ ...enter, user })),
  );
  await answerWhen(
    async () => await Promise.resolve(begun.length),
    (count) => count > 100,
  );
  const { mayStillSend } = await command(lab.jobs, job);
  const answeredAt = performance.now();
  await lab.statusWhen(job, ({ inFlight }) => inFlight === 0);
  const after = begun.filter((at) => at > answeredAt);
  expect([mayStillSend, after.length]).toEqual([undefined, 0]);
  expect(begun.length).toBeLessThan(MANY);
});

/** At fifty in flight, some five seconds' worth. */
const MANY = 1_500;

describe('a busy job', () => {
  const PEOPLE = 100;
  const CHANGES = 12;
  /** How long an operator's question may take on a busy machine. */
  const ANSWER_MS = 20_000;
  /** At eight in flight, sending all of them would take longer than 40 s. */
  const SLOWLY_MS = 300;

  let lab: Lab;
  let before: Recorder;
  let after: Recorder;
  /** Until then, the endpoint takes its time: the job is in the middle of sending, however late it is told something. */
  let isTold = false;

  beforeAll(async () => {
    before = await startRecorder({
      keepBodies: true,
      answer: () => ({ status: 200, delayMs: isTold ? 40 : SLOWLY_MS }),
    });
    after = await startRecorder({ keepBodies: true, delayMs: 40 });
    lab = await Lab.open({
      config: {
        authorizations: configured({
          before: {
            origins: [new URL(before.url).origin],
            headers: { 'x-api-key': 'secret of before' },
          },
          after: {
            origins: [new URL(after.url).origin],
            headers: { 'x-api-key': 'secret of after' },
          },
        }),
      },
    });
  });
  afterAll(async () => Promise.all([lab.close(), before.close(), after.close()]));

  /** A job in the middle of sending 1,200 triggers. */
  async function jobUnderLoad(): Promise<{ job: string; prefix: string }> {
    isTold = false;
    const prefix = randomUUID().slice(0, 8);
    const job = await lab.start({ webhookUrl: before.url, authorization: 'before', parallelRequestCount: 8 });
    const triggers = Array.from({ length: PEOPLE * CHANGES }, (_, index) => ({
      event: Math.floor(index / PEOPLE) % 2 === 0 ? ('enter' as const) : ('exit' as const),
      audience: 'vip',
      user: `${prefix}-${index % PEOPLE}`,
      at: `2026-11-25T08:30:00.${100 + Math.floor(index / PEOPLE)}Z`,
      profile: {},
    }));
    await lab.jobs.push(job, triggers);
    await lab.statusWhen(job, ({ delivered }) => delivered > 100);
    return { job, prefix };
  }

  async function answeredInTime<T>(ask: () => Promise<T>): Promise<T> {
    const from = performance.now();
    const answer = await ask();
    expect(performance.now() - from).toBeLessThan(ANSWER_MS);
    isTold = true;
    return answer;
  }

  function arrived(receiver: Recorder, prefix: string) {
    return receiver.ledger.entries.filter(({ message }) => message?.user.startsWith(prefix) === true);
  }

  test('a busy job that is edited sends everything once, in order, and no secret to another origin than its own', async () => {
    const { job, prefix } = await jobUnderLoad();
    await answeredInTime(() => lab.jobs.edit(job, { webhookUrl: after.url, authorization: 'after' }));
    await lab.statusWhen(job, ({ delivered }) => delivered === PEOPLE * CHANGES);
    const [first, second] = [arrived(before, prefix), arrived(after, prefix)];
    expect(second.length).toBeGreaterThan(200);
    expect(first.length + second.length).toBe(PEOPLE * CHANGES);
    expect(new Set(first.map(({ headers }) => headers?.['x-api-key']))).toEqual(new Set(['secret of before']));
    expect(new Set(second.map(({ headers }) => headers?.['x-api-key']))).toEqual(new Set(['secret of after']));
    const told = new Map<string, string[]>();
    for (const { message } of [...first, ...second].sort((a, b) => a.arrivedAtMs - b.arrivedAtMs)) {
      told.set(message?.user ?? '', [...(told.get(message?.user ?? '') ?? []), message?.at ?? '']);
    }
    for (const times of told.values()) expect(times).toEqual(times.toSorted());
  });
});
