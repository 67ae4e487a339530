import {
  Client,
  Connection,
  type ConnectionOptions,
  defaultGrpcRetryOptions,
  type GrpcRetryOptions,
  makeGrpcRetryInterceptor,
} from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import proto from '@temporalio/proto';
import { codeOf } from '../../domain/errors.ts';
import { definedOf, isRecord } from '../../domain/json.ts';
import { dataConverterWith } from '../../temporal/data-converter.ts';
import { splitPayloadKeys } from '../../temporal/encrypting-codec.ts';
import { InvalidConnection, NotLetIn, ServerUnreachable } from './errors.ts';
import { GRPC } from './server-errors.ts';

/** How to reach Temporal, for a client's connection and for a worker's native one. */
export interface ConnectConfig {
  readonly connectionOptions: ReturnType<typeof loadClientConnectConfig>['connectionOptions'];
  readonly namespace: string;
}

/** The address of the server unless another one is configured. */
const DEFAULT_ADDRESS = 'localhost:7233';

/** The characters that a gRPC header may contain. */
const HEADER_TEXT = /^[\x20-\x7e]*$/;
const CONNECT_TIMEOUT_MS = 5_000;
/** Longest wait, in ms, between two tries to reach a server that is down. */
const RECONNECT_MS = 2_000;
const MAX_MESSAGE_BYTES = 128 * 1024 * 1024;

/**
 * How to reach Temporal, according to the environment: `TEMPORAL_ADDRESS` (default `localhost:7233`), `TEMPORAL_NAMESPACE` (default
 * `default`), `TEMPORAL_API_KEY`, `TEMPORAL_TLS…`, and the profiles of the `temporal` CLI's TOML file (`TEMPORAL_PROFILE`,
 * `TEMPORAL_CONFIG_FILE`).
 *
 * @throws InvalidConnection
 */
export function loadConnectConfig(): ConnectConfig {
  const { connectionOptions, namespace } = readSettings();
  checkHeaders(connectionOptions);
  const { address, ...rest } = connectionOptions;
  // An empty variable counts as unset: compose files turn `${NAME:-}` into one.
  return { connectionOptions: address ? { ...rest, address } : rest, namespace: namespace || 'default' };
}

function readSettings(): ReturnType<typeof loadClientConnectConfig> {
  try {
    return loadClientConnectConfig();
  } catch (error) {
    const path = isRecord(error) ? error['path'] : undefined;
    if (typeof path === 'string') throw new InvalidConnection(unreadable(path, codeOf(error) ?? 'unknown'));
    if (!(error instanceof Error)) throw error;
    if (!('codeblock' in error && 'line' in error && 'column' in error))
      throw new InvalidConnection(`The settings for Temporal cannot be used: ${error.message}.`);
    // Only the position, and no cause: the parser's own message quotes the file, and with it possibly an API key.
    throw new InvalidConnection(
      `The configuration file for Temporal (TEMPORAL_CONFIG_FILE, else temporal.toml of the temporal command line) is not TOML: something is wrong in line ${String(error.line)}, at character ${String(error.column)}.`,
    );
  }
}

/** Never shows the path: it is the secret itself where somebody gives a key in place of its path. */
function unreadable(path: string, code: string): string {
  const variable = Object.keys(process.env).find((name) => name.startsWith('TEMPORAL_') && process.env[name] === path);
  const setting = variable ?? 'A setting for TLS in temporal.toml';
  return `${setting} names a file that cannot be read (${code}).`;
}

/** Checked here because gRPC's own message would repeat the value. */
function checkHeaders({ apiKey, metadata }: ConnectConfig['connectionOptions']): void {
  if (typeof apiKey === 'string' && !HEADER_TEXT.test(apiKey))
    throw new InvalidConnection(
      'TEMPORAL_API_KEY, or "api_key" in temporal.toml, must be one line of plain characters. Does it end with a line break?',
    );
  const wrong = Object.entries(metadata ?? {}).find(([, value]) => !HEADER_TEXT.test(String(value)));
  if (wrong !== undefined)
    throw new InvalidConnection(
      `The gRPC header "${wrong[0]}" for Temporal (TEMPORAL_GRPC_META_…, or "grpc_meta" in temporal.toml) must be one line of plain characters.`,
    );
}

/** The address in a configuration, or the default. */
export function addressOf(config: ConnectConfig): string {
  return config.connectionOptions.address ?? DEFAULT_ADDRESS;
}

/** A connected client. Its creator must close it. */
export interface ConnectedClient {
  readonly client: Client;
  readonly connection: Connection;
  readonly close: () => Promise<void>;
  /** Closes it and cancels the open calls instead of waiting for them. */
  readonly abandon: () => Promise<void>;
}

/**
 * Connects a Temporal client with our payload converter and, if there are keys, with encryption.
 *
 * @param payloadKeys as configured, the same as the workers'. There is no default: a client without them would send in the clear what the workers
 *   encrypt.
 * @throws InvalidPayloadKeys; InvalidConnection; NotLetIn; ServerUnreachable when nothing answers at the address within 5 s.
 */
export async function connectClient(
  config: ConnectConfig,
  payloadKeys: readonly string[],
  timeoutMs = CONNECT_TIMEOUT_MS,
): Promise<ConnectedClient> {
  const dataConverter = dataConverterWith(payloadKeys);
  const calls = new OpenCalls();
  const connection = await openConnection(config, timeoutMs, calls);
  const client = new Client({ connection, namespace: config.namespace, dataConverter });
  const close = async (): Promise<void> => await connection.close();
  const abandon = async (): Promise<void> => {
    calls.cancel();
    await close();
  };
  return { client, connection, close, abandon };
}

/** Returns the payload keys of the environment: `TRIGGERS_PAYLOAD_KEYS`. */
export function payloadKeysOfEnvironment(): string[] {
  const { TRIGGERS_PAYLOAD_KEYS: keys } = process.env;
  return keys ? splitPayloadKeys(keys) : [];
}

/**
 * Opens a connection for calls without payloads. The caller must close it.
 * @throws InvalidConnection; NotLetIn; ServerUnreachable when nothing answers at the address in time, by default within 5 s.
 */
export async function openConnection(
  config: ConnectConfig,
  timeoutMs = CONNECT_TIMEOUT_MS,
  calls = new OpenCalls(),
): Promise<Connection> {
  checkHeaders(config.connectionOptions);
  const address = addressOf(config);
  try {
    return await Connection.connect({
      ...clientOptions(config),
      address,
      connectTimeout: timeoutMs,
      interceptors: [retriesWhileOpen(calls)],
      // A page of a history with large signals exceeds the 4 MiB that gRPC accepts by default.
      channelArgs: {
        'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
        // By default, the waits grow to two minutes, so a server that is back would seem away for as long.
        'grpc.max_reconnect_backoff_ms': RECONNECT_MS,
      },
    });
  } catch (error) {
    throw NotLetIn.of(error) ?? new ServerUnreachable(address, error);
  }
}

/** envconfig types its options for the native connection; these are the ones that both kinds of connection share. */
function clientOptions({ connectionOptions }: ConnectConfig): ConnectionOptions {
  const { tls, apiKey, metadata } = connectionOptions;
  return {
    ...definedOf({ tls, apiKey, metadata }),
  };
}

type Interceptor = NonNullable<ConnectionOptions['interceptors']>[number];
/** As an interceptor gets it from the next one. */
export type Call = ReturnType<Parameters<Interceptor>[1]>;

/**
 * The open calls of a connection. They outlive its close, so a server that never answers would keep the process alive until each of them times out.
 */
class OpenCalls {
  readonly #calls = new Set<Call>();

  /** Keeps track of a call from its start to its end. */
  follow(call: Call): Call {
    const start = call.start.bind(call);
    call.start = (metadata, listener = {}) => {
      this.#calls.add(call);
      const ended = listener.onReceiveStatus?.bind(listener);
      listener.onReceiveStatus = (status) => {
        this.#calls.delete(call);
        ended?.(status);
      };
      start(metadata, listener);
    };
    return call;
  }

  /** Ends them all as cancelled calls. */
  cancel(): void {
    for (const call of this.#calls) call.cancelWithStatus(GRPC.CANCELLED, 'The connection was abandoned.');
  }
}

// It is a CommonJS module, whose exports Node cannot import by name.
const { google, temporal } = proto;
const { ResourceExhaustedFailure } = temporal.api.errordetails.v1;
const { RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW } = temporal.api.enums.v1.ResourceExhaustedCause;

/** How a call ended. */
type Status = Parameters<GrpcRetryOptions['retryableDecider']>[1];

const bySdk = defaultGrpcRetryOptions();
const BUSY_PAUSE_MS = 25;
/** For a second; after that, each pause is half as long again as the one before. */
const SHORT_BUSY_TRIES = 40;
const LONGEST_BUSY_PAUSE_MS = 1_000;
/** With those pauses, for half a minute. */
const MOST_BUSY_TRIES = 75;

/**
 * Between two runs a job accepts no signals, mostly for less than half a second. A pause that grew would outlast that by as much again. The SDK
 * would treat the server as overloaded, and delay each signal by another one to two seconds.
 */
const retrying = makeGrpcRetryInterceptor({
  retryableDecider: (attempt, status) =>
    isBusyWorkflow(status) ? attempt < MOST_BUSY_TRIES : bySdk.retryableDecider(attempt, status),
  delayFunction: (attempt, status) =>
    isBusyWorkflow(status)
      ? Math.min(LONGEST_BUSY_PAUSE_MS, BUSY_PAUSE_MS * 1.5 ** Math.max(0, attempt - SHORT_BUSY_TRIES)) *
        (0.8 + Math.random() * 0.4)
      : bySdk.delayFunction(attempt, status),
});

/** Whether one workflow takes no calls at the moment, rather than the server. */
function isBusyWorkflow({ metadata }: Status): boolean {
  const [bytes] = metadata.get('grpc-status-details-bin');
  if (!(bytes instanceof Uint8Array)) return false;
  try {
    return google.rpc.Status.decode(bytes).details.some(
      ({ type_url: type, value }) =>
        type?.endsWith('/temporal.api.errordetails.v1.ResourceExhaustedFailure') === true &&
        ResourceExhaustedFailure.decode(value ?? new Uint8Array()).cause === RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW,
    );
  } catch {
    return false;
  }
}

/**
 * Returns the SDK's own retries of calls, safe after a close. Without this, a retry that is due after the close throws from a timer and ends the
 * process. With this it counts as a cancelled call.
 * @param calls knows of each try that is under way.
 */
export function retriesWhileOpen(calls = new OpenCalls()): Interceptor {
  return (options, nextCall) => {
    let isFirst = true;
    return retrying(options, (again) => {
      if (isFirst) {
        isFirst = false;
        return calls.follow(nextCall(again));
      }
      try {
        return calls.follow(nextCall(again));
      } catch {
        return new CancelledCall();
      }
    });
  };
}

/** It is not tried again. */
class CancelledCall implements Call {
  start(...[metadata, listener]: Parameters<Call['start']>): void {
    setImmediate(() =>
      listener?.onReceiveStatus?.({ code: GRPC.CANCELLED, details: 'The connection was closed.', metadata }),
    );
  }
  cancelWithStatus(): void {}
  sendMessageWithContext(): void {}
  sendMessage(): void {}
  startRead(): void {}
  halfClose(): void {}
  getPeer(): string {
    return 'unknown';
  }
  getAuthContext(): null {
    return null;
  }
}
