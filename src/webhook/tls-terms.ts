import { DEFAULT_CIPHERS } from 'node:tls';

/** Curves cost about a millisecond each. The OpenSSL of older versions of Node also offers primes of 8,192 bits. */
const CURVES = 'X25519:P-256:P-384:P-521';
/** From this version on, OpenSSL's default offers no prime of more than 3,072 bits, and includes key exchange that withstands quantum computers. */
const MODERATE_OPENSSL = 3.5;

/**
 * What TLS connections must use, whatever Node's options say: version 1.2 or newer, and key exchange over curves. With Diffie-Hellman over primes,
 * the server chooses how long the worker computes, which blocks everything else in it: a second for a modulus of 10,000 bits, which OpenSSL accepts
 * without checking that it is prime.
 */
export const TLS_TERMS = {
  minVersion: 'TLSv1.2',
  ciphers: `${DEFAULT_CIPHERS}:!kDHE`,
  ecdhCurve: Number.parseFloat(process.versions.openssl) < MODERATE_OPENSSL ? CURVES : 'auto',
} as const;
