import type { Socket } from 'node:net';
import { ATTEMPT_CODES } from '../domain/attempt-codes.ts';

/** An endpoint sent more in answer to one request than any answer needs. */
export class AnswerTooLong extends Error {
  override readonly name = 'AnswerTooLong';
  readonly code = ATTEMPT_CODES.answerTooLong;
}

/** Most bytes on the wire in answer to one request, unless said otherwise. The longest body that is read takes 384 KiB in chunks of one byte. */
const MAX_WIRE_BYTES = 1024 * 1024;
/** How often a connection is measured over which bytes may come that nobody reads. */
const MEASURE_MS = 100;

/**
 * Ends a connection on which an answer goes on and on where nothing else counts it: informational answers, a reason phrase, extensions of
 * chunks, empty lines; and in TLS, also when nothing was asked: session tickets, changes of keys, padding. Until its deadline such an endpoint
 * would keep a processor of the worker busy.
 */
export class AnswerBound {
  readonly #wire: Socket;
  readonly #maxBytes: number;
  #socket: Socket;
  #asked = 0;
  #seen = 0;
  #answerStart = 0;

  /** @param wire what bytes come over. */
  constructor(wire: Socket, maxBytes = MAX_WIRE_BYTES) {
    this.#wire = wire;
    this.#socket = wire;
    this.#maxBytes = maxBytes;
  }

  /** TLS will be spoken: much of what comes then is for nobody to read. */
  expectTls(): void {
    const timer = setInterval(() => {
      if (this.#wire.destroyed) clearInterval(timer);
      else this.#measure();
    }, MEASURE_MS).unref();
  }

  /** Requests will be written to this socket, and answers read from it: the wire itself, or TLS over it. */
  expectAnswers(socket: Socket): void {
    this.#socket = socket;
    socket.on('readable', () => this.#measure());
  }

  #measure(): void {
    // One request is on its way at a time, so that what comes after something was written answers it.
    if (this.#socket.bytesWritten !== this.#asked) {
      this.#asked = this.#socket.bytesWritten;
      this.#answerStart = this.#seen;
    }
    this.#seen = this.#wire.bytesRead;
    if (this.#seen - this.#answerStart > this.#maxBytes)
      this.#socket.destroy(new AnswerTooLong('The answer is too long to be one.'));
  }
}
