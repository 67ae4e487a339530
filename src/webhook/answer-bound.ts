import type { Socket } from 'node:net';
import { ATTEMPT_CODES } from '../domain/attempt-codes.ts';

/** An endpoint sent more in answer to one request than any answer needs. */
export class AnswerTooLong extends Error {
  override readonly name = 'AnswerTooLong';
  readonly code = ATTEMPT_CODES.answerTooLong;
}

/** Most bytes on the wire in answer to one request, unless said otherwise. The longest body that is read takes 384 KiB in chunks of one byte. */
const MAX_WIRE_BYTES = 1024 * 1024;

/**
 * Ends a connection on which an answer goes on and on where nothing else counts it: informational answers, a reason phrase, extensions of
 * chunks, empty lines. Until its deadline such an endpoint would keep a processor of the worker busy.
 */
export function boundAnswers(socket: Socket, maxBytes = MAX_WIRE_BYTES): void {
  let asked = 0;
  let seen = 0;
  let answerStart = 0;
  socket.on('readable', () => {
    // One request is on its way at a time, so that what comes after something was written answers it.
    if (socket.bytesWritten !== asked) {
      asked = socket.bytesWritten;
      answerStart = seen;
    }
    seen = socket.bytesRead;
    if (seen - answerStart > maxBytes) socket.destroy(new AnswerTooLong('The answer is too long to be one.'));
  });
}
