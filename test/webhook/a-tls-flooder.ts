import { createCipheriv, createHmac } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { Issued } from './a-certificate-authority.ts';
import { serve } from './a-server.ts';

/** Types of records and of handshake messages (RFC 8446, 4 and 5.1). */
const HANDSHAKE = 22;
const DATA = 23;
const NEW_SESSION_TICKET = 4;

const HEADER_BYTES = 5;
const TAG_BYTES = 16;
const IV_BYTES = 12;
const MANY_BYTES = 15_000;

/** What TLS 1.3 lets a server send that is never, or hardly, read, and how it is encrypted. */
const RECORDS = {
  'session tickets': (seal: Seal) => seal(HANDSHAKE, sessionTicket()),
  'padding around a line feed': (seal: Seal) => seal(DATA, Buffer.from('\n'), MANY_BYTES),
  'records that cannot be opened': () => record(Buffer.alloc(MANY_BYTES)),
};

function sessionTicket(): Buffer {
  const body = Buffer.concat([Buffer.alloc(9), sized(MANY_BYTES), sized(0)]);
  return Buffer.concat([Buffer.from([NEW_SESSION_TICKET, 0]), lengthOf(body), body]);
}

/** Bytes, preceded by their number. */
function sized(length: number): Buffer {
  return Buffer.concat([lengthOf({ length }), Buffer.alloc(length)]);
}

function lengthOf({ length }: { readonly length: number }): Buffer {
  return Buffer.from([length >> 8, length & 0xff]);
}

function record(sealed: Buffer): Buffer {
  return Buffer.concat([Buffer.from([DATA, 3, 3]), lengthOf(sealed), sealed]);
}

/** Makes a record of this type with this content. */
type Seal = (type: number, content: Buffer, paddingBytes?: number) => Buffer;

export interface Flood {
  readonly what: keyof typeof RECORDS;
  /** How many there are. Default: no end. */
  readonly times?: number;
  /** What comes before them. */
  readonly answer?: string;
}

/**
 * A server that completes a TLS 1.3 handshake and, after the first request on a connection, sends such records as fast as they are accepted. Node
 * cannot be made to do that, so they are encrypted here, with Node's keys.
 */
export async function startTlsFlooder(
  { certificate: cert, key }: Issued,
  { what, times = Infinity, answer = '' }: Flood,
) {
  let taken = 0;
  const server = createServer((wire) => {
    const tap = new Tap(wire);
    // Only one suite, so that it is known how to encrypt.
    const secureContext = createSecureContext({ cert, key, minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256' });
    const tls = new TLSSocket(tap, { isServer: true, secureContext });
    let secret = '';
    tls.on('error', () => undefined);
    tls.on('keylog', (line: Buffer) => {
      const [label, , value = ''] = line.toString().trim().split(' ');
      if (label === 'SERVER_TRAFFIC_SECRET_0') secret = value;
    });
    tls.once('data', () => {
      tls.write(answer, () => {
        const seal = sealWith(Buffer.from(secret, 'hex'), tap.records);
        let left = times;
        const more = (): void => {
          while (!wire.destroyed && left-- > 0 && wire.write(RECORDS[what](seal))) taken = wire.bytesWritten;
        };
        wire.on('drain', more);
        more();
      });
    });
  });
  const { port, connections: sockets } = await serve(server);
  return { url: new URL(`https://127.0.0.1:${port}/`), sockets, taken: () => taken };
}

/** A connection that counts the records sent since the handshake, since each is encrypted with its number. */
class Tap extends Duplex {
  records = 0;
  readonly #wire: Socket;
  #hasSent = false;
  #isAgreed = false;
  #unread = Buffer.alloc(0);

  constructor(wire: Socket) {
    super();
    this.#wire = wire;
    wire.on('data', (chunk) => {
      this.#isAgreed = this.#hasSent; // What a client says second is that it agrees.
      this.push(chunk);
    });
  }

  override _read(): void {}

  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.#hasSent = true;
    if (this.#isAgreed) this.#count(chunk);
    this.#wire.write(chunk);
    done();
  }

  #count(chunk: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, chunk]);
    for (;;) {
      if (this.#unread.length < HEADER_BYTES) return;
      const end = HEADER_BYTES + this.#unread.readUInt16BE(3);
      if (this.#unread.length < end) return;
      this.#unread = this.#unread.subarray(end);
      this.records++;
    }
  }
}

/** Encrypts records with a traffic secret (RFC 8446, 5.2 and 7.3), beginning with this number. */
function sealWith(secret: Buffer, number: number): Seal {
  const key = expand(secret, 'key', 16);
  const iv = expand(secret, 'iv', IV_BYTES);
  let next = BigInt(number);
  return (type, content, paddingBytes = 0) => {
    const nonce = Buffer.from(iv);
    nonce.writeBigUInt64BE(nonce.readBigUInt64BE(4) ^ next++, 4);
    const inner = Buffer.concat([content, Buffer.from([type]), Buffer.alloc(paddingBytes)]);
    const header = record(Buffer.alloc(inner.length + TAG_BYTES)).subarray(0, HEADER_BYTES);
    const cipher = createCipheriv('aes-128-gcm', key, nonce).setAAD(header);
    return Buffer.concat([header, cipher.update(inner), cipher.final(), cipher.getAuthTag()]);
  };
}

/** HKDF-Expand-Label for a single block. */
function expand(secret: Buffer, label: string, length: number): Buffer {
  const name = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Buffer.from([0, length, name.length]), name, Buffer.from([0, 1])]);
  return createHmac('sha256', secret).update(info).digest().subarray(0, length);
}
