import {
  ApplicationFailure,
  DefaultFailureConverter,
  type FailureConverter,
  type PayloadConverter,
  type ProtoFailure,
  type SerializationContext,
} from '@temporalio/common';
import { EVENTS_AHEAD } from '../domain/errors.ts';

/** Puts the message and stack of a failure into a payload, which is then encrypted like any other. */
class EncodingFailureConverter extends DefaultFailureConverter {
  constructor() {
    super({ encodeCommonAttributes: true });
  }

  override errorToFailure(
    error: unknown,
    payloadConverter: PayloadConverter,
    context?: SerializationContext,
  ): ProtoFailure {
    // Not encrypted: a person who has to read that a key is missing may not have the key either. A client gets only the message of a query's
    // error, and cannot decrypt it. Neither message contains anything of a payload.
    if (saysThatKeyIsMissing(error) || (error instanceof Error && error.message === EVENTS_AHEAD))
      return this.errorToFailureInner(error, payloadConverter, context);
    return super.errorToFailure(error, payloadConverter, context);
  }
}

/** Compared by name, because this module is loaded by path and so has other class objects than the code that threw. */
function saysThatKeyIsMissing(error: unknown): boolean {
  if (error instanceof ApplicationFailure) return error.type === 'UnknownPayloadKey';
  return error instanceof Error && error.name === 'UnknownPayloadKey';
}

/** The failure converter of client, worker and workflow sandbox when payloads are encrypted; they load it by path and by this name. */
export const failureConverter: FailureConverter = new EncodingFailureConverter();
