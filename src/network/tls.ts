import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { DEFAULT_CIPHERS, rootCertificates } from 'node:tls';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** Whether a text contains certificates as PEM, at least one and all of them readable. Text around them does not matter. */
export function areCertificates(text: string): boolean {
  const certificates = text.match(CERTIFICATE) ?? [];
  return certificates.length > 0 && certificates.every(isCertificate);
}

/**
 * Which authorities to trust, as `ca` for `tls.createSecureContext`: the roots that are bundled with Node, those of NODE_EXTRA_CA_CERTS, and the
 * added ones. Undefined when none are added. Node then uses its default authorities, according to its options and NODE_EXTRA_CA_CERTS, and a context
 * costs nothing extra.
 *
 * @param added as PEM, one certificate or more in each.
 */
export function trustedAuthorities(
  added: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): string[] | undefined {
  if (added.length === 0) return undefined;
  return [...rootCertificates, ...extraAuthorities(env['NODE_EXTRA_CA_CERTS']), ...added];
}

/** Node adds these only to its default authorities, not to a `ca` that is given. */
function extraAuthorities(path: string | undefined): string[] {
  if (!path) return [];
  try {
    return [readFileSync(path, 'utf8')];
  } catch {
    return []; // Node itself warns about it when it starts, and continues.
  }
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

/** Curves cost about a millisecond each. The OpenSSL of older versions of Node also offers primes of 8,192 bits. */
const CURVES = 'X25519:P-256:P-384:P-521';
/** From this version on, OpenSSL's default offers no prime of more than 3,072 bits, and includes key exchange that withstands quantum computers. */
const MODERATE_OPENSSL = 3.5;

/**
 * The requirements for TLS connections, whatever Node's options say: version 1.2 or newer, and key exchange over curves. With Diffie-Hellman over
 * primes, the server chooses how long the worker computes, which blocks everything else in it. A modulus of 10,000 bits, which OpenSSL accepts
 * without checking that it is prime, takes a second.
 */
export const TLS_TERMS = {
  minVersion: 'TLSv1.2',
  ciphers: `${DEFAULT_CIPHERS}:!kDHE`,
  ecdhCurve: Number.parseFloat(process.versions.openssl) < MODERATE_OPENSSL ? CURVES : 'auto',
} as const;
