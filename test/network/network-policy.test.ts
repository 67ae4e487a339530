import type { LookupAddress } from 'node:dns';
import { writeFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { GuardedAgents } from '../../src/network/guarded-agents.ts';
import {
  AddressSet,
  createLookUp,
  isNetwork,
  isPublicAddress,
  literalOf,
  type LookUp,
  type LookUpOptions,
  NetworkPolicy,
  type NetworkRules,
  OriginPolicy,
  OwnPlaces,
  portsIn,
  refusalBeforehand,
  sharedLookUp,
} from '../../src/network/network-policy.ts';
import { startDnsServer } from '../webhook/a-dns-server.ts';
import { afterwards, serveHttp, startRawServer } from '../webhook/a-server.ts';
import { aPoster, aReceiver, attemptOf } from '../webhook/an-attempt.ts';
import { always } from '../support/properties.ts';
import { tempFolder } from '../support/temp-folder.ts';

test.each([
  '127.0.0.1',
  '0.0.0.0',
  '10.1.2.3',
  '172.16.0.1',
  '192.168.0.1',
  '169.254.169.254',
  '100.64.0.1',
  '168.63.129.16',
  '198.18.0.1',
  '192.0.0.1',
  '192.0.2.1',
  '198.51.100.1',
  '203.0.113.1',
  '192.88.99.1',
  '224.0.0.1',
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
  always(
    fc.property(fc.oneof(nearBlock, ipv4, ipv6), (address) => {
      tried++;
      const isPublic = isPublicAddress(address);
      if (isPublic) found++;
      expect([address, isPublic]).toEqual([address, isPublicByRegistry(address)]);
    }),
    2000,
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

const policy = new NetworkPolicy({ allowHttp: false, allowAddresses: [], allowPorts: ['443'] });
const answering =
  (...addresses: string[]): LookUp =>
  (_, __, callback) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: 4 })),
    );

test.each([
  ['https://10.0.0.1/', answering('8.8.8.8'), /public addresses only/],
  ['http://example.com/', answering('8.8.8.8'), /by https only/],
  ['https://example.com/', answering('10.0.0.1'), /public addresses only/],
  ['https://example.com/', answering('8.8.8.8', '10.0.0.1'), /public addresses only/],
])('[S1] [S9] %s is refused in advance', async (url, lookUp, reason) => {
  expect(await refusalBeforehand(policy, new URL(url), lookUp)).toMatch(reason);
});

const EVERYWHERE: NetworkRules = { allowHttp: true, allowAddresses: ['0.0.0.0/0', '::/0'], allowPorts: ['1-65535'] };

/** Whether something is sent to this URL before a name is looked up, where everything is allowed but this. */
async function isOurs(own: OwnPlaces, url: string, lookUp = answering('8.8.8.8')): Promise<boolean> {
  const refusal = await refusalBeforehand(new NetworkPolicy(EVERYWHERE, own), new URL(url), lookUp);
  if (refusal !== undefined) expect(refusal).toMatch(/never sends to Temporal/);
  return refusal !== undefined;
}

test("[S46] the worker refuses its machine's own ports at each address, since a server may listen at all of them", async () => {
  const own = new OwnPlaces(['127.0.0.1:7233', '[::1]:7243', '0.0.0.0:9464']);
  const interfaces = Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address));
  const outside = interfaces.find((address) => isIP(address) === 4 && !address.startsWith('127.'));
  const hosts = ['127.0.0.1', '127.9.9.9', '[::1]', '0.0.0.0', '[::]', '[::ffff:127.0.0.1]', '2130706433', outside];
  for (const host of hosts.filter((host) => host !== undefined)) {
    for (const port of [7233, 7243, 9464])
      expect([host, port, await isOurs(own, `http://${host}:${port}/`)]).toEqual([host, port, true]);
    expect([host, await isOurs(own, `http://${host}:9000/`)]).toEqual([host, false]);
  }
  expect(await isOurs(own, 'http://10.0.0.7:7233/')).toBe(false);
  // By whatever name.
  expect(await isOurs(own, 'http://hook.example:7233/', answering('8.8.8.8', '127.0.0.1'))).toBe(true);
  expect(await isOurs(own, 'http://hook.example:9000/', answering('8.8.8.8', '127.0.0.1'))).toBe(false);
});

test('[S46] Temporal on another machine is refused by its name, and by each address that the name has now', async () => {
  const own = new OwnPlaces(['Temporal.example:7233', '10.0.0.5:443']);
  await own.lookUp(answering('10.0.0.6'));
  expect(await isOurs(own, 'http://temporal.example:7233/')).toBe(true);
  expect(await isOurs(own, 'http://temporal.example.:7233/')).toBe(true);
  expect(await isOurs(own, 'http://temporal.example:9000/')).toBe(false);
  expect(await isOurs(own, 'http://10.0.0.6:7233/')).toBe(true);
  expect(await isOurs(own, 'http://[::ffff:10.0.0.6]:7233/')).toBe(true);
  expect(await isOurs(own, 'https://10.0.0.5/')).toBe(true);
  await own.lookUp(answering('10.0.0.8'));
  expect(await isOurs(own, 'http://10.0.0.6:7233/')).toBe(false);
  // While its name cannot be looked up, it stays where it was.
  await own.lookUp((_, __, callback) => callback(new Error('no answer'), []));
  expect(await isOurs(own, 'http://hook.example:7233/', answering('10.0.0.8'))).toBe(true);
  // A name of this machine is this machine.
  await own.lookUp(answering('127.0.0.1'));
  expect(await isOurs(own, 'http://[::1]:7233/')).toBe(true);
});

test('a name that cannot be looked up now is not refused, since it may exist later', async () => {
  const failing: LookUp = (_, __, callback) => callback(new Error('no answer'), []);
  expect(await refusalBeforehand(policy, new URL('https://example.com/'), failing)).toBeUndefined();
  expect(await refusalBeforehand(policy, new URL('https://example.com/'), answering('8.8.8.8'))).toBeUndefined();
});

const LOOPBACK = { address: '127.0.0.1', family: 4 };

type Outcome = readonly LookupAddress[] | string;

/** The outcome of looking a name up: its addresses, or the code of the error. */
const outcomeOf = (lookUp: LookUp, hostname: string): Promise<Outcome> =>
  new Promise((resolve) =>
    lookUp(hostname, { all: true }, (error, addresses) => resolve(error === null ? addresses : (error.code ?? ''))),
  );

/** Look-ups by a name server of ours; and the names that the system was asked about, which has one address for each. */
async function lookUpsBy(answers: readonly string[], options: LookUpOptions = {}) {
  const { address, looked } = await startDnsServer(answers);
  const asked: string[] = [];
  const system: LookUp = (hostname, _, callback) => {
    asked.push(hostname);
    callback(null, [{ address: '127.0.0.9', family: 4 }]);
  };
  return { lookUp: createLookUp({ servers: [address], system, ...options }), looked, asked };
}

test('a name gets all addresses that name servers know, of both families, and the system is not asked', async () => {
  const { lookUp, asked } = await lookUpsBy(['127.0.0.1', '127.0.0.2', '2606:4700::1111']);
  expect(await outcomeOf(lookUp, 'hook.example')).toEqual([
    LOOPBACK,
    { address: '127.0.0.2', family: 4 },
    { address: '2606:4700::1111', family: 6 },
  ]);
  expect(asked).toEqual([]);
});

test('[S29] a hundred names whose name servers are silent do not delay the first connection to another host', async () => {
  const { lookUp } = await lookUpsBy(['127.0.0.1'], { timeoutMs: 12_000 });
  const receiver = await aReceiver();
  const poster = aPoster({ timeoutMs: 8000, lookUp });
  const port = new URL(receiver.url).port;
  const silent = Array.from({ length: 100 }, (_, i) =>
    attemptOf(poster, `http://silent${i}.example:${port}/`, [], '{}'),
  );
  let ended = 0;
  for (const one of silent) void one.then(() => (ended += 1));
  const attempt = await attemptOf(poster, `http://hook.example:${port}/`, [], '{}');
  expect(attempt).toMatchObject({ ok: true });
  expect(ended).toBe(0);
  for (const one of await Promise.all(silent)) expect(one).toMatchObject({ ok: false, code: 'REQUEST_TIMEOUT' });
});

test('[S14] the worker waits a limited time for silent name servers, and does not ask the system, whose threads wait longer', async () => {
  const servers = [await startDnsServer(), await startDnsServer(), await startDnsServer()].map(
    ({ address }) => address,
  );
  const { lookUp, asked } = await lookUpsBy([], { servers, timeoutMs: 2500 });
  const startedAt = performance.now();
  expect(await outcomeOf(lookUp, 'silent.example')).toBe('EAI_AGAIN');
  // Each of them in turn would be waited for as long.
  expect(performance.now() - startedAt).toBeLessThan(7400);
  expect(asked).toEqual([]);
});

test('a query that got lost is sent again', async () => {
  const { lookUp } = await lookUpsBy(['127.0.0.1'], { timeoutMs: 3000 });
  expect(await outcomeOf(lookUp, 'lost.example')).toEqual([LOOPBACK]);
});

test('callers that ask for the same name at once share one look-up, and later callers get a new one', async () => {
  const { lookUp, looked } = await lookUpsBy(['127.0.0.1']);
  const all = await Promise.all(Array.from({ length: 100 }, () => outcomeOf(lookUp, 'hook.example')));
  expect(all).toEqual(Array.from({ length: 100 }, () => [LOOPBACK]));
  expect(looked()).toBe(1);
  await outcomeOf(lookUp, 'hook.example');
  expect(looked()).toBe(2);
});

test('names in the hosts file take precedence over name servers, whatever their case', async () => {
  const folder = tempFolder();
  const hostsFile = join(folder, 'hosts');
  writeFileSync(hostsFile, '127.0.0.9\tother Hook.Example # gone.example\n# old.example\n');
  const { lookUp, looked, asked } = await lookUpsBy(['127.0.0.1'], { hostsFile });
  expect(await outcomeOf(lookUp, 'hook.EXAMPLE')).toEqual([{ address: '127.0.0.9', family: 4 }]);
  expect([asked, looked()]).toEqual([['hook.EXAMPLE'], 0]);
  for (const name of ['gone.example', 'old.example', '127.0.0.9.example', 'hook'])
    expect(await outcomeOf(lookUp, name)).toEqual([LOOPBACK]);
  expect(asked).toHaveLength(1);
});

test('the system is asked about names that name servers do not know, since it may have search domains', async () => {
  const { lookUp, asked } = await lookUpsBy([]);
  expect(await outcomeOf(lookUp, 'hook')).toEqual([{ address: '127.0.0.9', family: 4 }]);
  expect(asked).toEqual(['hook']);
});

test('localhost is found, and a host that does not exist is not', async () => {
  expect(await outcomeOf(sharedLookUp, 'localhost')).toEqual(expect.arrayContaining([LOOPBACK]));
  expect(await outcomeOf(sharedLookUp, 'no-such-host.invalid')).toMatch(/^(ENOTFOUND|EAI_AGAIN)$/);
});

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

test.each([
  ['http://10.0.0.5:8080/people', { protocol: 'http:', hostname: '10.0.0.5', port: '8080' }],
  ['https://people.example.com', { protocol: 'https:', hostname: 'people.example.com', port: '' }],
  ['https://people.example.com', { protocol: 'https:', hostname: 'people.example.com', port: '443' }],
  ['http://[fd00::5]:81', { protocol: 'http:', hostname: '[fd00::5]', port: '81' }],
])('%s is allowed because it is named', (origin, to) => {
  const policy = new OriginPolicy(origin);
  expect(policy.refusalOf(to)).toBeUndefined();
  expect(policy.allowsAddress()).toBe(true);
});

test('[S12] no connection is opened to another origin', async () => {
  const { url, connections } = await startRawServer((socket) => socket.end());
  const agents = new GuardedAgents({ timeoutMs: 2000, policy: new OriginPolicy('http://127.0.0.1:1') });
  afterwards(() => agents.close());
  const asked = agents.of().request({ origin: url.origin, path: '/', method: 'GET' });
  await expect(asked).rejects.toMatchObject({ code: 'ADDRESS_REFUSED' });
  expect(connections.size).toBe(0);
});

test('a longer answer than the usual mebibyte can be allowed, and no longer than that', async () => {
  const origin = await serveHttp((_, response) => response.end(Buffer.alloc(3 * 1024 * 1024)));
  const bytesWith = async (maxAnswerBytes: number): Promise<number> => {
    const agents = new GuardedAgents({ timeoutMs: 2000, policy: new OriginPolicy(origin), maxAnswerBytes });
    afterwards(() => agents.close());
    const { body } = await agents.of().request({ origin, path: '/', method: 'GET' });
    return (await body.arrayBuffer()).byteLength;
  };
  expect(await bytesWith(4 * 1024 * 1024)).toBe(3 * 1024 * 1024);
  await expect(bytesWith(2 * 1024 * 1024)).rejects.toMatchObject({ code: 'ANSWER_TOO_LONG' });
});

test.each([
  { protocol: 'http:', hostname: '10.0.0.5', port: '8081' },
  { protocol: 'https:', hostname: '10.0.0.5', port: '8080' },
  { protocol: 'http:', hostname: '10.0.0.6', port: '8080' },
  { protocol: 'http:', hostname: '10.0.0.5', port: '' },
  { protocol: 'http:', hostname: 'not a host', port: '8080' },
])('[S12] nothing else is allowed: %j', (to) => {
  expect(new OriginPolicy('http://10.0.0.5:8080').refusalOf(to)).toMatch(/another origin.*"source"/);
});

test('the system is asked when there is no name server', async () => {
  const { lookUp, asked } = await lookUpsBy([], { servers: ['127.0.0.1:1'] });
  expect(await outcomeOf(lookUp, 'hook.example')).toEqual([{ address: '127.0.0.9', family: 4 }]);
  expect(asked).toEqual(['hook.example']);
});
