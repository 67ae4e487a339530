import { BlockList, isIP } from 'node:net';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { AddressSet, isNetwork, isPublicAddress } from '../../src/webhook/addresses.ts';

test.each([
  '127.0.0.1',
  '127.255.255.254',
  '0.0.0.0',
  '10.1.2.3',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.0.1',
  '169.254.169.254',
  '100.64.0.1',
  '198.18.0.1',
  '198.19.255.255',
  '192.0.0.1',
  '192.0.2.1',
  '198.51.100.1',
  '203.0.113.1',
  '192.88.99.1',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::ffff:7f00:1',
  '::ffff:127.0.0.1',
  '::ffff:8.8.8.8',
  'fd00:ec2::254',
  'fc00::1',
  'fe80::1',
  'fe80::1%eth0',
  '2606:4700::1111%eth0',
  'ff02::1',
  '2001:db8::1',
  '3fff::1',
])('[S1] %s is not public', (address) => {
  expect(isPublicAddress(address)).toBe(false);
});

test.each([
  '2002:7f00:1::',
  '64:ff9b::7f00:1',
  '64:ff9b:1::7f00:1',
  '2001::1',
  '2001:0:4136:e378:8000:63bf:3fff:fdd2',
  '::7f00:1',
  'fec0::1',
  '5f00::1',
  '100::1',
  '100:0:0:1::1',
  '4000::1',
  '8000::1',
  'e000::1',
])('[S3] [S4] %s is not public: it embeds another address, or is not allocated', (address) => {
  expect(isPublicAddress(address)).toBe(false);
});

test.each(['127.1', '0x7f000001', '2130706433', '0177.0.0.1', '', 'localhost', '8.8.8', '[::1]', '1.2.3.4/32'])(
  '[S2] %s does not count as an address',
  (text) => {
    expect(isPublicAddress(text)).toBe(false);
  },
);

test.each([
  '8.8.8.8',
  '1.1.1.1',
  '93.184.215.14',
  '172.32.0.1',
  '100.128.0.1',
  '2606:4700:4700::1111',
  '2a00:1450:4001::1',
])('%s is public', (address) => {
  expect(isPublicAddress(address)).toBe(true);
});

/**
 * A second check, based on the tables of IANA's special-purpose address registries (IPv4 and IPv6, as of 2025-10) and the space allocated for global
 * unicast, by Node's own `BlockList` instead of the library.
 */
const special = new BlockList();
const blocks = [
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24',
  '192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4',
  '2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20',
].flatMap((line) => line.split(' '));
for (const block of blocks) {
  const [address = '', bits] = block.split('/');
  special.addSubnet(address, Number(bits), isIP(address) === 6 ? 'ipv6' : 'ipv4');
}
const given = new BlockList();
given.addSubnet('2000::', 3, 'ipv6');

function isPublicByRegistry(address: string): boolean {
  if (isIP(address) === 4) return !special.check(address, 'ipv4');
  return given.check(address, 'ipv6') && !special.check(address, 'ipv6');
}

/** An address as a number, and its number of bits. */
function numberOf(address: string): readonly [number: bigint, bits: 32 | 128] {
  if (isIP(address) === 4) return [address.split('.').reduce((number, part) => (number << 8n) | BigInt(part), 0n), 32];
  const [front = [], back = []] = address.split('::').map((half) => half.split(':').filter(Boolean));
  const groups = [...front, ...Array.from({ length: 8 - front.length - back.length }, () => '0'), ...back];
  return [groups.reduce((number, part) => (number << 16n) | BigInt(`0x${part}`), 0n), 128];
}

function addressOf(number: bigint, bits: 32 | 128): string {
  const parts = (size: bigint) =>
    Array.from(
      { length: bits / Number(size) },
      (_, i) => (number >> (BigInt(bits) - size * BigInt(i + 1))) & ((1n << size) - 1n),
    );
  return bits === 32
    ? parts(8n).join('.')
    : parts(16n)
        .map((part) => part.toString(16))
        .join(':');
}

/** The first and the last address of a block of the registries, and the addresses next to these. */
const nearBlock = fc.constantFrom(...blocks, '2000::/3').chain((block) => {
  const [address = '', prefix] = block.split('/');
  const [first, bits] = numberOf(address);
  const last = first + (1n << BigInt(bits - Number(prefix))) - 1n;
  const beside = [first - 1n, last + 1n].filter((number) => number >= 0n && number < 1n << BigInt(bits));
  return fc
    .oneof(fc.bigInt({ min: first, max: last }), fc.constantFrom(first, last, ...beside))
    .map((number) => addressOf(number, bits));
});
const ipv4 = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((parts) => parts.join('.'));
const group = fc.nat(0xffff).map((n) => n.toString(16));
const ipv6 = fc
  .tuple(
    fc.oneof(
      group,
      fc.constantFrom('2000', '2001', '2002', '2620', '3fff', '64', 'fe80', 'fc00', 'ff02', '0', '100', '5f00'),
    ),
    fc.oneof(group, fc.constantFrom('0', 'db8', 'ff9b', '4f', '1ff', '200')),
    fc.oneof(group, fc.constantFrom('0', '8000')),
    fc.array(fc.oneof(group, fc.constantFrom('0', 'ffff', '7f00')), { minLength: 5, maxLength: 5 }),
  )
  .map(([a, b, c, rest]) => [a, b, c, ...rest].join(':'));

test('[S1] [S3] [S4] a second, independent check considers the same addresses public', () => {
  let tried = 0;
  let found = 0;
  fc.assert(
    fc.property(fc.oneof(nearBlock, ipv4, ipv6), (address) => {
      tried++;
      const isPublic = isPublicAddress(address);
      if (isPublic) found++;
      expect([address, isPublic]).toEqual([address, isPublicByRegistry(address)]);
    }),
    { numRuns: Number(process.env['ADDRESS_RUNS'] ?? 20_000) },
  );
  process.stdout.write(`${tried} addresses tried, ${found} of them public\n`);
  // Both outcomes really occurred.
  expect(found).toBeGreaterThan(tried / 20);
  expect(found).toBeLessThan((tried * 19) / 20);
});

test('[S10] an operator can name networks and single addresses, of IPv4 and IPv6', () => {
  const set = new AddressSet(['10.0.0.0/8', '192.168.1.7', 'fd00::/8', '::1']);
  for (const address of ['10.255.0.1', '192.168.1.7', 'fd12::1', '::1']) expect(set.has(address)).toBe(true);
  for (const address of ['11.0.0.1', '192.168.1.8', 'fc00::1', '::2', 'localhost'])
    expect(set.has(address)).toBe(false);
  expect(new AddressSet([]).has('10.0.0.1')).toBe(false);
});

test.each(['10.0.0.0/33', '10.0.0.0/', '10/8', 'host', '::1/129', '10.0.0.0/8/8', 'fe80::1%eth0', '', '0x7f.0.0.1/8'])(
  '"%s" is not a network',
  (text) => {
    expect(isNetwork(text)).toBe(false);
    expect(() => new AddressSet([text])).toThrow(TypeError);
  },
);
