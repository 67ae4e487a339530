import { expect, test } from '@jest/globals';
import { certificateEnds, expiringOf, tokenEnds } from '../../../src/client/calls/expiring.ts';
import { makeCertificateAuthority } from '../../webhook/a-certificate-authority.ts';

const AT = '2026-11-25T08:00:00.000Z';
const authority = makeCertificateAuthority();
const ending = (notAfter: Date): string => authority.issue({ names: ['us'], isClient: true, notAfter }).certificate;
const token = (claims: object): string => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.x`;

test('a chain of certificates ends with the first of them', () => {
  const chain = `${ending(new Date('2030-01-01'))}\n${ending(new Date(AT))}`;
  expect(certificateEnds('a', chain)).toEqual([{ of: 'a', at: AT }]);
  expect(certificateEnds('a', 'no certificate')).toEqual([]);
  expect(certificateEnds('a', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----')).toEqual([]);
});

test('a JSON Web Token says when it ends; any other token says nothing', () => {
  expect(tokenEnds('a', token({ exp: Date.parse(AT) / 1000 }))).toEqual([{ of: 'a', at: AT }]);
  for (const other of ['', 's3cret', 'a.b.c', token({ sub: 'x' }), token({ exp: 'soon' })])
    expect(tokenEnds('a', other)).toEqual([]);
});

test('a connection to Temporal has a certificate, a token, or neither', () => {
  const crt = Buffer.from(ending(new Date(AT)));
  const connectionOptions = {
    tls: { clientCertPair: { crt, key: Buffer.from('') } },
    apiKey: token({ exp: Date.parse(AT) / 1000 }),
  };
  expect(expiringOf({ connectionOptions, namespace: 'n' })).toEqual([
    { of: 'TEMPORAL_TLS_CLIENT_CERT_PATH', at: AT },
    { of: 'TEMPORAL_API_KEY', at: AT },
  ]);
  expect(expiringOf({ connectionOptions: { tls: true }, namespace: 'n' })).toEqual([]);
});
