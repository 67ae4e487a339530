import { Client } from '@temporalio/client';
import type { Payload, PayloadCodec } from '@temporalio/common';
import { keyMissing } from '../domain/errors.ts';
import { payloadConverterPath } from '../temporal/data-converter.ts';
import { UnknownPayloadKey } from '../temporal/encrypting-codec.ts';
import { payloadConverter } from '../temporal/payload-converter.ts';

const made = new WeakMap<Client, Client>();

/**
 * A client for lists: what cannot be decrypted here becomes a value that says why (`undecodableReason`). A list includes workflows of others
 * that are encrypted with their own keys; with a client that insisted on reading all, one of those would make the whole list fail.
 */
export function clientForLists(client: Client): Client {
  const known = made.get(client);
  if (known !== undefined) return known;
  const { connection, options } = client;
  const { namespace, loadedDataConverter } = options;
  const payloadCodecs = loadedDataConverter.payloadCodecs.map(sayingWhy);
  const lenient = new Client({ connection, namespace, dataConverter: { payloadConverterPath, payloadCodecs } });
  made.set(client, lenient);
  return lenient;
}

function sayingWhy(codec: PayloadCodec): PayloadCodec {
  return {
    encode: (payloads) => codec.encode(payloads),
    decode: (payloads) => Promise.all(payloads.map((payload) => decodedOrWhyNot(codec, payload))),
  };
}

async function decodedOrWhyNot(codec: PayloadCodec, payload: Payload): Promise<Payload> {
  try {
    const [decoded = payload] = await codec.decode([payload]);
    return decoded;
  } catch (error) {
    return error instanceof UnknownPayloadKey ? payloadConverter.toPayload(keyMissing(error.message)) : payload;
  }
}
