import {
  BinaryPayloadConverter,
  CompositePayloadConverter,
  encodingKeys,
  encodingTypes,
  METADATA_ENCODING_KEY,
  type Payload,
  type PayloadConverter,
  type PayloadConverterWithEncoding,
  UndefinedPayloadConverter,
} from '@temporalio/common';
import { undecodable } from '../domain/errors.ts';
import { parseJson, stringifyJson } from '../domain/json.ts';

// Node's own, which the workflow sandbox has too, and which are ten times as fast as the SDK's in JavaScript.
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Plain JSON, with integers beyond 2^53 as BigInt, so that they keep their digits. */
class LosslessJsonConverter implements PayloadConverterWithEncoding {
  readonly encodingType = encodingTypes.METADATA_ENCODING_JSON;

  toPayload(value: unknown): Payload | undefined {
    if (value === undefined || typeof value === 'function' || typeof value === 'symbol') return undefined;
    const text = typeof value === 'object' && value !== null ? stringifyJson(value) : stringifyJson(toJson(value));
    return { metadata: { [METADATA_ENCODING_KEY]: encodingKeys.METADATA_ENCODING_JSON }, data: encoder.encode(text) };
  }

  fromPayload<T>(payload: Payload): T {
    // The interface promises the type that its caller expects; foreign data is checked where it is read (domain/trigger.ts).
    return parseJson(decoder.decode(payload.data ?? new Uint8Array())) as T;
  }
}

function toJson(value: unknown): string | number | boolean | bigint | null {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint')
    return value;
  return null;
}

/**
 * Turns a payload that cannot be decoded (not JSON, not UTF-8, an unknown encoding) into a value that says so: an exception here would fail
 * the workflow task again and again, forever.
 */
class NeverThrowingConverter implements PayloadConverter {
  readonly #inner = new CompositePayloadConverter(
    new UndefinedPayloadConverter(),
    new BinaryPayloadConverter(),
    new LosslessJsonConverter(),
  );

  toPayload<T>(value: T): Payload {
    return this.#inner.toPayload(value);
  }

  fromPayload<T>(payload: Payload): T {
    try {
      return this.#inner.fromPayload<T>(payload);
    } catch (error) {
      return undecodable(reasonOf(error)) as T;
    }
  }
}

/** The reason, without any part of the payload: it is shown in the job's status and logged, and payloads contain people's fields. */
function reasonOf(error: unknown): string {
  // Compared by name: in the sandbox, the decoder throws errors of another realm.
  const { name, message } = error as { name?: unknown; message?: unknown };
  if (name === 'SyntaxError') return 'it is not JSON';
  if (name === 'RangeError') return 'its JSON is nested too deep';
  if (name === 'TypeError') return 'it is not UTF-8 text';
  return String(message);
}

/** The one converter of client, worker and workflow sandbox; they load it by path and by this name. */
export const payloadConverter: PayloadConverter = new NeverThrowingConverter();
