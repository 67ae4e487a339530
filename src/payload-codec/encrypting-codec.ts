import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { METADATA_ENCODING_KEY, type Payload, type PayloadCodec } from '@temporalio/common';
import proto from '@temporalio/proto';
import { undecodable } from '../domain/undecodable.ts';
import { payloadConverter } from '../payload-converter.ts';
import { pack, unpack } from './compression.ts';
import { KEY_ID_PATTERN, lostAs, type PayloadKey, type PayloadKeys } from './payload-keys.ts';
import { UnknownPayloadKey } from './unknown-payload-key.ts';

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
 * A payload whose key is missing here causes an exception for the same reason: the task is tried again until the key is there.
 */
export class EncryptingCodec implements PayloadCodec {
  readonly #keys: PayloadKeys;

  /** @param keys if there are none, nothing is encrypted, but a payload that is encrypted is still recognized as such. */
  constructor(keys: PayloadKeys) {
    this.#keys = keys;
  }

  async encode(payloads: Payload[]): Promise<Payload[]> {
    const { encrypting } = this.#keys;
    if (encrypting === undefined) return payloads;
    return await Promise.all(payloads.map((payload) => seal(payload, encrypting)));
  }

  /** @throws UnknownPayloadKey */
  async decode(payloads: Payload[]): Promise<Payload[]> {
    return await Promise.all(payloads.map((payload) => this.#open(payload)));
  }

  async #open(payload: Payload): Promise<Payload> {
    const named = keyNamedBy(payload);
    if (named === undefined) return payload;
    const { byId } = this.#keys;
    const key = byId.get(named.id);
    if (key?.check !== named.check) {
      if (byId.has(lostAs(named)) || (key === undefined && byId.has(named.id)))
        return unreadable(`it is encrypted with the key "${named.id}", which is configured as lost`);
      throw new UnknownPayloadKey(named, [...byId.keys()]);
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
