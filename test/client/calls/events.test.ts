import type { JobFact } from '../../../src/client/calls/job-fact.ts';
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { msToTs } from '@temporalio/common/lib/time.js';
import { arrivalsOf, runFacts } from '../../../src/client/calls/events.ts';
import { inTimeOrder } from '../../../src/features/trace/trace.ts';
import { GRPC } from '../../../src/client/calls/server-errors.ts';
import { PersonTrace, type Traced } from '../../../src/features/trace/person-trace.ts';
import { payloadConverter } from '../../../src/temporal/payload-converter.ts';
import { serverError } from '../recorded-job.ts';

// Counted as the job's inbox counts them, or a recovery would take up too much or too little.
test.each([
  ['enter', [{ user: '1' }], [{ kind: 'trigger', raw: { user: '1' }, event: 'enter' }]],
  [
    'exit',
    [['1', '2']],
    [
      { kind: 'trigger', raw: '1', event: 'exit' },
      { kind: 'trigger', raw: '2', event: 'exit' },
    ],
  ],
  ['triggers', [[{ user: '1' }]], [{ kind: 'trigger', raw: { user: '1' }, event: undefined }]],
  ['triggers', [[]], []],
  [
    'enter',
    [{ user: '1' }, [{ user: '2' }, { user: '3' }]],
    [
      { kind: 'trigger', raw: { user: '1' }, event: 'enter' },
      { kind: 'trigger', raw: { user: '2' }, event: 'enter' },
      { kind: 'trigger', raw: { user: '3' }, event: 'enter' },
    ],
  ],
  ['enter', [], [{ kind: 'trigger', raw: undefined, event: 'enter' }]],
  ['redeliver', [{ user: '1' }], [{ kind: 'redelivery', raw: { user: '1' } }]],
  ['page', [[1, 2]], [{ kind: 'page', raw: [1, 2] }]],
  ['page', [1, 2], [{ kind: 'surplus', name: 'page' }]],
  ['redeliver', [{ user: '1' }, { force: true }], [{ kind: 'surplus', name: 'redeliver' }]],
  ['permitsReturned', [{}, null], [{ kind: 'permits', raw: {} }]],
  ['entre', [1, 2], [{ kind: 'unknown', name: 'entre' }]],
])('a signal "%s" with %j is taken in as the job would', (name, args, arrivals) => {
  expect(arrivalsOf(name, args)).toEqual(arrivals);
});

type Event = Record<string, unknown>;

/** A client of a server that has this history, which it gives a few events at a time. */
function serverWith(events: readonly unknown[], pendingActivities: readonly unknown[] = []): Client {
  const PAGE = 7;
  const stub = {
    options: { namespace: 'default', loadedDataConverter: { payloadCodecs: [] } },
    workflowService: {
      getWorkflowExecutionHistory: async ({ nextPageToken }: { nextPageToken?: Uint8Array }) => {
        const from = nextPageToken === undefined ? 0 : Number(Buffer.from(nextPageToken).toString());
        const next = from + PAGE < events.length ? Buffer.from(String(from + PAGE)) : new Uint8Array();
        return await Promise.resolve({ history: { events: events.slice(from, from + PAGE) }, nextPageToken: next });
      },
    },
    workflow: { getHandle: () => ({ describe: async () => await Promise.resolve({ raw: { pendingActivities } }) }) },
  };
  return stub as unknown as Client; // All of a client that the reading uses.
}

const recorded = (
  historyFromJSON(
    JSON.parse(readFileSync(new URL('../../fixtures/histories/0.1.0/export-job.json', import.meta.url), 'utf8')),
  ).events ?? []
).map(({ eventTime, ...rest }) => ({
  ...rest,
  // As it comes over the wire: seconds are no plain number there.
  eventTime: msToTs(Number(eventTime?.seconds) * 1000 + Math.floor(Number(eventTime?.nanos) / 1e6)),
}));

/** The same server, for a client that takes no more than so many events at once. */
function takingAtMost(most: number, server: Client): Client {
  const { workflowService } = server;
  const getWorkflowExecutionHistory = async (request: { maximumPageSize: number }) => {
    if (request.maximumPageSize > most) throw serverError(GRPC.RESOURCE_EXHAUSTED);
    return await workflowService.getWorkflowExecutionHistory(request);
  };
  return { ...server, workflowService: { getWorkflowExecutionHistory } } as unknown as Client;
}

async function factsOf(client: Client): Promise<JobFact[]> {
  const facts: JobFact[] = [];
  for await (const fact of runFacts(client, 'export-job-a', 'run')) facts.push(fact);
  return facts;
}

async function told(client: Client, user: string, options: { readonly about?: string } = {}): Promise<Traced[]> {
  const trace = new PersonTrace('a', user);
  const all: Traced[] = [];
  async function* events() {
    for await (const fact of runFacts(client, 'export-job-a', 'run', options)) yield* trace.take(fact);
  }
  for await (const event of inTimeOrder(events(), ({ at }) => at)) all.push(event);
  return all;
}

test('a trace that reads only what may name the person finds the same as one that reads all', async () => {
  const users = new Set<string>();
  for (const fact of await factsOf(serverWith(recorded)))
    if (fact.kind === 'slice') for (const { user } of fact.slice.triggers) users.add(user);
  expect(users.size).toBeGreaterThan(5);
  const some = [...users].filter((_, i) => i % Math.ceil(users.size / 50) === 0);
  for (const user of [...some, 'flaky', 'nobody'])
    expect(await told(serverWith(recorded), user, { about: user })).toEqual(await told(serverWith(recorded), user));
});

test('a trace of one person does not read payloads that are surely about others', async () => {
  let triggers = 0;
  for await (const fact of runFacts(serverWith(recorded), 'export-job-a', 'run', { about: 'flaky' })) {
    if (fact.kind === 'signalled') triggers += fact.arrivals.length;
    if (fact.kind === 'slice') expect(fact.slice.triggers.map(({ user }) => user)).toContain('flaky');
  }
  const all = (await factsOf(serverWith(recorded))).flatMap((fact) => (fact.kind === 'signalled' ? fact.arrivals : []));
  expect(triggers).toBeLessThan(all.length);
});

test.each([
  ['flaky', '"\\u0066laky"'],
  ['flåky', '"fl\\u00e5ky"'],
  ['a/b', '"a\\/b"'],
])('%s is found however JSON spells it: %s', async (user, spelt) => {
  const data = Buffer.from(`{"audience":"vip","user":${spelt}}`);
  const input = { payloads: [{ metadata: { encoding: Buffer.from('json/plain') }, data }] };
  const signal = { eventId: 99, workflowExecutionSignaledEventAttributes: { signalName: 'enter', input } };
  const begun = recorded.findIndex((event) => event.workflowExecutionSignaledEventAttributes != null);
  const history = [...recorded.slice(0, begun), signal];
  expect(await told(serverWith(history), user, { about: user })).toMatchObject([{ kind: 'received', event: 'enter' }]);
});

test('a recorded job: who failed once and was sent then, with every attempt', async () => {
  expect(await told(serverWith(recorded), 'flaky')).toMatchObject([
    { kind: 'received', event: 'enter', audience: 'vip' },
    { kind: 'received', event: 'exit', audience: 'vip' },
    { kind: 'attempted', event: 'enter', outcome: 'failed', status: 500, attempt: 1 },
    { kind: 'attempted', event: 'enter', outcome: 'delivered', attempt: 2 },
    { kind: 'attempted', event: 'exit', outcome: 'delivered', attempt: 1 },
  ]);
});

test('a recorded job: a backfill found and sent a member; a trace of an unknown person is empty', async () => {
  expect(await told(serverWith(recorded), 'm1099')).toMatchObject([
    { kind: 'found', audience: 'vip', backfill: 1 },
    { kind: 'attempted', event: 'enter', outcome: 'delivered' },
  ]);
  expect(await told(serverWith(recorded), 'stranger')).toEqual([]);
});

const payloads = (...values: unknown[]): { payloads: Payload[] } => ({
  payloads: values.map((value) => payloadConverter.toPayload(value)),
});
const slice = (...users: string[]) => ({
  sliceId: 1,
  settings: { subscriptionId: 's' },
  audiences: [],
  triggers: users.map((user) => [user, 1, '2026-11-25T08:30:00Z', { audience: 'a' }]),
});

function event(eventId: number, attributes: Event): Event {
  return { eventId, eventTime: msToTs(1_795_000_000_000 + eventId * 1000), ...attributes };
}

const scheduled = (eventId: number, input: unknown) =>
  event(eventId, {
    activityTaskScheduledEventAttributes: {
      activityId: String(eventId),
      activityType: { name: 'deliver' },
      input: payloads(input),
    },
  });

const outcomes = (facts: readonly Traced[]) => facts.map((fact) => ('outcome' in fact ? fact.outcome : fact.kind));

test('a slice whose worker was lost for good: its last heartbeat says what was settled', async () => {
  const progress = { delivered: [[0, 0]], failed: [{ index: 1, status: 500, durationMs: 3 }] };
  const failure = { cause: { timeoutFailureInfo: { lastHeartbeatDetails: payloads(progress) } } };
  const client = serverWith([
    scheduled(1, slice('told', 'failed', 'lost')),
    event(2, { activityTaskTimedOutEventAttributes: { scheduledEventId: 1, failure } }),
  ]);
  for (const [user, outcome] of [
    ['told', 'delivered'],
    ['failed', 'failed'],
    ['lost', 'unknown'],
  ] as const)
    expect(outcomes(await told(client, user))).toEqual([outcome]);
});

test('a slice that runs comes last, with what it reported so far', async () => {
  const heartbeatDetails = payloads({ delivered: [[0, 0]], failed: [] });
  const events = [scheduled(1, slice('told', 'waits')), event(2, { timerStartedEventAttributes: {} })];
  const client = serverWith(events, [{ activityId: '1', heartbeatDetails }]);
  expect(outcomes(await told(client, 'told'))).toEqual(['delivered']);
  expect(outcomes(await told(client, 'waits'))).toEqual(['running']);
});

test('requests in flight when their run was terminated have an unknown outcome', async () => {
  const client = serverWith([
    scheduled(1, slice('lost')),
    event(2, { workflowExecutionTerminatedEventAttributes: {} }),
  ]);
  expect(outcomes(await told(client, 'lost'))).toEqual(['unknown']);
  expect((await factsOf(client)).at(-1)).toEqual({ kind: 'closed', runId: 'run', atMs: 1_795_000_002_000 });
});

test('a trace reads a history page by page as it goes, and holds one page in memory', async () => {
  const signal = { signalName: 'enter', input: payloads({ user: 'x', audience: 'a' }) };
  const server = serverWith(
    Array.from({ length: 70 }, (_, i) => event(i + 1, { workflowExecutionSignaledEventAttributes: signal })),
  );
  let pages = 0;
  const getWorkflowExecutionHistory = async (request: object) => {
    pages++;
    return await server.workflowService.getWorkflowExecutionHistory(request);
  };
  const counting = { ...server, workflowService: { getWorkflowExecutionHistory } } as unknown as Client;
  const pagesAtFact: number[] = [];
  for await (const _ of runFacts(counting, 'export-job-a', 'run')) pagesAtFact.push(pages);
  expect(pagesAtFact).toEqual(Array.from({ length: 70 }, (_, i) => Math.floor(i / 7) + 1));
});

test('the client reads an oversized page in smaller ones, and fails on a single event that is too large', async () => {
  const server = serverWith(recorded);
  expect(await factsOf(takingAtMost(4, server))).toEqual(await factsOf(server));
  await expect(factsOf(takingAtMost(0, server))).rejects.toThrow('Failed to signal');
});
