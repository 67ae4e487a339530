import { promisify } from 'node:util';
import { deflateRaw, deflateRawSync, inflateRaw, inflateRawSync } from 'node:zlib';

// Said by the first byte of what is packed, so that it is encrypted and authenticated with it.
const PLAIN = 0;
const DEFLATED = 1;

/** Less than this is not worth the microseconds. */
const WORTH_BYTES = 512;
/** More than this is left to another thread: 1.5 MB take some milliseconds, in which no other job of the process would move. */
const LONG_BYTES = 256 * 1024;
/** More than any payload of ours comes to, and little enough that a small payload that would become huge costs nothing much. */
const MAX_BYTES = 64 * 1024 * 1024;
// The fastest: higher levels make JSON hardly smaller.
const LEVEL = 1;

const deflateElsewhere = promisify(deflateRaw);
const inflateElsewhere = promisify(inflateRaw);

/** Compresses when that makes it smaller. */
export async function pack(bytes: Uint8Array): Promise<Buffer> {
  if (bytes.length >= WORTH_BYTES) {
    const options = { level: LEVEL };
    const small = bytes.length > LONG_BYTES ? await deflateElsewhere(bytes, options) : deflateRawSync(bytes, options);
    if (small.length < bytes.length) return Buffer.concat([Buffer.of(DEFLATED), small]);
  }
  return Buffer.concat([Buffer.of(PLAIN), bytes]);
}

/** @throws RangeError for what `pack` did not make, or what would become more than 64 MiB; zlib's error for what does not inflate. */
export async function unpack(packed: Buffer): Promise<Buffer> {
  const bytes = packed.subarray(1);
  if (packed[0] === PLAIN) return bytes;
  if (packed[0] !== DEFLATED) throw new RangeError('There is no such kind of packing.');
  const options = { maxOutputLength: MAX_BYTES };
  return bytes.length > LONG_BYTES ? await inflateElsewhere(bytes, options) : inflateRawSync(bytes, options);
}
