import type { IncomingHttpHeaders } from 'node:http';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { answerText } from '../../src/webhook/answer-text.ts';
import { withoutSecrets } from '../../src/webhook/without-secrets.ts';
import { always } from '../support/properties.ts';

const TOKEN = 'TOKsecret/Bearer-42';
const TEXT = `{"error":"no such token","got":"${TOKEN}","für":"Zoë"}`;
const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le');
const utf32 = (text: string): Buffer =>
  Buffer.from(new Uint32Array([...text].map((one) => one.codePointAt(0) ?? 0)).buffer);
const be = (bytes: Buffer): Buffer => Buffer.from(bytes).swap16();
const BOM = '\uFEFF';

test.each<[name: string, body: Buffer, headers: IncomingHttpHeaders]>([
  ['UTF-8', Buffer.from(TEXT), {}],
  ['UTF-16 as declared', utf16(TEXT), { 'content-type': 'text/plain; charset=utf-16le' }],
  ['UTF-16 by its mark', utf16(BOM + TEXT), {}],
  ['UTF-16 that nothing declares', utf16(TEXT.replaceAll(/[üë]/g, 'e')), {}],
  ['big-endian UTF-16 as declared', be(utf16(TEXT)), { 'content-type': 'application/json;charset="UTF-16BE"' }],
  ['big-endian UTF-16 by its mark', be(utf16(BOM + TEXT)), { 'content-type': 'text/html; charset=utf-8' }],
  ['UTF-32 by its mark', utf32(BOM + TEXT), {}],
  ['Latin 1', Buffer.from(TEXT, 'latin1'), { 'content-type': 'text/plain; Charset = iso-8859-1' }],
  ['UTF-8 that is declared as UTF-16', Buffer.from(TEXT), { 'content-type': 'text/plain; charset=utf-16le' }],
  ['UTF-8 of an unknown charset', Buffer.from(TEXT), { 'content-type': 'text/plain; charset=utf8mb4' }],
  ['gzip', gzipSync(TEXT), { 'content-encoding': 'gzip' }],
  ['x-gzip', gzipSync(TEXT), { 'content-encoding': 'X-GZip' }],
  ['deflate', deflateSync(TEXT), { 'content-encoding': 'deflate' }],
  ['deflate without its header', deflateRawSync(TEXT), { 'content-encoding': 'deflate' }],
  ['brotli', brotliCompressSync(TEXT), { 'content-encoding': 'br' }],
  ['gzip in brotli', brotliCompressSync(gzipSync(TEXT)), { 'content-encoding': 'gzip, br' }],
  [
    'gzip in brotli, in two headers',
    brotliCompressSync(gzipSync(TEXT)),
    { 'content-encoding': ['gzip', 'br'] as unknown as string },
  ],
  [
    'UTF-16 in gzip',
    gzipSync(utf16(TEXT)),
    { 'content-encoding': 'gzip', 'content-type': 'text/plain;charset=utf-16' },
  ],
])('[S22] the text of an answer in %s is read, and its secret is masked', (_, body, headers) => {
  const text = answerText(body, headers);
  expect(text).toContain(`"got":"${TOKEN}"`);
  expect(withoutSecrets(text, [TOKEN])).toContain('"got":"…"');
});

test('[S16] the beginning of a compressed answer is read as far as it goes', () => {
  const long = Array.from({ length: 400 }, (_, i) => `line ${i * 7919}`).join('\n');
  for (const [encoding, pack] of [
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ] as const) {
    const text = answerText(pack(long).subarray(0, 1024), { 'content-encoding': encoding });
    expect(text.length).toBeGreaterThan(500);
    expect(long.startsWith(text)).toBe(true);
  }
});

test.each<[name: string, body: Buffer, headers: IncomingHttpHeaders]>([
  ['an unknown encoding', Buffer.from(TEXT), { 'content-encoding': 'zstd' }],
  ['the name of a method', Buffer.from(TEXT), { 'content-encoding': 'constructor' }],
  ['what is no gzip', Buffer.from(TEXT), { 'content-encoding': 'gzip' }],
  ['an unknown charset', Buffer.from(TEXT, 'latin1'), { 'content-type': 'text/plain; charset=ebcdic-us' }],
  ['a bomb of gzip', gzipSync(Buffer.alloc(1_000_000)), { 'content-encoding': 'gzip' }],
  ['a bomb of brotli', brotliCompressSync(Buffer.alloc(2_000_000)), { 'content-encoding': 'br' }],
  ['a stack of encodings', gzipSync(TEXT), { 'content-encoding': 'gzip, gzip, gzip, gzip' }],
])('[S16] of an answer in %s, nothing is kept but a word that says so', (_, body, headers) => {
  expect(answerText(body, headers)).toBe('(a body in an encoding that the worker cannot read)');
});

test('whatever an endpoint answers, reading it throws nothing', () => {
  const encoding = fc.constantFrom(undefined, 'gzip', 'br', 'deflate', 'identity', 'gzip,br', '');
  const type = fc.constantFrom(undefined, 'text/plain; charset=utf-16le', 'x; charset=shift_jis', 'x; charset=');
  always(
    fc.property(fc.uint8Array({ maxLength: 64 }), encoding, type, (body, packed, charset) => {
      const headers = { 'content-encoding': packed, 'content-type': charset };
      expect(answerText(Buffer.from(body), headers)).not.toContain('\0');
    }),
  );
});
