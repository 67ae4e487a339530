import type { Payload } from '@temporalio/common';
import { z } from 'zod';

/** Base64 in protobuf's JSON may use either alphabet and need not be padded. */
const bytes = z.string().regex(/^[\w+/-]*={0,2}$/);

const wirePayloads = z.object({
  // Protobuf's JSON leaves out an empty list.
  payloads: z
    .array(z.object({ metadata: z.record(z.string(), bytes.nullable()).nullish(), data: bytes.nullish() }))
    .nullish(),
});

/** Reads payloads in the form of Temporal's remote codec protocol; undefined for anything else. */
export function fromWire(text: string): Payload[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { success, data } = wirePayloads.safeParse(value);
  if (!success) return undefined;
  return (data.payloads ?? []).map(({ metadata, data }) => ({
    metadata: mapped(metadata ?? {}, (text) => Buffer.from(text ?? '', 'base64')),
    data: Buffer.from(data ?? '', 'base64'),
  }));
}

/** Writes payloads in the form of Temporal's remote codec protocol. */
export function toWire(payloads: readonly Payload[]) {
  return {
    payloads: payloads.map(({ metadata, data }) => ({
      metadata: mapped(metadata ?? {}, base64),
      data: base64(data ?? new Uint8Array()),
    })),
  };
}

function base64(part: Uint8Array): string {
  return Buffer.from(part).toString('base64');
}

function mapped<A, B>(record: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}
