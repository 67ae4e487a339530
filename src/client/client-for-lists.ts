import { Client } from '@temporalio/client';
import type { Payload, PayloadCodec } from '@temporalio/common';
import { payloadConverterPath } from '../payload-converter-path.ts';

const made = new WeakMap<Client, Client>();

/**
 * A client for lists: leaves what cannot be decrypted here as it is, and it is then read as nothing. A list includes workflows of others
 * that are encrypted with their own keys; with a client that insisted on reading all, one of those would make the whole list fail.
 */
export function clientForLists(client: Client): Client {
  const known = made.get(client);
  if (known !== undefined) return known;
  const { connection, options } = client;
  const { namespace, loadedDataConverter } = options;
  const payloadCodecs = loadedDataConverter.payloadCodecs.map(leavingAsIs);
  const lenient = new Client({ connection, namespace, dataConverter: { payloadConverterPath, payloadCodecs } });
  made.set(client, lenient);
  return lenient;
}

function leavingAsIs(codec: PayloadCodec): PayloadCodec {
  return {
    encode: (payloads) => codec.encode(payloads),
    decode: (payloads) => Promise.all(payloads.map((payload) => decodedOrAsIs(codec, payload))),
  };
}

async function decodedOrAsIs(codec: PayloadCodec, payload: Payload): Promise<Payload> {
  try {
    const [decoded = payload] = await codec.decode([payload]);
    return decoded;
  } catch {
    return payload;
  }
}
