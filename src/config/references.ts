import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { isRecord } from '../domain/json.ts';
import { ConfigError, shownKey } from './problems.ts';

const HMAC_BYTES = 32;
const PAYLOAD_KEY_BYTES = 32;
const API_KEY_BYTES = 32;

/** A new key to encrypt payloads in Temporal with, under an id that is not secret. */
export function newPayloadKey(id: string): { readonly secret: string } {
  return { secret: `${id}:${randomBytes(PAYLOAD_KEY_BYTES).toString('base64')}` };
}

/** A new key for the HTTP API, and its hash for the configuration. */
export function newApiKey(): { readonly secret: string; readonly hash: string } {
  const secret = `trg_${randomBytes(API_KEY_BYTES).toString('base64url')}`;
  return { secret, hash: `sha256:${createHash('sha256').update(secret).digest('hex')}` };
}

/** A new signing secret of Standard Webhooks 1.0; for ed25519 also the public key, which is all that receivers need. */
export function newSigningSecret(kind: 'hmac' | 'ed25519'): { readonly secret: string; readonly publicKey?: string } {
  if (kind === 'hmac') return { secret: `whsec_${randomBytes(HMAC_BYTES).toString('base64')}` };
  const { d = '', x = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const [seed, publicBytes] = [Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')];
  return {
    secret: `whsk_${Buffer.concat([seed, publicBytes]).toString('base64')}`,
    publicKey: `whpk_${publicBytes.toString('base64')}`,
  };
}

/** Where the values that a configuration refers to come from. */
export interface ReferenceContext {
  readonly env: NodeJS.ProcessEnv;
  /** The folder of the configuration file, which paths are relative to. */
  readonly folder: string;
}

/** A file that holds one value is small; a larger one was named by mistake. */
const MAX_FILE_BYTES = 1024 * 1024;

/**
 * In this order: a literal text, a reference, and a text that only looks like one. The last would otherwise be sent as a secret that no endpoint knows.
 * Without braces only capitals count as the name of a variable, since queries have names like `$1` and `$ids`.
 */
const MARKS =
  /\$\$(?<literal>[{(]|[A-Z][A-Z0-9_]+)|\$\{(?<kind>env|file):(?<name>[^{}]+)\}|\$ ?\{|\$\(|\$(?:env|file):|\{(?:env|file):|(?<![\w$])\$[A-Z][A-Z0-9_]+(?![\w$])|^(?:env|file):/g;

/** A whole value, or the part after the name of a scheme, that is only such a mistake. Only then is its name certainly not part of a secret. */
const MISSPELT = /^(?:[A-Za-z]+ )?\$ ?[{(] ?(?:env ?: ?(?<named>\w+)|(?<bare>[A-Z]\w*)(?= ?[})]$)) ?[})]?$/i;

/**
 * Replaces references in every string of a configuration: `${env:NAME}` with an environment variable, `${file:PATH}` with the content of a file,
 * without the line breaks at its end. `$${` stands for `${`, and `$$NAME` for `$NAME`. References in a replaced value stay.
 *
 * @throws ConfigError, which names the reference or its place. A variable is not set or is empty, a file cannot be read or is empty, or a text only
 *   looks like a reference.
 */
export function withReferences(value: unknown, context: ReferenceContext, path: readonly string[] = []): unknown {
  if (typeof value === 'string') return replaced(value, context, path);
  if (Array.isArray(value)) return value.map((item, index) => withReferences(item, context, [...path, String(index)]));
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      if (/\$ ?[{(]/.test(key))
        throw new ConfigError(
          `A reference can be a value or a part of one, but no key, as ${shownPath([...path, key])}.`,
        );
      return [key, withReferences(item, context, [...path, key])];
    }),
  );
}

/** Settings that hold a secret wherever they are: a text, or a list of them. */
const SECRETS = /^(?:bearer|clientSecret|key|passphrase|password|payloadKeys|secret|signingSecrets|token)$/;
/** A header or a parameter is secret by its name. */
const NAMES_OF_SECRETS = /auth|key|token|secret|passw|cookie/i;
const PASSWORD_IN_URL = /^[a-z][a-z\d+.-]*:\/\/[^/@:]*:(?!\$\{)[^/@]+@/i;

/**
 * Returns the settings of a configuration, its references not yet replaced, that hold a secret as plain text.
 * @param isSecret whether a text here is one.
 */
export function plainSecrets(value: unknown, path: readonly string[] = [], isSecret = false): string[] {
  if (typeof value === 'string') {
    const isPlain = isSecret && value !== '' && !/\$\{(?:env|file):/.test(value);
    return isPlain || PASSWORD_IN_URL.test(value) ? [shownPath(path)] : [];
  }
  if (Array.isArray(value)) return value.flatMap((one, at) => plainSecrets(one, [...path, String(at)], isSecret));
  if (!isRecord(value)) return [];
  const isByName = /^(?:headers|parameters|queryParameters)$/.test(path.at(-1) ?? '');
  return Object.entries(value).flatMap(([name, one]) => {
    // Beside a `name`, it is a secret that an ingest must be shown; elsewhere it is a path.
    const isShown = name === 'value' && 'name' in value;
    return plainSecrets(one, [...path, name], isShown || (isByName ? NAMES_OF_SECRETS : SECRETS).test(name));
  });
}

interface Mark {
  readonly literal?: string;
  readonly kind?: 'env' | 'file';
  readonly name?: string;
}

function replaced(text: string, context: ReferenceContext, path: readonly string[]): string {
  return text.replaceAll(MARKS, (...found: unknown[]) => {
    const { literal, kind, name } = found.at(-1) as Mark; // The named groups come last.
    if (literal !== undefined) return `$${literal}`;
    if (kind === undefined || name === undefined) throw noReference(text, path);
    const value = kind === 'env' ? variable(name, context) : fileText(name, context);
    if (value !== '') return value;
    throw new ConfigError(`The configuration refers to \${${kind}:${name}} at ${shownPath(path)}, but that is empty.`);
  });
}

function noReference(text: string, path: readonly string[]): ConfigError {
  const { named, bare } = MISSPELT.exec(text)?.groups ?? {};
  const name = named ?? bare;
  const meant = name === undefined ? '${env:NAME} or ${file:PATH}' : `\${env:${name}}`;
  return new ConfigError(
    `The value of ${shownPath(path)} looks like a reference and is none. A reference is written ${meant}; a "$" that is meant literally is doubled: "$\${", "$$NAME".`,
  );
}

/** Where a value is, without any key that may contain a secret. */
function shownPath(path: readonly string[]): string {
  return path.map(shownKey).join('.') || 'the configuration';
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
