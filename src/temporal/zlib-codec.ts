import { promisify } from 'node:util';
import { deflate, deflateSync, inflate, inflateSync } from 'node:zlib';
import { METADATA_ENCODING_KEY, type Payload, type PayloadCodec } from '@temporalio/common';
import proto from '@temporalio/proto';
import { undecodable } from '../domain/errors.ts';
import { payloadConverter } from './payload-converter.ts';

/** More than this is packed on another thread: 1.5 MB take some milliseconds, which would block all other jobs of the process. */
const LONG_BYTES = 256 * 1024;
/** More than any payload of ours has, and little enough that a small payload that inflates to a huge one does no harm. */
const MAX_BYTES = 64 * 1024 * 1024;
// The fastest level: higher ones make JSON hardly smaller.
const PACKING = { level: 1 };
const UNPACKING = { maxOutputLength: MAX_BYTES };
const isLong = (bytes: Uint8Array): boolean => bytes.length > LONG_BYTES;

const deflateElsewhere = promisify(deflate);
const inflateElsewhere = promisify(inflate);

/** The smallest payload that is packed: people look at smaller ones in the Temporal UI, and these stay plain JSON. */
export const PACKED_FROM_BYTES = 32 * 1024;
/** The same where payloads are encrypted, so that nobody can look at them. Packing less is not worth the time. */
export const ENCRYPTED_PACKED_FROM_BYTES = 512;

// It is a CommonJS module, whose exports Node cannot import by name.
export const { Payload: PayloadMessage } = proto.temporal.api.common.v1;

/** As the codec of this name in Temporal's Go SDK (`converter.NewZlibCodec`): a whole payload, serialized and packed. */
const ENCODING = 'binary/zlib';
const ENCODING_BYTES = Buffer.from(ENCODING);

/**
 * Packs long payloads: a signal, a holder and a slice carry the same profiles in turn, and their cost to Temporal is in proportion to their bytes.
 * Reads packed payloads of any program, and passes everything else through.
 */
export class ZlibCodec implements PayloadCodec {
  readonly #fromBytes: number;

  /** @param fromBytes the smallest payload that it packs. It reads packed ones of any length. */
  constructor(fromBytes: number) {
    this.#fromBytes = fromBytes;
  }

  async encode(payloads: Payload[]): Promise<Payload[]> {
    return await Promise.all(payloads.map((payload) => packed(payload, this.#fromBytes)));
  }

  async decode(payloads: Payload[]): Promise<Payload[]> {
    return await Promise.all(payloads.map(unpacked));
  }
}

async function packed(payload: Payload, fromBytes: number): Promise<Payload> {
  if ((payload.data?.length ?? 0) < fromBytes) return payload;
  const bytes = PayloadMessage.encode(payload).finish();
  const data = isLong(bytes) ? await deflateElsewhere(bytes, PACKING) : deflateSync(bytes, PACKING);
  return data.length < bytes.length ? { metadata: { [METADATA_ENCODING_KEY]: ENCODING_BYTES }, data } : payload;
}

/** Turns a payload that cannot be unpacked into a value that says so: an exception would fail a workflow's task forever. */
async function unpacked(payload: Payload): Promise<Payload> {
  const { metadata, data } = payload;
  // Bytes that are empty are left out on the wire, and are then an empty array here, despite the type.
  if (!ENCODING_BYTES.equals(Buffer.from(metadata?.[METADATA_ENCODING_KEY] ?? []))) return payload;
  try {
    const bytes = data ?? new Uint8Array();
    return PayloadMessage.decode(
      isLong(bytes) ? await inflateElsewhere(bytes, UNPACKING) : inflateSync(bytes, UNPACKING),
    );
  } catch {
    return payloadConverter.toPayload(undecodable(`it says that it is ${ENCODING}, and cannot be unpacked`));
  }
}
