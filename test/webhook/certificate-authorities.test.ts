import { rootCertificates } from 'node:tls';
import { expect, test } from '@jest/globals';
import { areCertificates, trustedAuthorities } from '../../src/webhook/tls.ts';
import { makeCertificateAuthority } from './a-certificate-authority.ts';

const authority = makeCertificateAuthority();
const { certificate } = authority;
const { key } = authority.issue({ names: ['hook.example'] });

test('a text with one or more certificates is accepted, whatever is written around them', () => {
  for (const text of [certificate, `${certificate}\n${certificate}`, `# ours\n${certificate}# end`])
    expect(areCertificates(text)).toBe(true);
});

test('a text with a certificate that Node cannot read is not accepted', () => {
  const broken = certificate.replace(/\n[^\n]{20}/, '\nAAAAAAAAAAAAAAAAAAAA');
  for (const text of ['', 'ours.pem', key, broken, `${certificate}\n${broken}`, certificate.slice(0, 300)])
    expect(areCertificates(text)).toBe(false);
});

test('authorities are added to the bundled roots and replace none of them', () => {
  expect(trustedAuthorities([certificate], {})).toEqual([...rootCertificates, certificate]);
});

test('when none are added, the choice is left to Node and its options', () => {
  expect(trustedAuthorities([])).toBeUndefined();
});

test('a missing file of NODE_EXTRA_CA_CERTS adds nothing: Node itself has warned about it', () => {
  const env = { NODE_EXTRA_CA_CERTS: '/no/such/file.pem' };
  expect(trustedAuthorities([certificate], env)).toEqual([...rootCertificates, certificate]);
});
