import { expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { msToTs } from '@temporalio/common/lib/time.js';
import fc from 'fast-check';
import { runFacts } from '../../../src/client/calls/events.ts';
import { PersonTrace, type Traced } from '../../../src/features/trace/person-trace.ts';
import { dataConverterWith } from '../../../src/temporal/data-converter.ts';
import { payloadConverter } from '../../../src/temporal/payload-converter.ts';
import { always } from '../../support/properties.ts';
import { aPayloadKey } from '../../temporal/a-payload-key.ts';
import { foreignPayload } from '../../temporal/a-foreign-payload.ts';

type Events = readonly object[];

/** A client whose server has this history of one run. */
function clientOf(events: Events, keys: readonly string[] = []): Client {
  const stub = {
    options: {
      namespace: 'default',
      loadedDataConverter: { payloadConverter, payloadCodecs: dataConverterWith(keys).payloadCodecs },
    },
    workflowService: {
      getWorkflowExecutionHistory: async () =>
        await Promise.resolve({
          history: { events: events.map((one, i) => ({ eventId: i + 1, eventTime: msToTs(1e12 + i), ...one })) },
        }),
    },
    workflow: { getHandle: () => ({ describe: async () => await Promise.resolve({ raw: {} }) }) },
  };
  return stub as unknown as Client; // All of a client that the reading uses.
}

const payloads = (...values: unknown[]): { payloads: Payload[] } => ({
  payloads: values.map((value) => payloadConverter.toPayload(value)),
});
const signalled = (signalName: unknown, input: unknown, more: object = {}) => ({
  workflowExecutionSignaledEventAttributes: { signalName, input, ...more },
});
const AUDIENCE = { id: 'b5d1c1f0e5a94d3c8f1e2a3b4c5d6e7f', slug: 'vip', name: 'VIP' };
const OURS: Events = [
  { workflowExecutionStartedEventAttributes: { input: payloads({ label: 'A' }) } },
  {
    activityTaskScheduledEventAttributes: {
      activityId: '1',
      activityType: { name: 'prepareJob' },
      input: payloads({}),
    },
  },
  {
    activityTaskCompletedEventAttributes: {
      scheduledEventId: 2,
      result: payloads({ ok: true, audiences: [AUDIENCE], definition: {} }),
    },
  },
];
const HONEST: Events = [signalled('enter', payloads({ user: 'honest', audience: 'vip' }))];

const input = fc.oneof(
  fc.constantFrom(undefined, null, {}, { payloads: null }, { payloads: [] }),
  fc.array(foreignPayload, { maxLength: 3 }).map((some) => ({ payloads: some })),
);
const name = fc.oneof(
  fc.constantFrom('enter', 'exit', 'triggers', 'page', 'redeliver', 'permitsReturned', '__stack_trace', '', null),
  fc.string(),
);
const header = fc.dictionary(fc.string(), foreignPayload).map((fields) => ({ fields }));
const stranger = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(name, input, header).map(([one, its, head]) => signalled(one, its, { header: head })),
  },
  fc.tuple(name, input).map(([one, its]) => ({
    workflowExecutionUpdateAcceptedEventAttributes: { acceptedRequest: { input: { name: one, args: its } } },
  })),
  fc.constantFrom(
    { workflowExecutionUpdateAcceptedEventAttributes: {} },
    { workflowExecutionUpdateAdmittedEventAttributes: { request: {} } },
    { workflowExecutionUpdateAcceptedEventAttributes: { acceptedRequest: { input: { name: 'stop', args: null } } } },
    { workflowExecutionCancelRequestedEventAttributes: {} },
    { workflowExecutionOptionsUpdatedEventAttributes: {} },
  ),
  foreignPayload.map((one) => ({
    markerRecordedEventAttributes: { markerName: 'theirs', details: { 'patch-data': { payloads: [one] } } },
  })),
);

async function told(events: Events, about?: string, keys: readonly string[] = []): Promise<Traced[]> {
  const person = new PersonTrace('a', 'honest');
  const all: Traced[] = [];
  const options = about === undefined ? {} : { about };
  for await (const fact of runFacts(clientOf(events, keys), 'export-job-a', 'run', options))
    all.push(...person.take(fact));
  return all;
}

test('whatever strangers put into a history, a trace shows the same of an honest trigger', async () => {
  const alone = await told([...OURS, ...HONEST]);
  expect(alone).toMatchObject([{ kind: 'received', event: 'enter', audience: 'vip' }]);
  const withoutTime = (all: readonly Traced[]) => all.map((one) => ({ ...one, at: '' }));
  for (const keys of [[], [aPayloadKey('ours')]])
    await always(
      fc.asyncProperty(fc.array(stranger, { maxLength: 6 }), async (theirs) => {
        const history = [...OURS, ...theirs, ...HONEST];
        expect(withoutTime(await told(history, 'honest', keys))).toEqual(withoutTime(alone));
        expect(withoutTime(await told(history, undefined, keys))).toEqual(withoutTime(alone));
      }),
      100,
    );
});

test('a signal of nothing, as an SDK sends undefined, is no reason to break a trace', async () => {
  const nothing = { metadata: { encoding: Buffer.from('binary/null') }, data: [] as unknown as Uint8Array };
  const history = [...OURS, signalled('enter', { payloads: [nothing] }), ...HONEST];
  expect(await told(history, 'honest')).toHaveLength(1);
});
