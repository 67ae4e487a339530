import { BLOCK_BYTES, type SigningKey } from './signing-key.ts';

/** A body as it is sent, and the value of the header `webhook-signature`. */
export interface SignedBody {
  readonly body: Buffer;
  readonly signature: string;
}

/**
 * Signs `<id>.<timestamp>.<body>` according to Standard Webhooks 1.0 (specification, "Signature scheme"): with each key, so that a receiver may have
 * either the old secret or the new one. The body is encoded only once, for the signatures and the connection.
 */
export function signBody(keys: readonly SigningKey[], id: string, timestampSeconds: number, body: string): SignedBody {
  const head = `${id}.${timestampSeconds}.`;
  const bodyStart = BLOCK_BYTES + Buffer.byteLength(head);
  const content = Buffer.allocUnsafe(bodyStart + Buffer.byteLength(body));
  content.write(head, BLOCK_BYTES);
  content.write(body, bodyStart);
  const signature = keys.map((key) => key.signatureOf(content)).join(' ');
  return { body: content.subarray(bodyStart), signature };
}
