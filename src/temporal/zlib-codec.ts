import { METADATA_ENCODING_KEY, type Payload, type PayloadCodec } from '@temporalio/common';
import proto from '@temporalio/proto';
import { undecodable } from '../domain/errors.ts';
import { ZLIB } from './deflating.ts';
import { payloadConverter } from './payload-converter.ts';

/** The smallest payload that is packed: what people look at in the Temporal UI is smaller, and stays plain JSON there. */
export const PACKED_FROM_BYTES = 32 * 1024;

// It is a CommonJS module, whose exports Node cannot import by name.
const { Payload: PayloadMessage } = proto.temporal.api.common.v1;

/** As the codec of this name in Temporal's Go SDK (`converter.NewZlibCodec`): a whole payload, serialized and packed. */
const ENCODING = 'binary/zlib';
const ENCODING_BYTES = Buffer.from(ENCODING);

/**
 * Packs long payloads: a signal, a holder and a slice carry the same profiles one after the other, and what they cost Temporal is in proportion to
 * their bytes. Reads what is packed, by whomever, and passes everything else through.
 */
export class ZlibCodec implements PayloadCodec {
  readonly #packs: boolean;

  /** @param options.packs false: it only reads, as where payloads are encrypted, which packs them too. */
  constructor({ packs }: { readonly packs: boolean }) {
    this.#packs = packs;
  }

  async encode(payloads: Payload[]): Promise<Payload[]> {
    return this.#packs ? await Promise.all(payloads.map(packed)) : payloads;
  }

  async decode(payloads: Payload[]): Promise<Payload[]> {
    return await Promise.all(payloads.map(unpacked));
  }
}

async function packed(payload: Payload): Promise<Payload> {
  if ((payload.data?.length ?? 0) < PACKED_FROM_BYTES) return payload;
  const bytes = PayloadMessage.encode(payload).finish();
  const data = await ZLIB.pack(bytes);
  return data.length < bytes.length ? { metadata: { [METADATA_ENCODING_KEY]: ENCODING_BYTES }, data } : payload;
}

/** An exception would fail a workflow's task for ever, so what cannot be unpacked becomes a value that says so. */
async function unpacked(payload: Payload): Promise<Payload> {
  const { metadata, data } = payload;
  if (!ENCODING_BYTES.equals(metadata?.[METADATA_ENCODING_KEY] ?? new Uint8Array())) return payload;
  try {
    return PayloadMessage.decode(await ZLIB.unpack(data ?? new Uint8Array()));
  } catch {
    return payloadConverter.toPayload(undecodable(`it says that it is ${ENCODING}, and cannot be unpacked`));
  }
}
