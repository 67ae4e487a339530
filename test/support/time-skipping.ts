import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { test } from '@jest/globals';
import temporalProto from '@temporalio/proto';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { SEARCH_ATTRIBUTES } from '../../src/domain/names.ts';
import { listen } from '../webhook/a-server.ts';

const { api } = temporalProto.temporal;
const { ListWorkflowExecutionsRequest, ListWorkflowExecutionsResponse } = api.workflowservice.v1;
const { ListSearchAttributesResponse } = api.operatorservice.v1;
const { INDEXED_VALUE_TYPE_KEYWORD, INDEXED_VALUE_TYPE_KEYWORD_LIST } = api.enums.v1.IndexedValueType;

const SCRIPT = fileURLToPath(new URL('../../ops/time-skipping/server.sh', import.meta.url));

const missing = whyNone();
if (missing !== undefined)
  process.stderr.write(`SKIPPED: what needs the time-skipping server is not tried. Missing is: ${missing}.\n`);

/** As `test`, and left out where there can be no time-skipping server. */
export const testWithSkippedTime = missing === undefined ? test : test.skip;

/** The first time, its jars are fetched. */
function whyNone(): string | undefined {
  const { status, stderr, error } = spawnSync(SCRIPT, ['--fetch'], { encoding: 'utf8' });
  return status === 0 ? undefined : (error?.message ?? stderr.trim().split('\n').at(-1));
}

const TYPES = { KEYWORD: INDEXED_VALUE_TYPE_KEYWORD, KEYWORD_LIST: INDEXED_VALUE_TYPE_KEYWORD_LIST };
const ATTRIBUTES = Object.fromEntries(Object.entries(SEARCH_ATTRIBUTES).map(([name, type]) => [name, TYPES[type]]));

const LIST = '/temporal.api.workflowservice.v1.WorkflowService/ListWorkflowExecutions';
const LIST_ATTRIBUTES = '/temporal.api.operatorservice.v1.OperatorService/ListSearchAttributes';

/** Time that does not skip for so long, in ms, does not skip any more. */
const STUCK_MS = 5_000;

type Described = temporalProto.temporal.api.workflowservice.v1.IDescribeWorkflowExecutionResponse;
type Execution = temporalProto.temporal.api.workflow.v1.IWorkflowExecutionInfo;

/**
 * The SDK's time-skipping test server, in memory, behind a door. The door answers two calls that the server (1.38) does not know: it lists
 * open workflows, and search attributes. All others go through as they are.
 */
export class SkippedTime {
  /** For clients and workers. */
  readonly address: string;
  readonly #environment: TestWorkflowEnvironment;
  readonly #door: Http2Server;
  readonly #server: ClientHttp2Session;

  static async start(): Promise<SkippedTime> {
    const environment = await startEnvironment();
    const namespace = environment.namespace ?? 'default';
    await environment.connection.operatorService.addSearchAttributes({ namespace, searchAttributes: ATTRIBUTES });
    const server = connect(`http://${environment.address}`);
    await once(server, 'connect');
    const door = createServer();
    return new SkippedTime(environment, server, door, await listen(door));
  }

  private constructor(
    environment: TestWorkflowEnvironment,
    server: ClientHttp2Session,
    door: Http2Server,
    port: number,
  ) {
    this.address = `127.0.0.1:${port}`;
    this.#environment = environment;
    this.#server = server;
    this.#door = door;
    door.on('stream', (stream, headers) => {
      stream.on('error', () => undefined); // Its client has gone.
      const path = headers[':path'];
      if (path === LIST) void answer(stream, (asked) => this.#list(asked));
      else if (path === LIST_ATTRIBUTES) void answer(stream, () => LISTED_ATTRIBUTES);
      else this.#passOn(stream, headers);
    });
  }

  /** The server's time, epoch ms. */
  async now(): Promise<number> {
    return await this.#environment.currentTimeMs();
  }

  /**
   * Skips to this time, epoch ms; while workflows or activities have something to do, time goes at its own pace. After a run has continued as
   * new while much happened, the server (1.38) sometimes holds time for ever. Then this lets go of it in the server's stead.
   */
  async skipTo(atMs: number): Promise<void> {
    const ms = atMs - (await this.now());
    if (ms <= 0) return;
    const skipped = this.#environment.sleep(ms).then(() => true);
    for (;;) {
      const before = await this.now();
      if (await Promise.race([skipped, sleep(STUCK_MS, false, { ref: false })])) return;
      if ((await this.now()) - before < 2 * STUCK_MS)
        await this.#environment.connection.testService?.unlockTimeSkipping({});
    }
  }

  /** The types of the open workflows. */
  async open(): Promise<readonly string[]> {
    return (await this.#executions()).map(({ type }) => type?.name ?? '');
  }

  async stop(): Promise<void> {
    this.#server.destroy();
    this.#door.close();
    await this.#environment.teardown();
  }

  #passOn(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const onward = this.#server.request(headers);
    onward.on('error', () => stream.close());
    stream.on('close', () => onward.close());
    onward.on('response', (answered, flags) => {
      if (stream.destroyed) return;
      const endStream = (flags & END_STREAM) !== 0;
      stream.respond(answered, { endStream, waitForTrailers: !endStream });
      let trailers: IncomingHttpHeaders = {};
      onward.on('trailers', (came) => (trailers = came));
      stream.on('wantTrailers', () => stream.sendTrailers(trailers));
      if (!endStream) onward.pipe(stream);
    });
    stream.pipe(onward);
  }

  async #list(asked: Uint8Array): Promise<Uint8Array> {
    const { query } = ListWorkflowExecutionsRequest.decode(asked);
    const executions = (await this.#executions()).filter((one) => isMeant(one, query));
    return ListWorkflowExecutionsResponse.encode({ executions }).finish();
  }

  async #executions(): Promise<Execution[]> {
    const { connection, namespace = 'default' } = this.#environment;
    const { workflowService } = connection;
    const { executions } = await workflowService.listOpenWorkflowExecutions({ namespace, maximumPageSize: 1000 });
    // Lists of this server have no memos.
    const described = executions.map(async ({ execution = null }) => {
      const answered: Described = await workflowService.describeWorkflowExecution({ namespace, execution });
      return answered.workflowExecutionInfo ?? {};
    });
    return await Promise.all(described);
  }
}

/** The SDK waits only 5 s for the server. On a busy machine that is not enough for Java the first time. */
async function startEnvironment(tries = 5): Promise<TestWorkflowEnvironment> {
  try {
    return await TestWorkflowEnvironment.createTimeSkipping({
      server: { executable: { type: 'existing-path', path: SCRIPT } },
    });
  } catch (error) {
    if (tries === 1) throw error;
    return await startEnvironment(tries - 1);
  }
}

const END_STREAM = 1;
const LISTED_ATTRIBUTES = ListSearchAttributesResponse.encode({ customAttributes: ATTRIBUTES }).finish();

/** Answers a call with one message. */
async function answer(
  stream: ServerHttp2Stream,
  by: (asked: Uint8Array) => Uint8Array | Promise<Uint8Array>,
): Promise<void> {
  const asked = await buffer(stream);
  const message = await by(asked[0] === 1 ? gunzipSync(asked.subarray(5)) : asked.subarray(5));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(Buffer.concat([prefix, message]));
}

/** What queries of ours ask for here: a type of workflow, or the beginning of its id. */
function isMeant({ type, execution }: Execution, query: string): boolean {
  const [, wanted] = /WorkflowType = '([^']*)'/.exec(query) ?? [];
  const [, prefix = ''] = /WorkflowId STARTS_WITH "([^"]*)"/.exec(query) ?? [];
  return (wanted === undefined || type?.name === wanted) && execution?.workflowId?.startsWith(prefix) === true;
}
