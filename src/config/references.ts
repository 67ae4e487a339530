import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { isRecord } from '../domain/json.ts';
import { ConfigError } from './config-error.ts';

/** Where the values that a configuration refers to come from. */
export interface ReferenceContext {
  readonly env: NodeJS.ProcessEnv;
  /** The folder of the configuration file, which paths are relative to. */
  readonly folder: string;
}

/** A file that holds one value is small; a larger one was named by mistake. */
const MAX_FILE_BYTES = 1024 * 1024;

/**
 * Replaces references in every string of a configuration: `${env:NAME}` with an environment variable, `${file:PATH}` with the content of a file,
 * without the line breaks at its end.
 *
 * @throws ConfigError, which names the reference, when a variable is not set or a file cannot be read.
 */
export function withReferences(value: unknown, context: ReferenceContext): unknown {
  if (typeof value === 'string')
    return value.replaceAll(/\$\{(env|file):([^{}]+)\}/g, (_, kind: string, name: string) =>
      kind === 'env' ? variable(name, context) : fileText(name, context),
    );
  if (Array.isArray(value)) return value.map((item) => withReferences(item, context));
  if (isRecord(value))
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withReferences(item, context)]));
  return value;
}

function variable(name: string, { env }: ReferenceContext): string {
  const found = env[name];
  if (found === undefined)
    throw new ConfigError(`The configuration refers to \${env:${name}}, but that variable is not set.`);
  return found;
}

function fileText(name: string, { folder }: ReferenceContext): string {
  const path = resolve(folder, name);
  try {
    const stat = statSync(path);
    if (stat.isFile() && stat.size <= MAX_FILE_BYTES) return readFileSync(path, 'utf8').replace(/[\r\n]+$/, '');
  } catch (error) {
    throw new ConfigError(`The configuration refers to \${file:${name}}, but ${path} cannot be read.`, {
      cause: error,
    });
  }
  throw new ConfigError(`The configuration refers to \${file:${name}}, but ${path} is not a file of at most 1 MiB.`);
}
