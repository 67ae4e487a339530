import { promisify } from 'node:util';
import {
  deflate,
  deflateRaw,
  deflateRawSync,
  deflateSync,
  inflate,
  inflateRaw,
  inflateRawSync,
  inflateSync,
} from 'node:zlib';

/** More than this is packed on another thread: 1.5 MB take some milliseconds, in which all other jobs of the process would stand still. */
const LONG_BYTES = 256 * 1024;
/** More than any payload of ours has, and little enough that a small payload that inflates to a huge one does no harm. */
const MAX_BYTES = 64 * 1024 * 1024;
// The fastest level: higher ones make JSON hardly smaller.
const PACKING = { level: 1 };
const UNPACKING = { maxOutputLength: MAX_BYTES };

/** A format of zlib's. */
interface Deflating {
  pack(bytes: Uint8Array): Promise<Buffer>;
  /** @throws RangeError for what would inflate to more than 64 MiB; zlib's error for what cannot be inflated. */
  unpack(bytes: Uint8Array): Promise<Buffer>;
}

const deflateElsewhere = promisify(deflate);
const inflateElsewhere = promisify(inflate);
const deflateRawElsewhere = promisify(deflateRaw);
const inflateRawElsewhere = promisify(inflateRaw);

const isLong = (bytes: Uint8Array): boolean => bytes.length > LONG_BYTES;

/** With a header and a check sum. */
export const ZLIB: Deflating = {
  pack: async (bytes) => (isLong(bytes) ? await deflateElsewhere(bytes, PACKING) : deflateSync(bytes, PACKING)),
  unpack: async (bytes) => (isLong(bytes) ? await inflateElsewhere(bytes, UNPACKING) : inflateSync(bytes, UNPACKING)),
};

/** Without: where something else vouches for the bytes. */
export const RAW: Deflating = {
  pack: async (bytes) => (isLong(bytes) ? await deflateRawElsewhere(bytes, PACKING) : deflateRawSync(bytes, PACKING)),
  unpack: async (bytes) =>
    isLong(bytes) ? await inflateRawElsewhere(bytes, UNPACKING) : inflateRawSync(bytes, UNPACKING),
};
