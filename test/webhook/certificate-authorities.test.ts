import { rootCertificates } from 'node:tls';
import { expect, test } from '@jest/globals';
import { areCertificates, trustedAuthorities } from '../../src/webhook/certificate-authorities.ts';
import { makeCertificateAuthority } from './a-certificate-authority.ts';

const authority = makeCertificateAuthority();
const { certificate } = authority;
const { key } = authority.issue({ names: ['hook.example'] });

test('one certificate or more are certificates, whatever is written around them', () => {
  for (const text of [certificate, `${certificate}\n${certificate}`, `# ours\n${certificate}# end`])
    expect(areCertificates(text)).toBe(true);
});

test('what Node cannot read, in part or as a whole, is none', () => {
  const broken = certificate.replace(/\n[^\n]{20}/, '\nAAAAAAAAAAAAAAAAAAAA');
  for (const text of ['', 'ours.pem', key, broken, `${certificate}\n${broken}`, certificate.slice(0, 300)])
    expect(areCertificates(text)).toBe(false);
});

test('authorities are added to those that are trusted anyway, and replace none', () => {
  expect(trustedAuthorities([certificate], {})).toEqual([...rootCertificates, certificate]);
});

test('where none are added, the choice is left to Node and its options', () => {
  expect(trustedAuthorities([])).toBeUndefined();
});

test('a file of NODE_EXTRA_CA_CERTS that is not there adds nothing: Node has said so itself', () => {
  const env = { NODE_EXTRA_CA_CERTS: '/no/such/file.pem' };
  expect(trustedAuthorities([certificate], env)).toEqual([...rootCertificates, certificate]);
});
