import { expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import type { Payload, PayloadCodec } from '@temporalio/common';
import { msToTs } from '@temporalio/common/lib/time.js';
import { personFacts, type TraceProgress } from '../../../src/client/history/person-facts.ts';
import { GRPC } from '../../../src/client/server-errors.ts';
import type { JobFact } from '../../../src/contract/trace.ts';
import { undecodable } from '../../../src/domain/errors.ts';
import type { Arrival } from '../../../src/domain/job/arriving.ts';
import { RunPeople } from '../../../src/domain/job/run-people.ts';
import { isRecord } from '../../../src/domain/json.ts';
import { UnknownPayloadKey } from '../../../src/temporal/encrypting-codec.ts';
import { payloadConverter } from '../../../src/temporal/payload-converter.ts';
import { serverError } from '../recorded-job.ts';

interface Run {
  readonly id: string;
  /** Who was signalled; nobody: a signal that could not be read. */
  readonly users: readonly string[];
  /** How it was closed; absent: the next one continues it. */
  readonly end?: 'terminated' | 'open';
  /** False: by an older release, which did not tell whom it had to do with. */
  readonly tells?: false;
  /** The list does not have it. */
  readonly isUnlisted?: true;
  readonly isGone?: true;
  /** What it was started with is encrypted with a key that is not here. */
  readonly isLocked?: true;
  /** What it was told to do with what waits, in what it was given. */
  readonly stopping?: 'discard' | 'keep';
  /** What it says that it continues; absent: the one before. */
  readonly continues?: string;
}

const payloads = (...values: unknown[]): { payloads: Payload[] } => ({
  payloads: values.map((value) => payloadConverter.toPayload(value)),
});
const LOCKED = 'locked';

/** The events of a job's runs, each of which tells the next one whom it had to do with, as a job does. */
function historiesOf(runs: readonly Run[]): Map<string, unknown[]> {
  return new Map(
    runs.map(({ id, users, end, isLocked, continues, stopping }, i) => {
      const before = runs[i - 1];
      const people = new RunPeople();
      for (const user of before?.users ?? [])
        people.arrived({ kind: 'trigger', raw: user === '' ? undecodable('no key') : { user }, event: 'enter' });
      const given = {
        v: 1,
        run: id,
        ...(before?.tells === false ? {} : { people: people.filter(1_000_000) }),
        ...(stopping === undefined ? {} : { stopping: { waiting: stopping } }),
      };
      const events: object[] = [
        {
          workflowExecutionStartedEventAttributes: {
            input: payloads(isLocked === true ? LOCKED : given),
            continuedExecutionRunId: continues ?? before?.id ?? '',
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

/** What a trace of somebody takes from such a server: its facts, and whose histories were read whole. */
async function reading(runs: readonly Run[], user: string, more: { sinceMs?: number; signal?: AbortSignal } = {}) {
  const histories = historiesOf(runs);
  const read: string[] = [];
  let asked = 0;
  let underWay = 0;
  let mostUnderWay = 0;
  const client = {
    options: { namespace: 'default', loadedDataConverter: { payloadCodecs: [LOCK] } },
    workflowService: {
      getWorkflowExecutionHistory: async (request: { execution: { runId: string }; maximumPageSize: number }) => {
        const { runId } = request.execution;
        if (runs.find(({ id }) => id === runId)?.isGone === true) throw serverError(GRPC.NOT_FOUND);
        if (request.maximumPageSize === 1) asked++;
        else read.push(runId);
        const events = histories.get(runId) ?? [];
        mostUnderWay = Math.max(mostUnderWay, ++underWay);
        await Promise.resolve();
        underWay--;
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
  return { facts, read, asked, mostUnderWay, signalled, progress, failure };
}

const FIVE: readonly Run[] = [
  { id: 'r1', users: ['ann', 'bob'] },
  { id: 'r2', users: ['cyd'] },
  { id: 'r3', users: ['ann'] },
  { id: 'r4', users: ['dan'] },
  { id: 'r5', users: ['eve'], end: 'open' },
];

test('only the runs that may have had to do with a person are read, and the newest', async () => {
  expect(await reading(FIVE, 'ann')).toMatchObject({ read: ['r1', 'r3', 'r5'], signalled: ['r1', 'r3'] });
  expect(await reading(FIVE, 'cyd')).toMatchObject({ read: ['r2', 'r5'], signalled: ['r2'] });
  expect(await reading(FIVE, 'stranger')).toMatchObject({ read: ['r5'], signalled: [] });
});

test('of a run that is not read there is how it began, in its place', async () => {
  const { facts, progress } = await reading(FIVE, 'stranger');
  expect(facts.flatMap((fact) => (fact.kind === 'began' ? [fact.given[0]] : []))).toMatchObject(
    FIVE.map(({ id }) => ({ run: id })),
  );
  expect(facts[1]).toMatchObject({ kind: 'began', runId: 'r2', atMs: 1e12 + 1000 });
  expect(progress.map(({ runs, ofRuns }) => [runs, ofRuns])).toEqual(FIVE.map((_, i) => [i, 5]));
});

test('how a run began is asked for once, eight at a time, however many runs there are', async () => {
  const runs = Array.from({ length: 40 }, (_, i): Run => ({ id: `r${i}`, users: [`u${i}`] }));
  const { read, asked, mostUnderWay } = await reading([...runs, { id: 'last', users: [], end: 'open' }], 'u20');
  expect(read).toContain('r20');
  expect(read.length).toBeLessThan(6);
  expect(asked).toBe(41);
  expect(mostUnderWay).toBe(8);
});

test.each([
  ['of an older release, which did not tell', { id: 'r2', users: ['cyd'], tells: false }, 'r2'],
  ['that met what it could not read', { id: 'r2', users: ['cyd', ''] }, 'r2'],
  ['that was ended from outside', { id: 'r2', users: ['cyd'], end: 'terminated' }, 'r2'],
] as const)('a run %s is read', async (_, odd, expected) => {
  const [first, , third, fourth, fifth] = FIVE as [Run, Run, Run, Run, Run];
  const after = 'end' in odd ? { ...third, continues: '' } : third;
  expect(await reading([first, odd, after, fourth, fifth], 'stranger')).toMatchObject({ read: [expected, 'r5'] });
});

test('a run that dropped what waited is read: it does not tell whose that was', async () => {
  const runs = (stopping: 'discard' | 'keep') => FIVE.map((run): Run => (run.id === 'r3' ? { ...run, stopping } : run));
  expect((await reading(runs('discard'), 'stranger')).read).toEqual(['r2', 'r5']);
  expect((await reading(runs('keep'), 'stranger')).read).toEqual(['r5']);
});

test('a run is read when the one after it, of a reset say, continues another', async () => {
  const [first, second, ...others] = FIVE as [Run, Run, ...Run[]];
  const again = { id: 'again', users: ['cyd'], continues: 'r1' };
  const { read } = await reading([first, { ...second, end: 'terminated' }, again, ...others], 'stranger');
  expect(read).toEqual(['r2', 'r5']);
});

test('a run that the list does not have yet is found by the one before it, wherever it is', async () => {
  const runs = FIVE.map((run): Run => (run.id === 'r3' || run.id === 'r5' ? { ...run, isUnlisted: true } : run));
  expect(await reading(runs, 'ann')).toMatchObject({ signalled: ['r1', 'r3'] });
  expect((await reading(runs, 'eve')).signalled).toEqual(['r5']);
});

test('runs whose retention has ended are passed over, before the list was made and after', async () => {
  const runs = FIVE.map((run): Run => (run.id === 'r1' || run.id === 'r2' ? { ...run, isGone: true } : run));
  expect(await reading(runs, 'ann')).toMatchObject({ signalled: ['r3'], read: ['r3', 'r5'] });
});

test('a run whose beginning is encrypted with a key that is not here is read, which says so, after what was before it', async () => {
  const runs = FIVE.map((run): Run => (run.id === 'r3' ? { ...run, isLocked: true } : run));
  const { failure, signalled, read } = await reading(runs, 'ann');
  expect(failure).toBeInstanceOf(UnknownPayloadKey);
  expect(signalled).toEqual(['r1']);
  expect(read.at(-1)).toBe('r3');
});

test('what ended too long ago is neither read nor asked for, and once it is aborted nothing is', async () => {
  expect(await reading(FIVE, 'ann', { sinceMs: 3 })).toMatchObject({ read: ['r3', 'r5'], asked: 3 });
  expect(await reading(FIVE, 'ann', { signal: AbortSignal.abort() })).toMatchObject({ read: [], asked: 0, facts: [] });
});
