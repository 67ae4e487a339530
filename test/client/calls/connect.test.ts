import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { connectClient, type ConnectedClient, loadConnectConfig } from '../../../src/client/calls/connect.ts';
import { InvalidConnection, ServerUnreachable } from '../../../src/client/calls/errors.ts';
import { GRPC } from '../../../src/client/calls/server-errors.ts';
import { thrownBy } from '../../support/thrown-by.ts';
import { type DetailedStatus, startGrpcServer, UNIMPLEMENTED } from '../a-grpc-server.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import proto from '@temporalio/proto';

const environment = process.env;
let folder: string;
beforeEach(() => {
  folder = tempFolder();
  process.env = { TEMPORAL_CONFIG_FILE: join(folder, 'temporal.toml') };
});
afterEach(() => {
  process.env = environment;
});

/** Answers the first call as an old server does, and is unavailable from then on. */
async function unavailableServer(): Promise<{ address: string; close: () => void }> {
  let calls = 0;
  return await startGrpcServer(() => (++calls === 1 ? UNIMPLEMENTED : GRPC.UNAVAILABLE));
}

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

test('the client reports an unreachable server within seconds, with its address and what to do', async () => {
  const address = `127.0.0.1:${await closedPort()}`;
  const begun = performance.now();
  const error = await connectClient({ connectionOptions: { address }, namespace: 'default' }, []).catch(
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(ServerUnreachable);
  expect(String(error)).toContain(address);
  expect(error).toMatchObject({ address, remedies: [{ action: 'startTemporal' }] });
  expect(performance.now() - begun).toBeLessThan(10_000);
});

test('a file that is not there and a profile that does not exist are wrong settings, by name', () => {
  process.env['TEMPORAL_TLS_CLIENT_KEY_PATH'] = join(folder, 'gone.key');
  const gone = thrownBy(loadConnectConfig);
  expect(gone).toBeInstanceOf(InvalidConnection);
  expect(String(gone)).toContain('TEMPORAL_TLS_CLIENT_KEY_PATH names a file that cannot be read (ENOENT).');
  process.env['TEMPORAL_TLS_CLIENT_KEY_PATH'] = `-----BEGIN PRIVATE KEY-----${'s3cret'.repeat(50)}`;
  expect(inspect(thrownBy(loadConnectConfig))).not.toContain('s3cret');
  process.env = { ...process.env, TEMPORAL_TLS_CLIENT_KEY_PATH: '', TEMPORAL_PROFILE: 'nobody' };
  const unknown = thrownBy(loadConnectConfig);
  expect(unknown).toBeInstanceOf(InvalidConnection);
  expect(String(unknown)).toContain("'nobody'");
});

test('a connection that is closed while calls wait to be tried again ends them: nothing is thrown at nobody', async () => {
  const server = await unavailableServer();
  const { client, close } = await connectClient(
    { connectionOptions: { address: server.address }, namespace: 'default' },
    [],
  );
  const calls = Array.from({ length: 20 }, async () => await client.workflowService.getClusterInfo({}));
  await sleep(20); // Each is tried again after 170 ms or more.
  await close();
  for (const outcome of await Promise.allSettled(calls))
    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: GRPC.CANCELLED } });
  server.close();
});

test('abandoning a connection ends calls that a server never answers, but closing it does not', async () => {
  let calls = 0;
  let hear: () => void = () => undefined;
  const second = new Promise<void>((resolve) => (hear = resolve));
  const server = await startGrpcServer(() => {
    if (++calls === 1) return UNIMPLEMENTED;
    hear();
    return undefined;
  });
  const config = { connectionOptions: { address: server.address }, namespace: 'default' };
  const { client, close, abandon } = await connectClient(config, []);
  let isOver = false;
  const call = client.workflowService.getClusterInfo({}).finally(() => (isOver = true));
  const ended = Promise.allSettled([call]);
  await second;
  await close();
  await sleep(20);
  expect(isOver).toBe(false);
  await abandon();
  expect(await ended).toMatchObject([{ status: 'rejected', reason: { code: GRPC.CANCELLED } }]);
  server.close();
});

test('[S22] the error about a broken TOML file of the temporal CLI gives its place, and hides the API key', () => {
  writeFileSync(join(folder, 'temporal.toml'), '[profile.default]\napi_key = "s3cret\n');
  const error = thrownBy(loadConnectConfig);
  expect(error).toBeInstanceOf(InvalidConnection);
  expect(error).toMatchObject({ message: expect.stringContaining('line 2, at character') });
  expect(inspect(error)).not.toContain('s3cret');
});

test.each([
  ['TEMPORAL_API_KEY', 's3cret\n', /TEMPORAL_API_KEY.*line break/],
  ['TEMPORAL_API_KEY', 's3crét', /TEMPORAL_API_KEY/],
  ['TEMPORAL_GRPC_META_X_TOKEN', 's3cret\n', /"x-token".*TEMPORAL_GRPC_META/],
])('[S22] %s with %j is an error that does not repeat it, before anything is asked', (name, value, words) => {
  process.env[name] = value;
  const error = thrownBy(loadConnectConfig);
  expect(error).toBeInstanceOf(InvalidConnection);
  expect(error).toMatchObject({ message: expect.stringMatching(words) });
  expect(inspect(error)).not.toContain('s3cr');
});

test('[S22] an error does not repeat an API key that a program gives', async () => {
  const connectionOptions = { address: '127.0.0.1:1', apiKey: 's3cret\n' };
  const error: unknown = await connectClient({ connectionOptions, namespace: 'default' }, []).catch(
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(InvalidConnection);
  expect(inspect(error)).not.toContain('s3cr');
});

test('an API key of plain characters, and none, are taken', () => {
  expect(loadConnectConfig().connectionOptions.apiKey).toBeUndefined();
  process.env['TEMPORAL_API_KEY'] = 'an-api.key_1~';
  expect(loadConnectConfig().connectionOptions.apiKey).toBe('an-api.key_1~');
});

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
    if (calls === 1) return UNIMPLEMENTED; // As an old server answers every client.
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

test('the client signals a job again within a moment while its run ends, until the next run takes it', async () => {
  const connected = await answered(exhausted(CAUSE.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW), 20);
  // Half a second. After any other refusal of this kind, five pauses take more than five seconds.
  expect(await tookMs(connected)).toBeLessThan(5_000);
  expect(connected.asked()).toBe(21);
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
