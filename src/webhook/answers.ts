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

/** Where the bytes of an answer are: in the status line of what may be an interim answer, in the rest of the head of one, or behind all of them. */
type Place = 'status line' | 'interim head' | 'final answer';

const [CR, LF, ZERO, ONE, TWO, NINE] = [0x0d, 0x0a, 0x30, 0x31, 0x32, 0x39];
/** What an interim answer begins with, up to its second digit; HTTP/1.0 does not know any, but some servers send them. */
const BEGINNING = Buffer.from('HTTP/1.1 1');
const VERSION_AT = 7;

/**
 * Lets undici read past a `100 Continue` that it did not ask for, as RFC 9110, 15.2 demands: servers and what is in front of them do send it. undici
 * reads past every other interim answer (1xx), but takes a 100 for the end of the connection. So the status of a 100 becomes 102 on its way to undici's
 * parser: one byte is changed, nothing is kept or removed, and all bounds of an answer hold as before. A 101 stays what it is, and refused.
 */
export class InterimAnswers {
  readonly #socket: Socket;
  #asked: number;
  #place: Place = 'final answer';
  /** Bytes of the status line so far. */
  #length = 0;
  #tens = 0;
  #isLineEmpty = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#asked = socket.bytesWritten;
  }

  /** To be called before the first request. */
  static readPast(socket: Socket): void {
    const interim = new InterimAnswers(socket);
    // Node hands over what has arrived by `push`, whether it is read by `read` or by events, and decrypted where there is TLS.
    const push = socket.push.bind(socket);
    socket.push = (chunk: Buffer | null, encoding) => {
      if (chunk !== null) interim.#arrived(chunk);
      return push(chunk, encoding);
    };
  }

  #arrived(chunk: Buffer): void {
    // Only one request is in flight at a time, so what arrives after a write is the beginning of its answer.
    if (this.#socket.bytesWritten !== this.#asked) {
      this.#asked = this.#socket.bytesWritten;
      this.#begin();
    }
    for (let i = 0; i < chunk.length && this.#place !== 'final answer'; i++) {
      const byte = chunk[i] ?? 0;
      if (this.#place === 'interim head') this.#inHead(byte);
      else if (this.#inStatusLine(byte)) chunk[i] = TWO;
    }
  }

  #begin(): void {
    this.#place = 'status line';
    this.#length = 0;
  }

  /** Returns whether this is the last digit of a 100. */
  #inStatusLine(byte: number): boolean {
    if (this.#length === 0 && (byte === CR || byte === LF)) return false; // As undici's parser does.
    const at = this.#length++;
    if (at < BEGINNING.length) {
      if (byte !== BEGINNING[at] && !(at === VERSION_AT && byte === ZERO)) this.#place = 'final answer';
      return false;
    }
    const isDigit = byte >= ZERO && byte <= NINE;
    if (isDigit && at === BEGINNING.length) {
      this.#tens = byte;
      return false;
    }
    const isSwitching = this.#tens === ZERO && byte === ONE;
    this.#place = isDigit && !isSwitching ? 'interim head' : 'final answer';
    this.#isLineEmpty = false;
    return this.#tens === ZERO && byte === ZERO;
  }

  /** An interim answer has no body: the next answer begins after its first empty line. */
  #inHead(byte: number): void {
    if (byte === LF && this.#isLineEmpty) this.#begin();
    else if (byte === LF) this.#isLineEmpty = true;
    else if (byte !== CR) this.#isLineEmpty = false;
  }
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
