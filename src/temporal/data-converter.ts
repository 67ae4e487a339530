import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DataConverter } from '@temporalio/common';
import { EncryptingCodec, type PayloadKeys, readPayloadKeys } from './encrypting-codec.ts';
import { ENCRYPTED_PACKED_FROM_BYTES, PACKED_FROM_BYTES, ZlibCodec } from './zlib-codec.ts';

/**
 * Where the module of the payload converter is. Every client and worker of ours loads it, so that integers keep their digits and no
 * signal fails to decode. Source and build have different suffixes, so the suffix is that of this file.
 */
export const payloadConverterPath = beside('payload-converter');

/** Where the failure converter's module is: for clients and workers that encrypt. */
const failureConverterPath = beside('failure-converter');

/** Where a module of ours is, given its path from here without a suffix. */
export function beside(module: string): string {
  return fileURLToPath(new URL(`./${module}${extname(import.meta.url)}`, import.meta.url));
}

/**
 * How all our clients and workers write and read payloads. Long ones are packed. With keys, every payload is encrypted, and so are the messages and
 * stacks of failures, which become payloads for this purpose.
 *
 * @param payloadKeys as configured: `<key id>:<base64 of 32 bytes>`, the first of which encrypts; without any, nothing is encrypted.
 * @throws InvalidPayloadKeys
 */
export function dataConverterWith(payloadKeys: readonly string[]): DataConverter {
  return converterWith(readPayloadKeys(payloadKeys));
}

/**
 * The same for a worker's workflows and activities: a workflow refuses requests whose key is not here, instead of failing its tasks.
 * @param onMissing called when an activity needs a key that is not here.
 * @throws InvalidPayloadKeys
 */
export function workerDataConverterWith(
  payloadKeys: readonly string[],
  onMissing: (workflowId: string, reason: string) => void,
): DataConverter {
  return converterWith(readPayloadKeys(payloadKeys), { marksMissing: true, onMissing });
}

function converterWith(keys: PayloadKeys, options?: ConstructorParameters<typeof EncryptingCodec>[1]) {
  const encrypts = keys.encrypting !== undefined;
  // Packed before they are encrypted: encrypted bytes cannot be packed any more.
  const zlib = new ZlibCodec(encrypts ? ENCRYPTED_PACKED_FROM_BYTES : PACKED_FROM_BYTES);
  return {
    payloadConverterPath,
    payloadCodecs: [zlib, new EncryptingCodec(keys, options)],
    ...(encrypts ? { failureConverterPath } : {}),
  };
}
