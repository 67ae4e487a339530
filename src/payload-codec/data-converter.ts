import type { DataConverter } from '@temporalio/common';
import { failureConverterPath, payloadConverterPath } from '../payload-converter-path.ts';
import { EncryptingCodec } from './encrypting-codec.ts';
import { readPayloadKeys } from './payload-keys.ts';

/**
 * How all our clients and workers write and read payloads. With keys, every payload is encrypted, and so are the messages and stacks of failures,
 * which become payloads for this purpose.
 *
 * @param payloadKeys as configured: `<key id>:<base64 of 32 bytes>`, the first of which encrypts; without any, nothing is encrypted.
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
