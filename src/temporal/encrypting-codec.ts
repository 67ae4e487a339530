import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { METADATA_ENCODING_KEY, type Payload, type PayloadCodec, type SerializationContext } from '@temporalio/common';
import proto from '@temporalio/proto';
import { keyMissing, undecodable } from '../domain/errors.ts';
import { RAW } from './deflating.ts';
import { payloadConverter } from './payload-converter.ts';
import { KEY_ID_PATTERN, lostAs, type PayloadKey, type PayloadKeys } from './payload-keys.ts';

// The first byte of packed data says how it is packed; it is inside, so that it is encrypted and authenticated too.
const PLAIN = 0;
const DEFLATED = 1;

/** Compressing less than this is not worth the time. */
const WORTH_BYTES = 512;

/** Compresses data if that makes it smaller. */
export async function pack(bytes: Uint8Array): Promise<Buffer> {
  if (bytes.length >= WORTH_BYTES) {
    const small = await RAW.pack(bytes);
    if (small.length < bytes.length) return Buffer.concat([Buffer.of(DEFLATED), small]);
  }
  return Buffer.concat([Buffer.of(PLAIN), bytes]);
}

/** @throws RangeError for data that `pack` did not make or that would inflate to more than 64 MiB; zlib's error for data that cannot be inflated. */
export async function unpack(packed: Buffer): Promise<Buffer> {
  const bytes = packed.subarray(1);
  if (packed[0] === PLAIN) return bytes;
  if (packed[0] !== DEFLATED) throw new RangeError('The way in which it is packed is unknown.');
  return await RAW.unpack(bytes);
}

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

// It is a CommonJS module, whose exports Node cannot import by name.
const { Payload: PayloadMessage } = proto.temporal.api.common.v1;

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
 * Encrypts what Temporal is given: AES-256-GCM over the whole payload, compressed where that helps, with a random nonce. When reading, it passes
 * through anything that it did not encrypt, so that other programs may signal plain JSON.
 *
 * A payload of ours that was tampered with becomes a value that says so, since an exception would fail its workflow task again and again, for ever.
 * A payload whose key is missing here causes an exception for the same reason: what needs it is tried again until the key is there.
 */
export class EncryptingCodec implements PayloadCodec {
  readonly #keys: PayloadKeys;
  readonly #marksMissing: boolean;
  readonly #onMissing: ((workflowId: string, reason: string) => void) | undefined;

  /**
   * @param keys if there are none, nothing is encrypted, but a payload that is encrypted is still recognized as such.
   * @param options.marksMissing for workers: what a workflow is given and needs a key that is not here becomes a value that says so, since here nobody
   *   can tell what the workflow itself needs from what somebody asks of it. The workflow can (`workflows/payload-guard.ts`).
   * @param options.onMissing is told when an activity needs a key that is not here.
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
    return await Promise.all(payloads.map((payload) => seal(payload, encrypting)));
  }

  /** @throws UnknownPayloadKey */
  async decode(payloads: Payload[], context?: SerializationContext): Promise<Payload[]> {
    // What an activity is given, or a workflow gets from one, is needed, whatever it is.
    return await Promise.all(payloads.map((payload) => this.#open(payload, context)));
  }

  async #open(payload: Payload, context: SerializationContext | undefined): Promise<Payload> {
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
      return await unseal(payload.data ?? new Uint8Array(), key);
    } catch {
      // No further reason is given: it would only help whoever changed it.
      return unreadable(`it is encrypted with the key "${named.id}", but was changed since, so it cannot be decrypted`);
    }
  }
}

async function seal(payload: Payload, key: PayloadKey): Promise<Payload> {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key.secret, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(authenticated(key));
  const packed = await pack(PayloadMessage.encode(payload).finish());
  const data = Buffer.concat([nonce, cipher.update(packed), cipher.final(), cipher.getAuthTag()]);
  const metadata = { [METADATA_ENCODING_KEY]: ENCODING, [KEY_ID]: key.id, [KEY_CHECK]: key.check };
  return {
    metadata: Object.fromEntries(Object.entries(metadata).map(([name, text]) => [name, Buffer.from(text)])),
    data,
  };
}

/** @throws if `seal` did not make it with this key. */
async function unseal(bytes: Uint8Array, key: PayloadKey): Promise<Payload> {
  const end = bytes.length - TAG_BYTES;
  if (end < NONCE_BYTES) throw new RangeError('It is too short.');
  const decipher = createDecipheriv(CIPHER, key.secret, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(authenticated(key));
  decipher.setAuthTag(bytes.subarray(end));
  const packed = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, end)), decipher.final()]);
  return PayloadMessage.decode(await unpack(packed));
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
