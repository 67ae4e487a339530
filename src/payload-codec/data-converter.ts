import type { DataConverter } from '@temporalio/common';
import { failureConverterPath, payloadConverterPath } from '../payload-converter-path.ts';
import { EncryptingCodec } from './encrypting-codec.ts';
import { readPayloadKeys } from './payload-keys.ts';

/**
 * How every client and worker of ours writes and reads payloads. With keys, all of them are encrypted, and the messages and stacks of
 * failures become payloads, too.
 *
 * @param payloadKeys as configured: `<key id>:<base64 of 32 bytes>`, the first one encrypts; none: nothing is encrypted.
 * @throws InvalidPayloadKeys
 */
export function dataConverterWith(payloadKeys: readonly string[]): DataConverter {
  const keys = readPayloadKeys(payloadKeys);
  return {
    payloadConverterPath,
    payloadCodecs: [new EncryptingCodec(keys)],
    ...(keys.encrypting === undefined ? {} : { failureConverterPath }),
  };
}
