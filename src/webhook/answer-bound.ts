import type { Socket } from 'node:net';
import { ATTEMPT_CODES } from '../domain/attempt-codes.ts';

/** An endpoint sent more in answer to one request than any answer could need. */
export class AnswerTooLong extends Error {
  override readonly name = 'AnswerTooLong';
  readonly code = ATTEMPT_CODES.answerTooLong;
}

/** Default for the most bytes on the wire in answer to one request. The longest body that is read takes 384 KiB when sent in chunks of one byte. */
const MAX_WIRE_BYTES = 1024 * 1024;
/** How often a TLS connection is measured, since it may receive bytes that nothing reads. */
const MEASURE_MS = 100;

/**
 * Closes a connection on which an endpoint keeps sending where no other limit counts it: informational answers, a reason phrase, chunk
 * extensions, empty lines; and in TLS, even without a request: session tickets, key updates, padding. Otherwise such an endpoint would keep a
 * processor of the worker busy until the deadline.
 */
export class AnswerBound {
  readonly #wire: Socket;
  readonly #maxBytes: number;
  #socket: Socket;
  #asked = 0;
  #seen = 0;
  #answerStart = 0;

  /** @param wire the socket that the bytes arrive on. */
  constructor(wire: Socket, maxBytes = MAX_WIRE_BYTES) {
    this.#wire = wire;
    this.#socket = wire;
    this.#maxBytes = maxBytes;
  }

  /** To be called before TLS begins: much of what arrives then never reaches a reader, so it is measured by a timer. */
  expectTls(): void {
    const timer = setInterval(() => {
      if (this.#wire.destroyed) clearInterval(timer);
      else this.#measure();
    }, MEASURE_MS).unref();
  }

  /** @param socket that requests are written to and answers read from: the wire itself, or TLS over it. */
  expectAnswers(socket: Socket): void {
    this.#socket = socket;
    socket.on('readable', () => this.#measure());
  }

  #measure(): void {
    // Only one request is in flight at a time, so whatever arrives after a write answers it.
    if (this.#socket.bytesWritten !== this.#asked) {
      this.#asked = this.#socket.bytesWritten;
      this.#answerStart = this.#seen;
    }
    this.#seen = this.#wire.bytesRead;
    if (this.#seen - this.#answerStart > this.#maxBytes)
      this.#socket.destroy(new AnswerTooLong('The answer is too long.'));
  }
}
