import type { JobFact } from '../../../src/client/calls/job-fact.ts';
import { expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import type { Payload, PayloadCodec } from '@temporalio/common';
import { msToTs } from '@temporalio/common/lib/time.js';
import { personFacts, type TraceProgress } from '../../../src/features/trace/trace.ts';
import { GRPC } from '../../../src/client/calls/server-errors.ts';
import type { Arrival } from '../../../src/domain/job/steps.ts';
import { isRecord } from '../../../src/domain/json.ts';
import { UnknownPayloadKey } from '../../../src/temporal/encrypting-codec.ts';
import { payloadConverter } from '../../../src/temporal/payload-converter.ts';
import { serverError } from '../recorded-job.ts';
import { inTimeOrder } from '../../../src/features/trace/trace.ts';
import { JobClient } from '../../../src/client/job-client.ts';
import { recover } from '../../../src/features/recover/recover.ts';

interface Run {
  readonly id: string;
  /** Who was signalled. */
  readonly users: readonly string[];
  /** How it was closed; absent: the next one continues it. */
  readonly end?: 'terminated' | 'open';
  /** The list does not have it. */
  readonly isUnlisted?: true;
  readonly isGone?: true;
  /** What it was started with is encrypted with a key that is not here. */
  readonly isLocked?: true;
}

const payloads = (...values: unknown[]): { payloads: Payload[] } => ({
  payloads: values.map((value) => payloadConverter.toPayload(value)),
});
const LOCKED = 'locked';

/** The events of a job's runs. */
function historiesOf(runs: readonly Run[]): Map<string, unknown[]> {
  return new Map(
    runs.map(({ id, users, end, isLocked }, i) => {
      const events: object[] = [
        {
          workflowExecutionStartedEventAttributes: {
            input: payloads(isLocked === true ? LOCKED : { v: 1, run: id }),
            continuedExecutionRunId: runs[i - 1]?.id ?? '',
          },
        },
        ...users.map((user) => ({
          workflowExecutionSignaledEventAttributes: { signalName: 'enter', input: payloads({ user, audience: 'vip' }) },
        })),
      ];
      if (end === 'terminated') events.push({ workflowExecutionTerminatedEventAttributes: {} });
      if (end === undefined)
        events.push({ workflowExecutionContinuedAsNewEventAttributes: { newExecutionRunId: runs[i + 1]?.id } });
      return [id, events.map((event, n) => ({ eventId: n + 1, eventTime: msToTs(1e12 + i * 1000 + n), ...event }))];
    }),
  );
}

const LOCK: PayloadCodec = {
  encode: async (all) => await Promise.resolve(all),
  decode: async (all) => {
    if (all.some((payload) => payloadConverter.fromPayload(payload) === LOCKED))
      throw new UnknownPayloadKey({ id: 'k2', check: 'x' }, []);
    return await Promise.resolve(all);
  },
};

/** What a trace of somebody takes from such a server: its facts, and whose histories were read. */
async function reading(runs: readonly Run[], user: string, more: { sinceMs?: number; signal?: AbortSignal } = {}) {
  const histories = historiesOf(runs);
  const read: string[] = [];
  const client = {
    options: { namespace: 'default', loadedDataConverter: { payloadCodecs: [LOCK] } },
    workflowService: {
      getWorkflowExecutionHistory: async (request: { execution: { runId: string }; maximumPageSize: number }) => {
        const { runId } = request.execution;
        if (runs.find(({ id }) => id === runId)?.isGone === true) throw serverError(GRPC.NOT_FOUND);
        read.push(runId);
        const events = histories.get(runId) ?? [];
        return await Promise.resolve({ history: { events: events.slice(0, request.maximumPageSize) } });
      },
    },
    workflow: { getHandle: () => ({ describe: async () => await Promise.resolve({ raw: {} }) }) },
  } as unknown as Client; // All of a client that the reading uses.
  const listed = runs.flatMap(({ id, end, isUnlisted }, i) =>
    isUnlisted === true ? [] : [{ runId: id, startedAtMs: i, closedAtMs: end === 'open' ? undefined : i + 1 }],
  );
  const facts: JobFact[] = [];
  const progress: TraceProgress[] = [];
  const onProgress = (one: TraceProgress): void => void progress.push(one);
  const options = { user, sinceMs: -Infinity, onProgress, signal: undefined, ...more };
  let failure: unknown;
  try {
    for await (const fact of personFacts(client, 'job', listed, options)) facts.push(fact);
  } catch (error) {
    failure = error;
  }
  const isAbout = (arrival: Arrival): boolean =>
    'raw' in arrival && isRecord(arrival.raw) && arrival.raw['user'] === user;
  const signalled = facts.flatMap((fact) =>
    fact.kind === 'signalled' && fact.arrivals.some(isAbout) ? [fact.runId] : [],
  );
  return { facts, read, signalled, progress, failure };
}

const FIVE: readonly Run[] = [
  { id: 'r1', users: ['ann', 'bob'] },
  { id: 'r2', users: ['cyd'] },
  { id: 'r3', users: ['ann'] },
  { id: 'r4', users: ['dan'] },
  { id: 'r5', users: ['eve'], end: 'open' },
];

test('every run is read, oldest first, and each says that it is', async () => {
  const { facts, read, signalled, progress } = await reading(FIVE, 'ann');
  expect(read).toEqual(['r1', 'r2', 'r3', 'r4', 'r5']);
  expect(signalled).toEqual(['r1', 'r3']);
  expect(facts.flatMap((fact) => (fact.kind === 'began' ? [fact.args[0]] : []))).toMatchObject(
    FIVE.map(({ id }) => ({ run: id })),
  );
  expect(progress.map(({ runs, ofRuns }) => [runs, ofRuns])).toEqual(FIVE.map((_, i) => [i, 5]));
});

test('a trace finds a run that the list lacks through the run before it', async () => {
  const runs = FIVE.map((run): Run => (run.id === 'r3' || run.id === 'r5' ? { ...run, isUnlisted: true } : run));
  expect(await reading(runs, 'ann')).toMatchObject({ signalled: ['r1', 'r3'] });
  expect((await reading(runs, 'eve')).signalled).toEqual(['r5']);
});

test('runs whose retention has ended are passed over, before the list was made and after', async () => {
  const runs = FIVE.map((run): Run => (run.id === 'r1' || run.id === 'r2' ? { ...run, isGone: true } : run));
  expect(await reading(runs, 'ann')).toMatchObject({ signalled: ['r3'], read: ['r3', 'r4', 'r5'] });
});

test('a trace fails at a run that is encrypted with a missing key, after reporting the runs before', async () => {
  const runs = FIVE.map((run): Run => (run.id === 'r3' ? { ...run, isLocked: true } : run));
  const { failure, signalled, read } = await reading(runs, 'ann');
  expect(failure).toBeInstanceOf(UnknownPayloadKey);
  expect(signalled).toEqual(['r1']);
  expect(read.at(-1)).toBe('r3');
});

test('a trace does not read runs that ended too long ago, and reads nothing once aborted', async () => {
  expect(await reading(FIVE, 'ann', { sinceMs: 3 })).toMatchObject({ read: ['r3', 'r4', 'r5'] });
  expect(await reading(FIVE, 'ann', { signal: AbortSignal.abort() })).toMatchObject({ read: [], facts: [] });
});

async function ordered(times: Iterable<string>): Promise<string[]> {
  const all: string[] = [];
  async function* given() {
    for (const time of times) yield await Promise.resolve(time);
  }
  for await (const time of inTimeOrder(given(), (one) => one)) all.push(time);
  return all;
}

test('late entries of a history take their place in time, and entries of the same time keep their order', async () => {
  expect(await ordered(['1', '4', '2', '3'])).toEqual(['1', '2', '3', '4']);
});

test('a long stream flows on, and is not gathered', async () => {
  let given = 0;
  async function* endless() {
    for (;;) yield await Promise.resolve(String(1e9 + given++));
  }
  for await (const first of inTimeOrder(endless(), (one) => one)) {
    expect(first).toBe('1000000000');
    break;
  }
  expect(given).toBeLessThan(2000);
});

test('recover refuses a running job: there is nothing to recover, instead of how to start another one', async () => {
  const client = {
    workflow: { getHandle: () => ({ describe: async () => await Promise.resolve({ status: { name: 'RUNNING' } }) }) },
  } as unknown as Client; // What recover uses of one before it refuses.
  await expect(recover(new JobClient(client).core, 'vip')).rejects.toMatchObject({
    name: 'JobAlreadyRunning',
    message: expect.stringMatching(/is already running\. There is nothing to recover\.$/),
  });
});
