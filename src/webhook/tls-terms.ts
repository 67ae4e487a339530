import { DEFAULT_CIPHERS } from 'node:tls';

/** Curves, which cost a millisecond. The OpenSSL of older Nodes also offers primes of 8,192 bits. */
const CURVES = 'X25519:P-256:P-384:P-521';
/** From this version on OpenSSL offers no prime of more than 3,072 bits, and, by itself, what withstands quantum computers. */
const MODERATE_OPENSSL = 3.5;

/**
 * What is agreed to in TLS, whatever Node is told: 1.2 or newer, and keys that are exchanged over curves. With Diffie-Hellman over primes, a server
 * chooses how long a worker computes, and does nothing else meanwhile: a second for the 10,000 bits of which OpenSSL does not ask whether they
 * are a prime.
 */
export const TLS_TERMS = {
  minVersion: 'TLSv1.2',
  ciphers: `${DEFAULT_CIPHERS}:!kDHE`,
  ecdhCurve: Number.parseFloat(process.versions.openssl) < MODERATE_OPENSSL ? CURVES : 'auto',
} as const;
