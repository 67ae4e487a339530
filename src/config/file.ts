import { plainSecrets, withReferences } from './references.ts';
import { checkVariables, ConfigError, problemsOf, unknownKey, shownKey } from './problems.ts';
import { coreSettings, SETTINGS } from './core-config.ts';
import { splitPayloadKeys } from '../temporal/encrypting-codec.ts';
import { type ConfiguredApiKeys, apiKeysSchema } from './api-keys.ts';
import type { z } from 'zod';
import { isFolder } from './values.ts';
import { dirname, resolve } from 'node:path';
import { existsSync, readFileSync } from 'node:fs';
import { isRecord, jsonMistake } from '../domain/json.ts';
import { doubledKey } from '../domain/json-scan.ts';

/** The file that is read unless another one is named. */
const DEFAULT_CONFIG_FILE = 'triggers.config.json';

export interface ConfigOptions {
  readonly path?: string;
  readonly env?: NodeJS.ProcessEnv;
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
  return part('taskQueue', coreSettings.taskQueue, inVariable || valueInFile('taskQueue', env));
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
  return part('payloadKeys', coreSettings.payloadKeys, inVariable || valueInFile('payloadKeys', env));
}

/** Reads only the API's keys: no secret of the file is read. @throws ConfigError */
export function configuredApiKeys(env: NodeJS.ProcessEnv = process.env): ConfiguredApiKeys {
  checkVariables(env);
  return part('apiKeys', apiKeysSchema, valueInFile('apiKeys', env));
}

export function part<T>(key: string, schema: z.ZodType<T>, { path, value }: { path: string; value: unknown }): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ConfigError(`${path} is wrong: "${key}".\n${problemsOf(parsed.error, schema)}`);
}

/** One value of the file, with its references replaced; undefined when the file does not exist or does not have that key. */
export function valueInFile(key: string, env: NodeJS.ProcessEnv): { path: string; value: unknown } {
  const named = configFile({ env });
  const { path } = named;
  if (!named.isThere) return { path, value: undefined };
  const file = parseConfigFile(named);
  // A misspelt "payloadKeys" would mean that nothing is encrypted.
  const settings: readonly string[] = SETTINGS;
  const unknown = Object.keys(file).filter((name) => !settings.includes(name));
  if (unknown.length > 0)
    throw new ConfigError(
      `The configuration file ${path} is wrong.\n${unknown.map((name) => unknownKey(name, settings)).join('\n')}`,
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

export function configFile({ path: option, env = process.env }: ConfigOptions): ConfigFile {
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

export function readConfigFile(file: ConfigFile, env: NodeJS.ProcessEnv): Record<string, unknown> {
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
export function folderFrom(base: string, text: string): string {
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
