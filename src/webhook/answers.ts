import type { Socket } from 'node:net';
import { ATTEMPT_CODES } from '../domain/verdict.ts';

const TICK_MS = 50;

/** Something that must end by a deadline. */
export interface Expiring {
  readonly deadlineAtMs: number;
  expire(): void;
}

/**
 * Enforces the deadlines of many requests with one interval timer, since on a fast endpoint a timer for each would cost more than the request
 * itself. Times are those of `performance.now()`.
 */
export class Deadlines {
  readonly #open = new Set<Expiring>();
  #timer: NodeJS.Timeout | undefined;

  add(item: Expiring): void {
    this.#open.add(item);
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
  }

  delete(item: Expiring): void {
    this.#open.delete(item);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    const now = performance.now();
    for (const item of this.#open) {
      if (item.deadlineAtMs > now) continue;
      this.#open.delete(item);
      item.expire();
    }
    if (this.#open.size === 0) this.close();
  }
}

const CONTINUE = Buffer.from('HTTP/1.1 100');
const END_OF_HEAD = '\r\n\r\n';

/**
 * Lets undici read past a `100 Continue` that it did not ask for, as RFC 9110, 15.2 demands: servers and what is in front of them do send it. undici
 * reads past every other interim answer (1xx), but takes a 100 for the end of the connection. So a 100 that begins what arrives becomes 102 on its way
 * to undici's parser. One whose head comes in pieces still ends the connection, and the request is tried again.
 */
export function readPastContinue(socket: Socket): void {
  let answered = socket.bytesWritten;
  // Node hands over what has arrived by `push`, decrypted where there is TLS.
  const push = socket.push.bind(socket);
  socket.push = (chunk: Buffer | null, encoding) => {
    // Only one request is in flight at a time: what arrives after a write begins its answer, and what follows a 100 begins it again.
    if (chunk !== null && socket.bytesWritten !== answered) {
      let at = 0;
      while (CONTINUE.equals(chunk.subarray(at, at + CONTINUE.length))) {
        chunk.write('2', at + CONTINUE.length - 1);
        const end = chunk.indexOf(END_OF_HEAD, at);
        at = end === -1 ? chunk.length : end + END_OF_HEAD.length;
      }
      if (at < chunk.length) answered = socket.bytesWritten;
    }
    return push(chunk, encoding);
  };
}

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
