import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { METADATA_ENCODING_KEY, type Payload, type PayloadCodec, type SerializationContext } from '@temporalio/common';
import { keyMissing, undecodable } from '../domain/errors.ts';
import { payloadConverter } from './payload-converter.ts';
import { PayloadMessage } from './zlib-codec.ts';

/**
 * A payload was encrypted with a key that is not configured here. It must not be skipped: a workflow task that fails with this error is handed out
 * again until a worker has the key.
 */
export class UnknownPayloadKey extends Error {
  override readonly name = 'UnknownPayloadKey';
  /** The id of the missing key. */
  readonly keyId: string;
  constructor(key: Pick<PayloadKey, 'id' | 'check'>, known: readonly string[]) {
    super(
      `A payload is encrypted with the key "${key.id}", ${whyNot(key, known)} "payloadKeys" in triggers.config.json (or TRIGGERS_PAYLOAD_KEYS) and start this program again.`,
    );
    this.keyId = key.id;
  }
}

/** Why it cannot be read, and the beginning of what to do about it. */
function whyNot(key: Pick<PayloadKey, 'id' | 'check'>, known: readonly string[]): string {
  // A second key under an id is refused, so adding it would not help.
  if (known.includes(key.id))
    return `and the payload key with that id here is not "${lostAs(key)}". Replace the key that has this id in`;
  if (known.length === 0) return 'and no payload keys are set here. Add it to';
  return `which is not among the payload keys here (${known.join(', ')}). Add it to`;
}

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** These two names are those of the encryption samples of Temporal's SDKs. */
const ENCODING = 'binary/encrypted';
const KEY_ID = 'encryption-key-id';
/** Our own: identifies the key among those with the same id, and the way of encrypting. A payload without it is not one of ours. */
const KEY_CHECK = 'encryption-key-check';
const CHECK_PATTERN = /^[0-9a-f]{16}$/;

/**
 * Encrypts payloads: AES-256-GCM over the whole payload, with a random nonce. When reading, it passes through anything that it did not encrypt,
 * so that other programs may signal plain JSON.
 *
 * A payload of ours that was tampered with becomes a value that says so: an exception would fail its workflow task again and again, forever.
 * A missing key does cause an exception: the task that needs it is retried until the key is there.
 */
export class EncryptingCodec implements PayloadCodec {
  readonly #keys: PayloadKeys;
  readonly #marksMissing: boolean;
  readonly #onMissing: ((workflowId: string, reason: string) => void) | undefined;

  /**
   * @param keys if there are none, nothing is encrypted, but a payload that is encrypted is still recognized as such.
   * @param options.marksMissing for workers: a workflow's payload whose key is not here becomes a value that says so. Only the workflow can tell
   *   payloads that it needs itself from those that somebody asks about (`temporal/sandbox/payload-guard.ts`).
   * @param options.onMissing called when an activity needs a key that is not here.
   */
  constructor(
    keys: PayloadKeys,
    {
      marksMissing = false,
      onMissing,
    }: { readonly marksMissing?: boolean; readonly onMissing?: (workflowId: string, reason: string) => void } = {},
  ) {
    this.#keys = keys;
    this.#marksMissing = marksMissing;
    this.#onMissing = onMissing;
  }

  async encode(payloads: Payload[]): Promise<Payload[]> {
    const { encrypting } = this.#keys;
    if (encrypting === undefined) return payloads;
    return payloads.map((payload) => seal(payload, encrypting));
  }

  /** @throws UnknownPayloadKey */
  async decode(payloads: Payload[], context?: SerializationContext): Promise<Payload[]> {
    // Arguments and results of activities are always needed.
    return payloads.map((payload) => this.#open(payload, context));
  }

  #open(payload: Payload, context: SerializationContext | undefined): Payload {
    const named = keyNamedBy(payload);
    if (named === undefined) return payload;
    const { byId } = this.#keys;
    const key = byId.get(named.id);
    if (key?.check !== named.check) {
      if (byId.has(lostAs(named)) || (key === undefined && byId.has(named.id)))
        return unreadable(`it is encrypted with the key "${named.id}", which is configured as lost`);
      const error = new UnknownPayloadKey(named, [...byId.keys()]);
      if (this.#marksMissing && context?.type === 'workflow')
        return payloadConverter.toPayload(keyMissing(error.message));
      if (context?.workflowId !== undefined) this.#onMissing?.(context.workflowId, error.message);
      throw error;
    }
    try {
      return unseal(payload.data ?? new Uint8Array(), key);
    } catch {
      // No further reason is given: it would only help an attacker.
      return unreadable(`it is encrypted with the key "${named.id}", but was changed since, so it cannot be decrypted`);
    }
  }
}

function seal(payload: Payload, key: PayloadKey): Payload {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key.secret, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(authenticated(key));
  const plain = PayloadMessage.encode(payload).finish();
  const data = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  const metadata = { [METADATA_ENCODING_KEY]: ENCODING, [KEY_ID]: key.id, [KEY_CHECK]: key.check };
  return {
    metadata: Object.fromEntries(Object.entries(metadata).map(([name, text]) => [name, Buffer.from(text)])),
    data,
  };
}

/** @throws if `seal` did not make it with this key. */
function unseal(bytes: Uint8Array, key: PayloadKey): Payload {
  const end = bytes.length - TAG_BYTES;
  if (end < NONCE_BYTES) throw new RangeError('It is too short.');
  const decipher = createDecipheriv(CIPHER, key.secret, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(authenticated(key));
  decipher.setAuthTag(bytes.subarray(end));
  return PayloadMessage.decode(Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, end)), decipher.final()]));
}

/** The metadata, which is not encrypted but authenticated together with the data. */
function authenticated({ id, check }: PayloadKey): Buffer {
  return Buffer.from([ENCODING, id, check].join('\n'));
}

/** The key that a payload of ours says it was encrypted with; undefined for a payload that is not ours. */
function keyNamedBy({ metadata }: Payload): Pick<PayloadKey, 'id' | 'check'> | undefined {
  const text = (name: string): string => Buffer.from(metadata?.[name] ?? []).toString('latin1');
  if (text(METADATA_ENCODING_KEY) !== ENCODING) return undefined;
  const id = text(KEY_ID);
  const check = text(KEY_CHECK);
  return KEY_ID_PATTERN.test(id) && CHECK_PATTERN.test(check) ? { id, check } : undefined;
}

function unreadable(reason: string): Payload {
  return payloadConverter.toPayload(undecodable(reason));
}

/** The text, encrypted: base64. */
export function sealText(text: string, key: PayloadKey): string {
  return Buffer.from(PayloadMessage.encode(seal(payloadConverter.toPayload(text), key)).finish()).toString('base64');
}

/** @returns undefined if its key is not here, or if somebody has changed it. */
export function openText(sealed: string, keys: PayloadKeys['byId']): string | undefined {
  try {
    const payload = PayloadMessage.decode(Buffer.from(sealed, 'base64'));
    const named = keyNamedBy(payload);
    const key = named && keys.get(named.id);
    if (key === undefined || key.check !== named?.check) return undefined;
    return payloadConverter.fromPayload<string>(unseal(payload.data ?? new Uint8Array(), key));
  } catch {
    return undefined;
  }
}

/** A key that payloads are encrypted with. */
export interface PayloadKey {
  readonly id: string;
  readonly secret: KeyObject;
  /** 16 hex digits that identify the key and the way of encrypting with it, and reveal nothing else about it. */
  readonly check: string;
}

/** The payload keys of a program, as configured. */
export interface PayloadKeys {
  /** The first one, which encrypts; undefined when there are none, so that nothing is encrypted. */
  readonly encrypting: PayloadKey | undefined;
  /** By id. Undefined means a lost key, which is listed by `lostAs` if another key has its id. */
  readonly byId: ReadonlyMap<string, PayloadKey | undefined>;
}

/** The payload keys cannot be used. The message says which one, by its position, and why; it never contains a key. */
export class InvalidPayloadKeys extends Error {
  override readonly name = 'InvalidPayloadKeys';
}

/** A key id: 1..32 letters, digits, dots, dashes and underscores, beginning with a letter or digit. */
const KEY_ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;

/** The name of a lost key whose id another key has. */
function lostAs({ id, check }: Pick<PayloadKey, 'id' | 'check'>): string {
  return `${id}/${check}`;
}

const LOST_ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}\/[0-9a-f]{16}$/;

/** AES-256 */
const KEY_BYTES = 32;
/** Given in place of a key that is lost. */
const LOST = 'lost';
// Another way of encrypting would need another label: a program that does not know it then treats the key as one that it does not have.
const CHECK_LABEL = 'audience-triggers payload encryption 1';
const CHECK_BYTES = 8;

/**
 * Reads keys as they are configured: `<key id>:<base64 of 32 bytes>`. The first one encrypts, all of them decrypt. `<key id>:lost` says that a key is
 * gone for good: its payloads count as unreadable, and nothing waits for the key. `<key id>/<check>:lost` says so about a key whose id another one has.
 *
 * @throws InvalidPayloadKeys
 */
export function readPayloadKeys(entries: readonly string[]): PayloadKeys {
  const byId = new Map<string, PayloadKey | undefined>();
  for (const [index, entry] of entries.entries()) {
    const place = `Payload key ${index + 1} of ${entries.length}`;
    const [, id = '', text = ''] = /^([^:]*):(.*)$/s.exec(entry) ?? [];
    if (!KEY_ID_PATTERN.test(id) && !(text === LOST && LOST_ID_PATTERN.test(id)))
      throw new InvalidPayloadKeys(
        `${place} must be "<key id>:<base64 of 32 bytes>". A key id consists of letters, digits, dots, dashes and underscores, at most 32.`,
      );
    if (byId.has(id))
      throw new InvalidPayloadKeys(`${place} has the same id as one before it. Each key needs its own.`);
    byId.set(id, text === LOST ? undefined : payloadKey(id, text, place));
  }
  const [first] = byId.values();
  if (byId.size > 0 && first === undefined)
    throw new InvalidPayloadKeys('The first payload key encrypts, so it cannot be a lost one.');
  return { encrypting: first, byId };
}

/** The keys in a variable, which are separated by commas. */
export function splitPayloadKeys(text: string): string[] {
  return text.split(',').map((entry) => entry.trim());
}

function payloadKey(id: string, text: string, place: string): PayloadKey {
  const bytes = Buffer.from(text, 'base64');
  // Strict: a mistyped character must not silently make another key.
  if (bytes.length !== KEY_BYTES || bytes.toString('base64') !== text)
    throw new InvalidPayloadKeys(
      `${place} must have exactly 32 bytes, in base64, after its id. Make one with: triggers secrets new --payload-key`,
    );
  const check = createHmac('sha256', bytes).update(CHECK_LABEL).digest().subarray(0, CHECK_BYTES).toString('hex');
  return { id, secret: createSecretKey(bytes), check };
}
