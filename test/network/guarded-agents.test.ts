import { getDefaultAutoSelectFamily, setDefaultAutoSelectFamily } from 'node:net';
import { expect, test } from '@jest/globals';
import { judge } from '../../src/domain/verdict.ts';
import { type HttpAttempt, type Poster } from '../../src/webhook/attempt.ts';
import { createGuardedConnector } from '../../src/network/guarded-agents.ts';
import { type LookUp, NetworkPolicy, type NetworkRules, OwnPlaces } from '../../src/network/network-policy.ts';
import { startDnsServer } from '../webhook/a-dns-server.ts';
import { startProxy } from '../webhook/a-proxy.ts';
import { afterwards, closing, startRawServer } from '../webhook/a-server.ts';
import { aPoster, aReceiver, attemptOf } from '../webhook/an-attempt.ts';

const OPEN: NetworkRules = { allowHttp: true, allowAddresses: [], allowPorts: ['1-65535'] };
const PUBLIC = '93.184.215.14';

function post(url: string, rules: Partial<NetworkRules> = {}, lookUp?: LookUp): Promise<HttpAttempt> {
  const policy = new NetworkPolicy({ ...OPEN, ...rules });
  return attemptOf(aPoster({ policy, ...(lookUp === undefined ? {} : { lookUp }) }), url, [], '{}');
}

const REFUSED = { ok: false, code: 'ADDRESS_REFUSED' };
const answersOf =
  (...addresses: string[]): LookUp =>
  (_, __, callback) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );

test.each(['127.0.0.1', 'localhost', '127.1', '0x7f000001', '[::ffff:127.0.0.1]'])(
  '[S1] [S2] [S9] nothing is sent to %s, and no connection is opened',
  async (host) => {
    const server = await startRawServer((socket) => socket.end());
    expect(await post(`http://${host}:${server.url.port}/`)).toMatchObject(REFUSED);
    expect(server.connections.size).toBe(0);
  },
);

test('[S10] an address that the operator allows is reached, by literal and by name', async () => {
  const receiver = await aReceiver();
  const { port } = new URL(receiver.url);
  const rules = { allowAddresses: ['127.0.0.0/8'] };
  expect(await post(`http://127.0.0.1:${port}/`, rules)).toMatchObject({ ok: true });
  expect(await post(`http://hook.example:${port}/`, rules, answersOf('127.0.0.1'))).toMatchObject({ ok: true });
});

test('[S1] a name that resolves to a private address is refused', async () => {
  const receiver = await aReceiver();
  const { lookUp } = await startDnsServer(['127.0.0.1']);
  expect(await post(`http://hook.example:${new URL(receiver.url).port}/`, {}, lookUp)).toMatchObject(REFUSED);
  expect(receiver.ledger.entries).toEqual([]);
});

test('[S5] when the answer for a name changes after it was checked, the second address is never reached', async () => {
  const receiver = await aReceiver();
  const { port } = new URL(receiver.url);
  const { lookUp, looked } = await startDnsServer([PUBLIC], ['127.0.0.1']);
  const policy = new NetworkPolicy(OPEN);
  await new Promise<void>((resolve) =>
    lookUp('hook.example', { all: true }, (_, [first]) => {
      // A check in advance finds nothing to refuse.
      expect(policy.allowsAddress(first?.address ?? '')).toBe(true);
      resolve();
    }),
  );
  expect(await post(`http://hook.example:${port}/`, {}, lookUp)).toMatchObject(REFUSED);
  expect(looked()).toBe(2);
  expect(receiver.ledger.entries).toEqual([]);
});

test('[S6] a name with a public and a private address is refused entirely', async () => {
  const receiver = await aReceiver();
  const { port } = new URL(receiver.url);
  for (const answers of [
    [PUBLIC, '127.0.0.1'],
    ['127.0.0.1', PUBLIC],
    ['2606:4700::1111', '::1'],
  ]) {
    const { lookUp } = await startDnsServer(answers);
    expect(await post(`http://hook.example:${port}/`, {}, lookUp)).toMatchObject(REFUSED);
  }
  expect(receiver.ledger.entries).toEqual([]);
});

test('the worker tries only four addresses per family, so a name with thousands cannot aim it at other hosts', async () => {
  const many = Array.from({ length: 2000 }, (_, i) => [
    `127.1.${i >> 8}.${i & 255}`,
    `::ffff:127.2.${i >> 8}.${i & 255}`,
  ]);
  const policy = new NetworkPolicy({ ...OPEN, allowAddresses: ['127.0.0.0/8'] });
  const connect = createGuardedConnector({ policy, timeoutMs: 3000, lookUp: answersOf(...many.flat()) });
  const to = { protocol: 'http:', hostname: 'hook.example', port: '1' };
  const error = await new Promise((resolve) => connect(to, (...[failure]) => resolve(failure)));
  expect(error).toMatchObject({ errors: Array.from({ length: 8 }, () => expect.objectContaining({ port: 1 })) });
});

test('[S6] a name with a forbidden address is refused even when Node tries only the first one', async () => {
  const receiver = await aReceiver();
  const { port } = new URL(receiver.url);
  const before = getDefaultAutoSelectFamily();
  setDefaultAutoSelectFamily(false);
  afterwards(() => Promise.resolve(setDefaultAutoSelectFamily(before)));
  const rules = { allowAddresses: ['127.0.0.1'] };
  const url = `http://hook.example:${port}/`;
  expect(await post(url, rules, answersOf('127.0.0.1', '10.0.0.1'))).toMatchObject(REFUSED);
  expect(await post(url, rules, answersOf('127.0.0.1', PUBLIC))).toMatchObject({ ok: true });
});

test('nothing is sent to a name without addresses', async () => {
  expect(await post('http://hook.example/', {}, answersOf())).toMatchObject(REFUSED);
});

test.each([
  ['http:', 80],
  ['https:', 443],
])('%s uses port %i when the URL names none', async (protocol, port) => {
  const policy = new NetworkPolicy({ ...OPEN, allowAddresses: ['127.0.0.0/8'] });
  const connect = createGuardedConnector({ policy, timeoutMs: 3000 });
  const to = { protocol, hostname: '127.9.9.9', port: '' };
  expect(await new Promise((resolve) => connect(to, (...[failure]) => resolve(failure)))).toMatchObject({ port });
});

test('[S8] the worker checks again the address that a socket really connected to, and closes a forbidden one', async () => {
  const server = await startRawServer((socket) => socket.end());
  const policy = new NetworkPolicy({ ...OPEN, allowAddresses: ['127.0.0.1'] });
  // A lenient check of looked-up addresses, as if something behind them led elsewhere.
  const judged: string[] = [];
  policy.allowsAddress = (address) => judged.push(address) === 1;
  const poster = aPoster({ policy, lookUp: answersOf('127.0.0.1') });
  expect(await attemptOf(poster, `http://hook.example:${server.url.port}/`, [], '{}')).toMatchObject(REFUSED);
  expect(judged).toEqual(['127.0.0.1', '127.0.0.1']);
  await closing(server.connections);
});

test('[S46] nothing is sent to our own places, by whatever name or address, nor through a proxy; beside them it is', async () => {
  const [ours, theirs] = [await aReceiver(), await aReceiver()];
  const proxy = await startProxy();
  const own = new OwnPlaces([new URL(ours.url).host]);
  for (const through of [undefined, proxy.url]) {
    const rules = { ...OPEN, allowAddresses: ['127.0.0.0/8', '::1'], proxy: through };
    const poster = aPoster({ policy: new NetworkPolicy(rules, own), lookUp: answersOf('127.0.0.1') });
    for (const host of ['127.0.0.1', 'localhost', 'hook.example', '[::ffff:7f00:1]', '0.0.0.0']) {
      const url = `http://${host}:${new URL(ours.url).port}/`;
      expect([host, await attemptOf(poster, url, [], '{}')]).toMatchObject([host, REFUSED]);
    }
    expect(await attemptOf(poster, `http://hook.example:${new URL(theirs.url).port}/`, [], '{}')).toMatchObject({
      ok: true,
    });
  }
  expect(ours.ledger.entries).toEqual([]);
});

test('[S24] a refusal does not say what the name resolves to', async () => {
  const attempt = await post('http://hook.example/', {}, answersOf('10.9.8.7'));
  expect(JSON.stringify(attempt)).not.toContain('10.9.8.7');
});

test('[S11] with a proxy, names are still looked up and checked here, and the proxy is given the address', async () => {
  const receiver = await aReceiver();
  const { port } = new URL(receiver.url);
  const proxy = await startProxy();
  expect(await post(`http://hook.example:${port}/`, { proxy: proxy.url }, answersOf('127.0.0.1'))).toMatchObject(
    REFUSED,
  );
  expect(await post(`http://127.0.0.1:${port}/`, { proxy: proxy.url })).toMatchObject(REFUSED);
  expect(proxy.asked).toEqual([]);
  const rules = { proxy: proxy.url, allowAddresses: ['127.0.0.1'] };
  expect(await post(`http://hook.example:${port}/`, rules, answersOf('127.0.0.1'))).toMatchObject({ ok: true });
  expect(proxy.asked).toEqual([`127.0.0.1:${port}`]);
  expect(proxy.credentials).toEqual([`Basic ${Buffer.from('user:p@ss').toString('base64')}`]);
  expect(receiver.ledger.entries).toHaveLength(1);
});

test('when a proxy cannot reach the host, the endpoint is at fault, not we', async () => {
  const proxy = await startProxy({ way: 'cannot reach' });
  const attempt = await post('http://8.8.8.8/', { proxy: proxy.url });
  expect(attempt).toMatchObject({ ok: false, code: 'PROXY_UNREACHED_HOST' });
  expect(judge({ code: 'PROXY_UNREACHED_HOST' })).toBe('transient');
});

test('[S11] a proxy is given an IPv6 address in brackets', async () => {
  const proxy = await startProxy({ way: 'refuses' });
  await post('https://[2606:4700::1111]/', { proxy: proxy.url });
  expect(proxy.asked).toEqual(['[2606:4700::1111]:443']);
});

test.each(['403 Forbidden', '407 Proxy Authentication Required', '103 Early Hints', '301 Moved'])(
  'the connection to a proxy that answers %s is closed',
  async (status) => {
    const proxy = await startRawServer((socket) => socket.write(`HTTP/1.1 ${status}\r\ncontent-length: 9\r\n\r\n`));
    const attempt = await post('http://8.8.8.8/', { proxy: proxy.url.href });
    expect(attempt).toMatchObject({ ok: false, code: 'PROXY_FAILED' });
    await closing(proxy.connections);
  },
);

test('when a proxy opens no tunnel or cannot be reached, we are at fault, not the endpoint', async () => {
  const proxy = await startProxy({ way: 'refuses' });
  const failed = { ok: false, code: 'PROXY_FAILED' };
  expect(await post('http://8.8.8.8/', { proxy: proxy.url })).toMatchObject(failed);
  expect(await post('http://8.8.8.8/', { proxy: 'http://127.0.0.1:1' })).toMatchObject(failed);
});

/** The outcomes of posts that are made one after another, each from within the callback of the one before, as slices do. */
function postInARow(poster: Poster, url: string, count: number): Promise<HttpAttempt[]> {
  return new Promise((resolve) => {
    const attempts: HttpAttempt[] = [];
    const next = (): void =>
      poster.post(new URL(url), { headers: [], body: '{}' }, 3000, (attempt) => {
        if (attempts.push(attempt) < count) next();
        else resolve(attempts);
      });
    next();
  });
}

test.each<[string, string, Partial<NetworkRules>, string]>([
  ['a forbidden address', 'http://10.0.0.1/', {}, 'ADDRESS_REFUSED'],
  ['plain http', 'http://example.com/', { allowHttp: false }, 'ADDRESS_REFUSED'],
  ['a forbidden port', 'https://example.com:22/', { allowPorts: ['443'] }, 'ADDRESS_REFUSED'],
  ['a private name', 'https://crm.internal/', {}, 'ADDRESS_REFUSED'],
  ['a name that leads inside', 'http://hook.example/', {}, 'ADDRESS_REFUSED'],
  ['a proxy that is not there', 'http://8.8.8.8/', { proxy: 'http://127.0.0.1:1' }, 'PROXY_FAILED'],
  ['the same name behind a proxy', 'http://hook.example/', { proxy: 'http://127.0.0.1:1' }, 'ADDRESS_REFUSED'],
])(
  '[S1] many refused posts in a row each keep the code of our rule, and none blames the endpoint: %s',
  async (_, url, rules, code) => {
    const policy = new NetworkPolicy({ ...OPEN, ...rules });
    const poster = aPoster({ policy, lookUp: answersOf('10.0.0.1') });
    const attempts = await postInARow(poster, url, 200);
    const codes = new Set(attempts.map((attempt) => (attempt.ok ? 'delivered' : attempt.code)));
    expect([...codes]).toEqual([code]);
    expect(judge({ code })).toBe('worker-fault');
  },
);

test.each<[string, Partial<NetworkRules>]>([
  ['10.0.0.1', {}],
  ['hook.example', {}],
  ['hook.example', { proxy: 'http://127.0.0.1:1' }],
])('a refused connection to %s fails only after the call that asked for it: %j', async (hostname, rules) => {
  const policy = new NetworkPolicy({ ...OPEN, ...rules });
  const connect = createGuardedConnector({ policy, timeoutMs: 3000, lookUp: answersOf('10.0.0.1') });
  let isOver = false;
  const failed = new Promise((resolve) =>
    connect({ protocol: 'http:', hostname, port: '80' }, (...[error]) => resolve({ error, isOver })),
  );
  isOver = true;
  expect(await failed).toMatchObject({ error: { code: 'ADDRESS_REFUSED' }, isOver: true });
});

test('a failed attempt ends after the call that began it, so many in a row do not fill the stack', async () => {
  const poster = aPoster({ policy: new NetworkPolicy(OPEN) });
  await poster.close();
  let isOver = false;
  const ended = new Promise<boolean>((resolve) =>
    poster.post(new URL('http://10.0.0.1/'), { headers: [], body: '{}' }, 3000, () => resolve(isOver)),
  );
  isOver = true;
  expect(await ended).toBe(true);
});

test('a name with one forbidden address among thousands is refused, wherever that address is in the list', async () => {
  const all = Array.from({ length: 100 }, (_, i) => `127.1.0.${i}`);
  const lookUp = answersOf(...all, '10.0.0.1');
  expect(await post('http://hook.example/', { allowAddresses: ['127.0.0.0/8'] }, lookUp)).toMatchObject(REFUSED);
});
