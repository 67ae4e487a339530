import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { definedOf, isRecord, jsonMistake } from '../domain/json.ts';
import { nearestKey } from '../contract/nearest-key.ts';
import { doubledKey } from '../domain/json-scan.ts';
import { DEFAULT_SERVER_LIMITS } from '../domain/limits.ts';
import { DEFAULT_TASK_QUEUE } from '../domain/names.ts';
import { POSTGRES_URL } from '../postgres/connection.ts';
import { readPayloadKeys, splitPayloadKeys } from '../temporal/encrypting-codec.ts';
import { isNetwork, portsIn } from '../webhook/network-policy.ts';
import { areCertificates } from '../webhook/tls.ts';
import { apiKeysSchema, type ConfiguredApiKeys, type ConfiguredIngests, ingestsSchema } from './ingest-config.ts';
import { authorizationSchema } from './authorization-config.ts';
import { type DeliveryLogConfig, deliveryLogSchema } from './delivery-log-config.ts';
import { type KafkaConfig, kafkaSchema, type OutboxConfig, outboxSchema } from './consumer-config.ts';
import { checkVariables, ConfigError, problemsOf, shownKey, unknownKey } from './problems.ts';
import { plainSecrets, withReferences } from './references.ts';
import {
  alertsSchema,
  deploymentOf,
  deploymentSchema,
  metricsOf,
  metricsSchema,
  milliseconds,
  tracingOf,
  tracingSchema,
} from './service-config.ts';
import { folder, isFolder, type SourceConfig, sourceSchema } from './source-config.ts';

const payloadKeys = z
  .array(z.string())
  .superRefine((keys, context) => {
    try {
      readPayloadKeys(keys);
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
    }
  })
  .default([]);

/** Blanks around it would make it another queue without jobs, which looks the same wherever it is shown. */
const taskQueue = z
  .string()
  .min(1)
  .refine((name) => name === name.trim(), { error: 'The name of a task queue has no blanks at its ends.' })
  .default(DEFAULT_TASK_QUEUE);

const PROXY = 'A proxy must look like http://proxy.example.com:3128.';

/** Its path, query and fragment would be ignored; a user name that cannot be decoded would fail every request. */
function isProxy(text: string): boolean {
  const { username, password, pathname, search, hash } = new URL(text);
  try {
    decodeURIComponent(username + password);
  } catch {
    return false;
  }
  return pathname === '/' && search === '' && hash === '';
}

/** The settings, each on its own. */
export const configSchema = z.strictObject({
  taskQueue,
  source: sourceSchema.optional(),
  authorizations: z.record(z.string().min(1).max(100), authorizationSchema).default({}),
  /** `<key id>:<base64 of 32 bytes>`: the first one encrypts payloads, all of them decrypt. None: nothing is encrypted. */
  payloadKeys,
  apiKeys: apiKeysSchema,
  ingests: ingestsSchema,
  /** The outbox that `triggers consume outbox` reads. */
  outbox: outboxSchema.optional(),
  /** The topics that `triggers consume kafka` reads. */
  kafka: kafkaSchema.optional(),
  /** Where alerts about changes in a job's state go, in addition to the log. */
  alerts: alertsSchema,
  /** Longest time for one request, from connecting to the end of the answer, in ms. */
  requestTimeoutMs: milliseconds(60_000).default(15_000),
  /**
   * Most `deliver` activities that this worker runs at once. One that waits for an endpoint costs little more than its slot. There are many slots,
   * so that a few jobs whose endpoints hang do not make others wait.
   */
  maxConcurrentSlices: z.number().int().min(1).default(1000),
  /** Where requests may go. By default: by https, to public addresses. */
  network: z
    .strictObject({
      /** Also allow plain `http:`. */
      allowHttp: z.boolean().default(false),
      /** Networks that may be reached although they are not public: `10.0.0.0/8`, `fd00::/8`. */
      allowAddresses: z
        .array(
          z
            .string()
            .refine(isNetwork, { error: 'A network must be an address, optionally with a prefix length: 10.0.0.0/8.' }),
        )
        .default([]),
      /** Ports and ranges of ports. */
      allowPorts: z
        .array(
          z.string().refine((text) => portsIn(text) !== undefined, {
            error: 'A port is a number up to 65535, or a range of them: 1024-65535.',
          }),
        )
        .default(['443', '80', '1024-65535']),
      /** An HTTP proxy that requests go through (CONNECT). */
      proxy: z
        .url({ protocol: /^https?$/, error: PROXY, abort: true })
        .refine(isProxy, {
          error: `${PROXY} It may have a user name and a password, with % and @ in them encoded, and nothing else.`,
        })
        .optional(),
      /** Authorities that are trusted in addition to Node's: PEM, one or more certificates in each. */
      certificateAuthorities: z
        .array(
          z.string().refine(areCertificates, {
            error: 'A certificate authority must be one or more certificates as PEM: -----BEGIN CERTIFICATE----- …',
          }),
        )
        .default([]),
    })
    .prefault({}),
  /** The Temporal server's limits, if they differ from its defaults. Every limit of a job is a share of these. */
  serverLimits: z
    .strictObject({
      payloadBytes: z
        .number()
        .int()
        .min(16 * 1024)
        .default(DEFAULT_SERVER_LIMITS.payloadBytes),
      signalsPerRun: z.number().int().min(10).default(DEFAULT_SERVER_LIMITS.signalsPerRun),
      eventsPerRun: z.number().int().min(100).default(DEFAULT_SERVER_LIMITS.eventsPerRun),
    })
    .prefault({}),
  /** For `triggers watch`: where the members of watched audiences are kept between rounds. Several workers must share one folder. */
  watch: z.strictObject({ folder: folder().optional() }).prefault({}),
  metrics: metricsSchema,
  tracing: tracingSchema,
  /** Where every attempt is kept (docs/delivery-log.md). */
  deliveryLog: deliveryLogSchema,
  /** For upgrades while jobs are running (docs/operating.md): the version by which Temporal knows this worker. */
  deployment: deploymentSchema,
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
});

/** Also checks settings that must fit together. */
const checkedConfig = configSchema.superRefine(({ alerts, authorizations }, context) => {
  const { url, authorization: name } = alerts;
  if (name === null) return;
  const problem = (message: string): void =>
    context.addIssue({ code: 'custom', path: ['alerts', 'authorization'], message });
  if (url === undefined) return problem('There is no "url" that it could be sent to.');
  const names = Object.keys(authorizations);
  const near = nearestKey(name, names);
  const found = names.includes(name) ? authorizations[name] : undefined;
  if (found === undefined)
    return problem(`There is no such authorization.${near === undefined ? '' : ` Did you mean "${shownKey(near)}"?`}`);
  if (!found.origins.some((origin) => new URL(origin).origin === new URL(url).origin))
    problem('It may not be sent to the origin of "url": add that to its "origins".');
  if (found.jobs !== undefined) problem('It is for some "jobs" only, and alerts are of all.');
});

export type Config = Readonly<z.infer<typeof checkedConfig>>;

/** The names of all settings. */
export const CONFIG_SETTINGS = Object.keys(configSchema.shape);

/**
 * The audience source, for a program that needs one.
 * @throws ConfigError
 */
export function configuredSource({ source }: Config): SourceConfig {
  if (source === undefined) {
    throw new ConfigError(
      'No audience source is configured. Set TRIGGERS_SOURCE to a folder of NDJSON files (docs/sources/file.md) or a postgres:// URL (docs/sources/postgres.md), or "source" in triggers.config.json.',
    );
  }
  if (source.kind !== 'file' || existsSync(source.folder)) return source;
  throw new ConfigError(
    `The folder of the audience source, ${source.folder}, is not there. Correct TRIGGERS_SOURCE, or "source" in triggers.config.json.`,
  );
}

/** For trying things out: requests may also go to endpoints on this machine, by http. */
export function withThisMachine(config: Config): Config {
  const { network } = config;
  const allowAddresses = [...network.allowAddresses, '127.0.0.0/8', '::1'];
  return { ...config, network: { ...network, allowHttp: true, allowAddresses } };
}

export { ConfigError };

/** The file that is read unless another one is named. */
const DEFAULT_CONFIG_FILE = 'triggers.config.json';

/**
 * Reads the configuration once: the file (`path`, else `TRIGGERS_CONFIG`, else `triggers.config.json` if it exists), overridden by the environment.
 * It reads `TRIGGERS_TASK_QUEUE`, `TRIGGERS_SOURCE` (a folder or a `postgres://` URL), `TRIGGERS_LOG_LEVEL`, `TRIGGERS_METRICS_PORT`,
 * `TRIGGERS_METRICS_HOST`, `TRIGGERS_PAYLOAD_KEYS` (keys separated by commas), `TRIGGERS_WATCH_FOLDER`, `TRIGGERS_DEPLOYMENT_NAME`,
 * `TRIGGERS_BUILD_ID` and `TRIGGERS_TRACING_SAMPLE_RATIO`. It also reads OpenTelemetry's own `OTEL_EXPORTER_OTLP_ENDPOINT` and
 * `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`. A value may be a reference, `${env:NAME}` to a variable or `${file:PATH}` to a file, so that the file need
 * not contain secrets. How to reach Temporal is configured separately: `TEMPORAL_ADDRESS` and related variables.
 *
 * @throws ConfigError
 */
export function loadConfig(options: ConfigOptions = {}): Config {
  return checked(readMerged(options));
}

/**
 * Reads the configuration repeatedly, as `loadConfig` does. If nothing has changed, it is not checked again and the same object is returned: a
 * worker reads it every few seconds while it sends, and checking that one certificate and its key belong together takes 1.5 ms.
 */
export function configReader(options: ConfigOptions = {}): () => Config {
  let last: { readonly json: string; readonly config: Config } | undefined;
  return () => {
    const merged = readMerged(options);
    const json = JSON.stringify(merged.value);
    if (last?.json !== json) last = { json, config: checked(merged) };
    return last.config;
  };
}

interface ConfigOptions {
  readonly path?: string;
  readonly env?: NodeJS.ProcessEnv;
}

function readMerged(options: ConfigOptions): { readonly path: string; readonly value: object } {
  const env = options.env ?? process.env;
  checkVariables(env);
  // An empty variable counts as unset: compose files make one of `${NAME:-}`.
  const variable = (name: string): string | undefined => env[name] || undefined;
  const file = configFile(options);
  const { path } = file;
  const fromFile = file.isThere ? readConfigFile(file, env) : {};
  const source = variable('TRIGGERS_SOURCE');
  const taskQueue = variable('TRIGGERS_TASK_QUEUE');
  const logLevel = variable('TRIGGERS_LOG_LEVEL');
  const keys = variable('TRIGGERS_PAYLOAD_KEYS');
  const watchFolder = variable('TRIGGERS_WATCH_FOLDER');
  const value = {
    ...fromFile,
    ...definedOf({ taskQueue, logLevel }),
    ...(keys === undefined ? {} : { payloadKeys: splitPayloadKeys(keys) }),
    ...(source === undefined ? {} : { source: namedSource(source) }),
    ...(watchFolder === undefined ? {} : { watch: { folder: folderFrom('', watchFolder) } }),
    ...metricsOf(fromFile, variable),
    ...tracingOf(fromFile, variable),
    ...deploymentOf(fromFile, variable),
  };
  return { path, value };
}

/**
 * Returns warnings for a person who starts a program with this configuration. `TRIGGERS_SOURCE` stands for a whole source: nothing of the file's own
 * applies, such as its `quietMs`. Secrets in the file are named by their settings.
 * @throws ConfigError
 */
export function configWarnings(options: ConfigOptions = {}): string[] {
  const env = options.env ?? process.env;
  const named = configFile(options);
  if (!named.isThere) return [];
  const { path } = named;
  const file = parseConfigFile(named);
  const isReplaced = Boolean(env['TRIGGERS_SOURCE']) && file['source'] !== undefined;
  const plain = plainSecrets(file);
  return [
    ...(isReplaced
      ? [`TRIGGERS_SOURCE is set, so the whole "source" of ${path} is not used, with all of its settings.`]
      : []),
    ...(plain.length === 0
      ? []
      : [
          `${path} holds secrets as plain text: ${plain.join(', ')}. Put each into a variable or a file, and refer to it: \${env:NAME}, \${file:PATH}.`,
        ]),
  ];
}

function checked({ path, value }: ReturnType<typeof readMerged>): Config {
  const parsed = checkedConfig.safeParse(value);
  if (!parsed.success)
    throw new ConfigError(
      `The configuration (${path} and TRIGGERS_… variables) is wrong.\n${problemsOf(parsed.error, configSchema)}`,
    );
  return parsed.data;
}

/**
 * Reads only the task queue, for programs that talk to jobs but run none. It comes from the same places as with `loadConfig`. The rest of the file is
 * not checked, and the variables that hold a worker's secrets need not be set.
 *
 * @throws ConfigError
 */
export function configuredTaskQueue(env: NodeJS.ProcessEnv = process.env): string {
  checkVariables(env);
  const named = env['TRIGGERS_TASK_QUEUE'];
  const inVariable = named && { path: 'The variable TRIGGERS_TASK_QUEUE', value: named };
  return part('taskQueue', taskQueue, inVariable || valueInFile('taskQueue', env));
}

/** Returns the source that `TRIGGERS_SOURCE` stands for. */
function namedSource(text: string): object {
  return POSTGRES_URL.test(text) ? { kind: 'postgres', url: text } : { kind: 'file', folder: folderFrom('', text) };
}

/**
 * Reads only the payload keys, for programs that talk to jobs but run none. No other secret of the file is read.
 *
 * @throws ConfigError
 */
export function configuredPayloadKeys(env: NodeJS.ProcessEnv = process.env): readonly string[] {
  checkVariables(env);
  const keys = env['TRIGGERS_PAYLOAD_KEYS'];
  const inVariable = keys && { path: 'The variable TRIGGERS_PAYLOAD_KEYS', value: splitPayloadKeys(keys) };
  return part('payloadKeys', payloadKeys, inVariable || valueInFile('payloadKeys', env));
}

/**
 * Reads only where attempts are kept, for programs that read them. No other secret of the file is read.
 *
 * @throws ConfigError
 */
export function configuredDeliveryLog(env: NodeJS.ProcessEnv = process.env): DeliveryLogConfig | undefined {
  checkVariables(env);
  return part('deliveryLog', deliveryLogSchema, valueInFile('deliveryLog', env));
}

/** Who may use the HTTP API, and which senders' own requests it accepts. */
export interface ApiConfig {
  readonly apiKeys: ConfiguredApiKeys;
  readonly ingests: ConfiguredIngests;
}

/**
 * Reads only the configuration of the HTTP API, for the program that serves it and sends nothing. No other secret of the file is read.
 *
 * @throws ConfigError
 */
export function configuredApi(env: NodeJS.ProcessEnv = process.env): ApiConfig {
  checkVariables(env);
  return {
    apiKeys: configuredApiKeys(env),
    ingests: part('ingests', ingestsSchema, valueInFile('ingests', env)),
  };
}

/** Reads only the API's keys: no secret of the file is read. @throws ConfigError */
export function configuredApiKeys(env: NodeJS.ProcessEnv = process.env): ConfiguredApiKeys {
  return part('apiKeys', apiKeysSchema, valueInFile('apiKeys', env));
}

/**
 * Reads only the outbox, for the program that consumes it and sends nothing.
 *
 * @throws ConfigError, also when there is none
 */
export function configuredOutbox(env: NodeJS.ProcessEnv = process.env): OutboxConfig {
  return configuredStream('outbox', outboxSchema, 'No outbox is configured', 'the "url" of its database', env);
}

/**
 * Reads only the topics, for the program that consumes them and sends nothing.
 *
 * @throws ConfigError, also when there are none
 */
export function configuredKafka(env: NodeJS.ProcessEnv = process.env): KafkaConfig {
  return configuredStream('kafka', kafkaSchema, 'No Kafka is configured', '"brokers", "topics" and a "group"', env);
}

function configuredStream<T>(
  key: 'outbox' | 'kafka',
  schema: z.ZodType<T>,
  none: string,
  needed: string,
  env: NodeJS.ProcessEnv,
): T {
  checkVariables(env);
  const fromFile = valueInFile(key, env);
  if (fromFile.value === undefined)
    throw new ConfigError(`${none} in ${fromFile.path}. Give "${key}" ${needed} (docs/consumers.md).`);
  return part(key, schema, fromFile);
}

function part<T>(key: string, schema: z.ZodType<T>, { path, value }: { path: string; value: unknown }): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ConfigError(`${path} is wrong: "${key}".\n${problemsOf(parsed.error, schema)}`);
}

/** One value of the file, with its references replaced; undefined when the file does not exist or does not have that key. */
function valueInFile(key: string, env: NodeJS.ProcessEnv): { path: string; value: unknown } {
  const named = configFile({ env });
  const { path } = named;
  if (!named.isThere) return { path, value: undefined };
  const file = parseConfigFile(named);
  // A misspelt "payloadKeys" would mean that nothing is encrypted.
  const unknown = Object.keys(file).filter((name) => !CONFIG_SETTINGS.includes(name));
  if (unknown.length > 0)
    throw new ConfigError(
      `The configuration file ${path} is wrong.\n${unknown.map((name) => unknownKey(name, CONFIG_SETTINGS)).join('\n')}`,
    );
  const value = withReferences(file[key], { env, folder: dirname(path) }, [key]);
  return { path, value: withFolder(key, { [key]: value }, path)[key] ?? value };
}

/** The configuration file, and what to do when it cannot be read. */
interface ConfigFile {
  readonly path: string;
  /** Whether it is named, or the default one exists. */
  readonly isThere: boolean;
  readonly advice: string;
}

function configFile({ path: option, env = process.env }: ConfigOptions): ConfigFile {
  // An empty variable counts as unset: compose files make one of `${NAME:-}`.
  const variable = env['TRIGGERS_CONFIG'] || undefined;
  const named = option ?? variable;
  const path = resolve(named ?? DEFAULT_CONFIG_FILE);
  const isThere = named !== undefined || existsSync(path);
  if (option !== undefined) return { path, isThere, advice: 'Check the path after --config.' };
  return {
    path,
    isThere,
    advice: variable === undefined ? 'Check who may read it.' : 'Check the path, or unset TRIGGERS_CONFIG.',
  };
}

function readConfigFile(file: ConfigFile, env: NodeJS.ProcessEnv): Record<string, unknown> {
  const { path } = file;
  const value = withReferences(parseConfigFile(file), { env, folder: dirname(path) }) as Record<string, unknown>; // An object stays one.
  // A folder is relative to the file that names it, wherever the command is run.
  return {
    ...value,
    ...withFolder('source', value, path),
    ...withFolder('watch', value, path),
    ...withFolder('deliveryLog', value, path),
  };
}

/** The part of the configuration with its folder as a whole path; nothing if it has none. */
function withFolder(key: string, value: Record<string, unknown>, path: string): Record<string, unknown> {
  const part = value[key];
  if (!isRecord(part) || typeof part['folder'] !== 'string') return {};
  return { [key]: { ...part, folder: folderFrom(dirname(path), part['folder']) } };
}

/** Leaves a text that cannot be a folder as it is, for the schema to refuse. */
function folderFrom(base: string, text: string): string {
  return isFolder(text) ? resolve(base, text) : text;
}

/** The content of the file, with its references not yet replaced. */
function parseConfigFile({ path, advice }: ConfigFile): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`The configuration file ${path} cannot be read. ${advice}`, { cause: error });
  }
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    // Only the position: the parser's own message may quote the file, and with it a secret.
    const { line, character } = jsonMistake(text);
    throw new ConfigError(
      `The configuration file ${path} is not JSON: something is wrong in line ${line}, at character ${character}.`,
    );
  }
  if (!isRecord(raw)) throw new ConfigError(`The configuration file ${path} must contain a JSON object.`);
  const doubled = doubledKey(text);
  if (doubled !== undefined)
    throw new ConfigError(`The configuration file ${path} is wrong: one object has "${shownKey(doubled)}" twice.`);
  return raw;
}
