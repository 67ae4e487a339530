import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { isRecord } from '../domain/json.ts';
import { ConfigError } from './config-error.ts';

/** Where the values come from that a configuration refers to. */
export interface ReferenceContext {
  readonly env: NodeJS.ProcessEnv;
  /** The configuration file's own folder: paths are meant from there. */
  readonly folder: string;
}

/** A file that holds one value is small; what is larger was named by mistake. */
const MAX_FILE_BYTES = 1024 * 1024;

/**
 * Puts values in the place of references, in every text of a configuration: `${env:NAME}` is an environment variable, `${file:PATH}` what a
 * file holds, without the line ends that it closes with.
 *
 * @throws ConfigError that names the reference, when a variable is not set or a file cannot be read.
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
  throw new ConfigError(`The configuration refers to \${file:${name}}, but ${path} is no file of at most 1 MiB.`);
}
