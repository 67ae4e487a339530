import { expect, test } from '@jest/globals';
import { literalOf, NetworkPolicy, type NetworkRules, portsIn } from '../../src/webhook/network-policy.ts';

const STRICT: NetworkRules = { allowHttp: false, allowAddresses: [], allowPorts: ['443', '80', '1024-65535'] };
const refusalOf = (url: string, rules: Partial<NetworkRules> = {}) =>
  new NetworkPolicy({ ...STRICT, ...rules }).refusalOf(new URL(url));

test.each(['https://example.com/hook', 'https://example.com:8443/', 'https://8.8.8.8/', 'https://[2606:4700::1111]/'])(
  '%s may be sent to',
  (url) => {
    expect(refusalOf(url)).toBeUndefined();
  },
);

test.each([
  'https://127.0.0.1/',
  'https://[::1]/',
  'https://[::ffff:7f00:1]/',
  'https://169.254.169.254/',
  'https://[fd00:ec2::254]/',
])('[S1] [S7] the literal in %s is refused', (url) => {
  expect(refusalOf(url)).toMatch(/public addresses only/);
});

test.each([
  'https://2130706433/',
  'https://0x7f000001/',
  'https://0177.0.0.1/',
  'https://127.1/',
  'https://①②⑦.0.0.1/',
])('[S2] %s is refused, since it is an address in another spelling', (url) => {
  expect(refusalOf(url)).toMatch(/public addresses only/);
});

test.each([
  'https://localhost/',
  'https://localhost./',
  'https://a.localhost/',
  'https://db.internal/',
  'https://printer.local/',
  'https://nas.localdomain/',
  'https://wiki.intranet/',
  'https://nas.lan/',
  'https://router.home.arpa/',
])('[S9] the private name in %s is refused', (url) => {
  expect(refusalOf(url)).toMatch(/public addresses only/);
});

test.each(['https://localhost.example.com/', 'https://internal.example.com/', 'https://notlocalhost/'])(
  'the name in %s is not private just because it resembles a private one',
  (url) => {
    expect(refusalOf(url)).toBeUndefined();
  },
);

test('[S9] http is for the operator to allow', () => {
  expect(refusalOf('http://example.com/')).toMatch(/by https only/);
  expect(refusalOf('http://example.com/', { allowHttp: true })).toBeUndefined();
  expect(refusalOf('ftp://example.com/', { allowHttp: true })).toMatch(/Only https/);
});

test.each([
  ['https://example.com:22/', 22],
  ['https://example.com:25/', 25],
  ['http://example.com:81/', 81],
])('[S9] %s is refused: nobody opened port %i', (url, port) => {
  expect(refusalOf(url, { allowHttp: true })).toContain(`port ${port}.`);
  expect(refusalOf(url, { allowHttp: true, allowPorts: [String(port)] })).toBeUndefined();
});

test('[S10] private networks are opened by the operator, by network, and with them private names', () => {
  const allowAddresses = ['10.0.0.0/8'];
  expect(refusalOf('https://10.1.2.3/', { allowAddresses })).toBeUndefined();
  expect(refusalOf('https://192.168.0.1/', { allowAddresses })).toMatch(/public addresses only/);
  expect(refusalOf('https://hook.internal/', { allowAddresses })).toBeUndefined();
});

test('[S7] brackets are no part of an address', () => {
  expect(['[::1]', '127.0.0.1', 'example.com', '[::1'].map(literalOf)).toEqual([
    '::1',
    '127.0.0.1',
    undefined,
    undefined,
  ]);
});

test('ports are a number up to 65535, or a range of them', () => {
  expect(portsIn('443')).toEqual([443, 443]);
  expect(portsIn('1024-65535')).toEqual([1024, 65535]);
  for (const wrong of ['', '-', '80-', '-80', '65536', '1024-65536', '1024-80', '80,443', '0x50', '123456']) {
    expect(portsIn(wrong)).toBeUndefined();
    expect(() => refusalOf('https://example.com/', { allowPorts: [wrong] })).toThrow(TypeError);
  }
});
