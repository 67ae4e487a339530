import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** Whether a text contains certificates as PEM, at least one and all of them readable. Text around them does not matter. */
export function areCertificates(text: string): boolean {
  const certificates = text.match(CERTIFICATE) ?? [];
  return certificates.length > 0 && certificates.every(isCertificate);
}

/**
 * Which authorities to trust, as `ca` for `tls.createSecureContext`: the roots that are bundled with Node, those of NODE_EXTRA_CA_CERTS, and the
 * added ones. Undefined when none are added: Node then uses its default authorities, according to its options and NODE_EXTRA_CA_CERTS, and a
 * context costs nothing extra.
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
