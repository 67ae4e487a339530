import { z } from 'zod';
import { coreSettings, type SETTINGS } from '../config/core-config.ts';
import { sourceSchema, type SourceConfig } from './source.ts';
import { ingestsSchema } from '../features/ingests/config.ts';
import { outboxSchema, kafkaSchema } from '../features/consumers/config.ts';
import { folder } from '../config/values.ts';
import { metricsSchema, metricsOf } from '../features/metrics/config.ts';
import { tracingSchema, tracingOf } from '../features/spans/config.ts';
import { deliveryLogSchema } from '../features/delivery-log/config.ts';
import { deploymentOf } from '../config/deployment-config.ts';
import { nearestKey } from '../contract/nearest-key.ts';
import { shownKey, ConfigError, checkVariables, problemsOf } from '../config/problems.ts';
import { existsSync } from 'node:fs';
import { type ConfigOptions, configFile, readConfigFile, folderFrom } from '../config/file.ts';
import { definedOf } from '../domain/json.ts';
import { splitPayloadKeys } from '../temporal/encrypting-codec.ts';
import { POSTGRES_URL } from '../postgres/connection.ts';

/** The settings, each on its own. */
export const configSchema = z.strictObject({
  ...coreSettings,
  source: sourceSchema.optional(),
  ingests: ingestsSchema,
  /** The outbox that `triggers consume outbox` reads. */
  outbox: outboxSchema.optional(),
  /** The topics that `triggers consume kafka` reads. */
  kafka: kafkaSchema.optional(),
  /** For `triggers watch`: where the members of watched audiences are kept between rounds. Several workers must share one folder. */
  watch: z.strictObject({ folder: folder().optional() }).prefault({}),
  metrics: metricsSchema,
  tracing: tracingSchema,
  /** Where every attempt is kept (docs/delivery-log.md). */
  deliveryLog: deliveryLogSchema,
} satisfies Partial<Record<(typeof SETTINGS)[number], z.ZodType>>);

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

function checked({ path, value }: ReturnType<typeof readMerged>): Config {
  const parsed = checkedConfig.safeParse(value);
  if (!parsed.success)
    throw new ConfigError(
      `The configuration (${path} and TRIGGERS_… variables) is wrong.\n${problemsOf(parsed.error, configSchema)}`,
    );
  return parsed.data;
}

/** Returns the source that `TRIGGERS_SOURCE` stands for. */
function namedSource(text: string): object {
  return POSTGRES_URL.test(text) ? { kind: 'postgres', url: text } : { kind: 'file', folder: folderFrom('', text) };
}
