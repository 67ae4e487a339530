import {
  ApplicationFailure,
  DefaultFailureConverter,
  type FailureConverter,
  type PayloadConverter,
  type ProtoFailure,
  type SerializationContext,
} from '@temporalio/common';

/** Puts a failure's message and stack into a payload, which is then encrypted like every other. */
class EncodingFailureConverter extends DefaultFailureConverter {
  constructor() {
    super({ encodeCommonAttributes: true });
  }

  override errorToFailure(
    error: unknown,
    payloadConverter: PayloadConverter,
    context?: SerializationContext,
  ): ProtoFailure {
    // Not encrypted: whoever has to read that a key is missing may not have it either. It contains nothing of a payload.
    if (saysThatKeyIsMissing(error)) return this.errorToFailureInner(error, payloadConverter, context);
    return super.errorToFailure(error, payloadConverter, context);
  }
}

/** Compared by name: this module is loaded by path, so its classes are not those of the code that threw. */
function saysThatKeyIsMissing(error: unknown): boolean {
  if (error instanceof ApplicationFailure) return error.type === 'UnknownPayloadKey';
  return error instanceof Error && error.name === 'UnknownPayloadKey';
}

/** The failure converter of client, worker and workflow sandbox where payloads are encrypted; they load it by path and by this name. */
export const failureConverter: FailureConverter = new EncodingFailureConverter();
