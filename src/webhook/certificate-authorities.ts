import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** Whether a text is one certificate or more, as PEM. What stands around them does not matter. */
export function areCertificates(text: string): boolean {
  const certificates = text.match(CERTIFICATE) ?? [];
  return certificates.length > 0 && certificates.every(isCertificate);
}

/**
 * Whom to trust, as `ca` of `tls.createSecureContext`: Node's own authorities and those that are added. Undefined when none are: Node's own then
 * are what its options and NODE_EXTRA_CA_CERTS make them, and cost a context nothing.
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

/** Node adds these only to authorities that it chose itself. */
function extraAuthorities(path: string | undefined): string[] {
  if (!path) return [];
  try {
    return [readFileSync(path, 'utf8')];
  } catch {
    return []; // Node says so when it starts, and goes on.
  }
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}
