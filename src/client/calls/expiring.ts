import { X509Certificate } from 'node:crypto';
import { isRecord } from '../../domain/json.ts';
import type { ConnectConfig } from './connect.ts';

/** Something that expires: a certificate, or a token. */
export interface Expiring {
  /** The setting that has it: `authorizations.crm.clientCertificate`, `TEMPORAL_API_KEY`. */
  readonly of: string;
  /** RFC 3339 */
  readonly at: string;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** Everything of a connection to Temporal that expires, by its variables; a profile of the `temporal` CLI may have set them. */
export function expiringOf({ connectionOptions: { tls, apiKey } }: ConnectConfig): Expiring[] {
  const certificate = typeof tls === 'object' && tls !== null ? tls.clientCertPair?.crt : undefined;
  return [
    ...certificateEnds('TEMPORAL_TLS_CLIENT_CERT_PATH', String(certificate ?? '')),
    ...tokenEnds('TEMPORAL_API_KEY', typeof apiKey === 'string' ? apiKey : ''),
  ];
}

/** When the first certificate of these ends, PEM; nothing if none can be read. */
export function certificateEnds(of: string, pem: string): Expiring[] {
  const ends = (pem.match(CERTIFICATE) ?? []).flatMap((one) => {
    try {
      return [Date.parse(new X509Certificate(one).validTo)];
    } catch {
      return [];
    }
  });
  return ends.length === 0 ? [] : [{ of, at: new Date(Math.min(...ends)).toISOString() }];
}

/** When a token ends that says so: a JSON Web Token with `exp`. */
export function tokenEnds(of: string, token: string): Expiring[] {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    const seconds = isRecord(claims) ? claims['exp'] : undefined;
    return typeof seconds === 'number' ? [{ of, at: new Date(seconds * 1000).toISOString() }] : [];
  } catch {
    return [];
  }
}
