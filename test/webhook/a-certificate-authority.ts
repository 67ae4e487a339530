import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import forge from 'node-forge';

const HOUR_MS = 3_600_000;
/** Kinds of a subject alternative name (RFC 5280 §4.2.1.6). */
const SAN = { dns: 2, ip: 7 } as const;

/** A certificate and its private key, as PEM. */
export interface Issued {
  readonly certificate: string;
  readonly key: string;
}

export interface Issuing {
  /** Names and addresses that it is for; the first one is the subject's common name, too. */
  readonly names: readonly string[];
  /** For a client instead of a server. */
  readonly isClient?: boolean;
  /** Default: in an hour. */
  readonly notAfter?: Date;
}

export interface CertificateAuthority {
  /** Its own certificate, as PEM: what whoever trusts it is given. */
  readonly certificate: string;
  issue(issuing: Issuing): Issued;
}

/** A certificate that only itself vouches for. */
export function signItself({ names, notAfter = inAnHour() }: Issuing): Issued {
  const keys = makeKeys();
  const certificate = makeCertificate(names[0] ?? '', keys.publicKey, notAfter);
  certificate.setIssuer(certificate.subject.attributes);
  certificate.setExtensions([{ name: 'subjectAltName', altNames: names.map(alternativeName) }]);
  certificate.sign(keys.privateKey, forge.md.sha256.create());
  return { certificate: forge.pki.certificateToPem(certificate), key: forge.pki.privateKeyToPem(keys.privateKey) };
}

/** An authority that nobody trusts who was not given its certificate. */
export function makeCertificateAuthority(name = 'Test authority'): CertificateAuthority {
  const { publicKey, privateKey } = makeKeys();
  const own = makeCertificate(name, publicKey, inAnHour());
  own.setIssuer(own.subject.attributes);
  own.setExtensions([
    { name: 'basicConstraints', cA: true, critical: true },
    { name: 'keyUsage', keyCertSign: true, critical: true },
  ]);
  own.sign(privateKey, forge.md.sha256.create());
  return {
    certificate: forge.pki.certificateToPem(own),
    issue: ({ names, isClient = false, notAfter = inAnHour() }) => {
      const keys = makeKeys();
      const certificate = makeCertificate(names[0] ?? '', keys.publicKey, notAfter);
      certificate.setIssuer(own.subject.attributes);
      certificate.setExtensions([
        { name: 'extKeyUsage', ...(isClient ? { clientAuth: true } : { serverAuth: true }) },
        { name: 'subjectAltName', altNames: names.map(alternativeName) },
      ]);
      certificate.sign(privateKey, forge.md.sha256.create());
      return { certificate: forge.pki.certificateToPem(certificate), key: forge.pki.privateKeyToPem(keys.privateKey) };
    },
  };
}

function makeCertificate(name: string, publicKey: forge.pki.PublicKey, notAfter: Date): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = publicKey;
  // A first bit that is 0: serial numbers are positive.
  certificate.serialNumber = `01${randomBytes(15).toString('hex')}`;
  certificate.validity.notBefore = new Date(Math.min(Date.now(), notAfter.getTime()) - HOUR_MS);
  certificate.validity.notAfter = notAfter;
  certificate.setSubject([{ name: 'commonName', value: name }]);
  return certificate;
}

function alternativeName(name: string): { type: number; value?: string; ip?: string } {
  return isIP(name) === 0 ? { type: SAN.dns, value: name } : { type: SAN.ip, ip: name };
}

/** Made by Node: the library would take seconds. */
function makeKeys(): forge.pki.rsa.KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  return { privateKey: forge.pki.privateKeyFromPem(privateKey), publicKey: forge.pki.publicKeyFromPem(publicKey) };
}

const inAnHour = (): Date => new Date(Date.now() + HOUR_MS);
