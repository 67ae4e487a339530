import { Client } from '@temporalio/client';
import type { Payload, PayloadCodec } from '@temporalio/common';
import { payloadConverterPath } from '../payload-converter-path.ts';

const made = new WeakMap<Client, Client>();

/**
 * A client for lists: what cannot be decrypted here is left as it is, and read as nothing. A list holds what others keep under keys of their own; by a
 * client that insists on reading all of it, one of their workflows would take the whole list away.
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
