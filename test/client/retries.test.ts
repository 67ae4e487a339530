import { afterEach, expect, test } from '@jest/globals';
import proto from '@temporalio/proto';
import { connectClient, type ConnectedClient } from '../../src/client/connect.ts';
import { GRPC } from '../../src/client/server-errors.ts';
import { type DetailedStatus, startGrpcServer, UNIMPLEMENTED } from './a-grpc-server.ts';

const { google, temporal } = proto;
const { ResourceExhaustedCause: CAUSE } = temporal.api.enums.v1;
const { ResourceExhaustedFailure } = temporal.api.errordetails.v1;

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

/** What Temporal answers to what it does not take at the moment. */
function exhausted(cause: number): DetailedStatus {
  const details = google.rpc.Status.encode({
    code: GRPC.RESOURCE_EXHAUSTED,
    details: [
      {
        type_url: 'type.googleapis.com/temporal.api.errordetails.v1.ResourceExhaustedFailure',
        value: ResourceExhaustedFailure.encode({ cause }).finish(),
      },
    ],
  }).finish();
  return { status: GRPC.RESOURCE_EXHAUSTED, details };
}

/** A client whose server answers this a few times, and then that all is well; and how often it was asked. */
async function answered(answer: DetailedStatus, times: number): Promise<ConnectedClient & { asked: () => number }> {
  let calls = 0;
  const server = await startGrpcServer(() => {
    calls++;
    if (calls === 1) return UNIMPLEMENTED; // As an old server does to whoever connects.
    return calls <= 1 + times ? answer : 0;
  });
  const connected = await connectClient({ connectionOptions: { address: server.address }, namespace: 'default' }, []);
  open.push(
    () => connected.close(),
    () => server.close(),
  );
  return { ...connected, asked: () => calls - 1 };
}

async function tookMs({ client }: ConnectedClient): Promise<number> {
  const begunMs = performance.now();
  await client.workflowService.signalWorkflowExecution({});
  return performance.now() - begunMs;
}

test('what a job does not take while its run ends is brought again within a moment, until the next run takes it', async () => {
  const connected = await answered(exhausted(CAUSE.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW), 5);
  expect(await tookMs(connected)).toBeLessThan(1_000);
  expect(connected.asked()).toBe(6);
});

test.each([
  ['a server that has too much to do', exhausted(CAUSE.RESOURCE_EXHAUSTED_CAUSE_SYSTEM_OVERLOADED)],
  ['one that does not say why', { status: GRPC.RESOURCE_EXHAUSTED }],
  ['one that says something unreadable', { status: GRPC.RESOURCE_EXHAUSTED, details: Buffer.from('?!') }],
])('%s is left alone for more than a second', async (_what, answer) => {
  const connected = await answered(answer, 1);
  expect(await tookMs(connected)).toBeGreaterThan(1_000);
  expect(connected.asked()).toBe(2);
});
