import { promisify } from 'node:util';
import { deflateRaw, deflateRawSync, inflateRaw, inflateRawSync } from 'node:zlib';

// The first byte of packed data says how it is packed; it is inside, so that it is encrypted and authenticated too.
const PLAIN = 0;
const DEFLATED = 1;

/** Compressing less than this is not worth the time. */
const WORTH_BYTES = 512;
/** More than this is compressed on another thread: 1.5 MB take some milliseconds, in which all other jobs of the process would stand still. */
const LONG_BYTES = 256 * 1024;
/** More than any payload of ours has, and little enough that a small payload that inflates to a huge one does no harm. */
const MAX_BYTES = 64 * 1024 * 1024;
// The fastest level: higher ones make JSON hardly smaller.
const LEVEL = 1;

const deflateElsewhere = promisify(deflateRaw);
const inflateElsewhere = promisify(inflateRaw);

/** Compresses data if that makes it smaller. */
export async function pack(bytes: Uint8Array): Promise<Buffer> {
  if (bytes.length >= WORTH_BYTES) {
    const options = { level: LEVEL };
    const small = bytes.length > LONG_BYTES ? await deflateElsewhere(bytes, options) : deflateRawSync(bytes, options);
    if (small.length < bytes.length) return Buffer.concat([Buffer.of(DEFLATED), small]);
  }
  return Buffer.concat([Buffer.of(PLAIN), bytes]);
}

/** @throws RangeError for data that `pack` did not make or that would inflate to more than 64 MiB; zlib's error for data that cannot be inflated. */
export async function unpack(packed: Buffer): Promise<Buffer> {
  const bytes = packed.subarray(1);
  if (packed[0] === PLAIN) return bytes;
  if (packed[0] !== DEFLATED) throw new RangeError('The way in which it is packed is unknown.');
  const options = { maxOutputLength: MAX_BYTES };
  return bytes.length > LONG_BYTES ? await inflateElsewhere(bytes, options) : inflateRawSync(bytes, options);
}
