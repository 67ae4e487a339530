import { request } from 'node:http';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterAll, expect, test } from '@jest/globals';
import { fromWire, startCodecServer, toWire } from '../../src/temporal/codec-server.ts';
import { EncryptingCodec, readPayloadKeys } from '../../src/temporal/encrypting-codec.ts';
import { payloadConverter } from '../../src/temporal/payload-converter.ts';
import { aPayloadKey } from './a-payload-key.ts';
import { afterwards } from '../webhook/a-server.ts';

const TOKEN = 'a-token-of-the-test';
const UI = 'http://localhost:8233';
const KEY = aPayloadKey('k1');
const codec = new EncryptingCodec(readPayloadKeys([KEY]));

const server = await startCodecServer({
  codecs: [codec],
  token: TOKEN,
  uiOrigins: [UI],
  allowHosts: ['codec.example.com'],
  host: '127.0.0.1',
  port: 0,
});
afterAll(() => server.close());

interface Asked {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Not by fetch, which lets nobody choose these headers. */
async function ask({ method = 'POST', path = '/decode', headers = {}, body = '{"payloads":[]}' }: Asked) {
  return await new Promise<{ status: number | undefined; headers: NodeJS.Dict<string | string[]>; body: string }>(
    (resolve, reject) => {
      const asked = request(`${server.url}${path}`, { method, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: text }));
      });
      asked.on('error', reject);
      asked.end(body);
    },
  );
}

const authorization = `Bearer ${TOKEN}`;
const port = () => new URL(server.url).port;
const VALUE = { user: '7076027172059065053' };

async function body(...values: unknown[]): Promise<string> {
  return JSON.stringify(toWire(await codec.encode(values.map((value) => payloadConverter.toPayload(value)))));
}

const valuesIn = (text: string) => fromWire(text)?.map((payload) => payloadConverter.fromPayload<unknown>(payload));

test('the UI of the named origin has payloads decoded, with the token in the path of its codec endpoint', async () => {
  const headers = { origin: UI, 'content-type': 'application/json', 'x-namespace': 'default' };
  const answer = await ask({ path: `/${TOKEN}/decode`, headers, body: await body(VALUE, 'two') });
  expect(answer).toMatchObject({
    status: 200,
    headers: { 'access-control-allow-origin': UI, 'content-type': 'application/json', 'cache-control': 'no-store' },
  });
  expect(valuesIn(answer.body)).toEqual([VALUE, 'two']);
});

test('the temporal command line has payloads decoded and encoded, with the token as a bearer', async () => {
  const decoded = await ask({ headers: { authorization }, body: await body(VALUE) });
  expect(valuesIn(decoded.body)).toEqual([VALUE]);
  const encoded = await ask({ path: '/encode', headers: { authorization }, body: decoded.body });
  expect(encoded.body).not.toContain(JSON.parse(decoded.body).payloads[0].data);
  expect(valuesIn((await ask({ headers: { authorization }, body: encoded.body })).body)).toEqual([VALUE]);
});

test('the server answers only by the name of the proxy in front of it, and still needs the token', async () => {
  const by = async (host: string, token: string) =>
    (await ask({ headers: { host, authorization: `Bearer ${token}` } })).status;
  expect([await by('codec.example.com', TOKEN), await by('CODEC.example.com:443', TOKEN)]).toEqual([200, 200]);
  expect(await by('codec.example.com', 'another-token-of-theirs')).toBe(401);
  expect([await by('a.codec.example.com', TOKEN), await by('codec.example.com.evil.example', TOKEN)]).toEqual([
    403, 403,
  ]);
});

test('the health check needs no name and no token, and says nothing else', async () => {
  const headers = { host: '10.1.2.3:8081' };
  for (const path of ['/healthz', '/readyz'])
    expect(await ask({ method: 'GET', path, headers, body: '' })).toMatchObject({ status: 200, body: '{"ok":true}\n' });
  expect((await ask({ path: '/healthz', headers })).status).toBe(403);
  expect((await ask({ method: 'GET', path: '/healthz/decode', headers, body: '' })).status).toBe(403);
});

test('the server answers a request without payloads with none, as protobuf writes them', async () => {
  expect(await ask({ headers: { authorization }, body: '{}' })).toMatchObject({ status: 200, body: '{"payloads":[]}' });
});

test('payloads that are not ours, or whose key is missing, come back as they are beside the others', async () => {
  const plain = toWire([payloadConverter.toPayload('plain')]).payloads;
  const other = new EncryptingCodec(readPayloadKeys([aPayloadKey('k2')]));
  const unknown = toWire(await other.encode([payloadConverter.toPayload(VALUE)])).payloads;
  const ours = (JSON.parse(await body(VALUE)) as { payloads: object[] }).payloads;
  const text = JSON.stringify({ payloads: [...plain, ...unknown, ...ours] });
  const { status, body: answer } = await ask({ headers: { authorization }, body: text });
  const { payloads } = JSON.parse(answer) as { payloads: object[] };
  expect(status).toBe(200);
  expect(payloads.slice(0, 2)).toEqual([...plain, ...unknown]);
  expect(valuesIn(answer)?.[2]).toEqual(VALUE);
});

test('a preflight of the UI is allowed its headers and its credentials', async () => {
  const headers = {
    origin: UI,
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'x-namespace',
  };
  expect(await ask({ method: 'OPTIONS', headers, body: '' })).toMatchObject({
    status: 204,
    headers: {
      'access-control-allow-origin': UI,
      'access-control-allow-credentials': 'true',
      'access-control-allow-headers': 'authorization, content-type, x-namespace',
      'access-control-allow-methods': 'POST',
      vary: 'origin',
    },
  });
});

test.each(['http://localhost:8234', 'https://localhost:8233', 'http://evil.example.com', 'null', `${UI}.example.com`])(
  'a page of %s gets nothing, with the token or without',
  async (origin) => {
    for (const asked of [
      { headers: { origin, authorization } },
      { path: `/${TOKEN}/decode`, headers: { origin } },
      { method: 'OPTIONS', headers: { origin } },
    ]) {
      const { status, headers, body } = await ask(asked);
      expect(status).toBe(403);
      expect(headers).not.toHaveProperty('access-control-allow-origin');
      expect(body).not.toContain('payloads');
    }
  },
);

test.each<[what: string, asked: Asked]>([
  ['no token', {}],
  ['another token', { headers: { authorization: 'Bearer another-token-of-a-test' } }],
  ['a part of the token', { headers: { authorization: authorization.slice(0, -1) } }],
  ['the token in another way', { headers: { authorization: `Basic ${TOKEN}` } }],
  ['another token in the path', { path: '/another-token-of-a-test/decode' }],
  ['the token at another place of the path', { path: `/decode/${TOKEN}/decode` }],
  ['the token as a query', { path: `/decode?${TOKEN}` }],
  ['the token as the whole path', { path: `/${TOKEN}` }],
])('%s is refused', async (_, asked) => {
  const answer = await ask({ ...asked, body: await body(VALUE) });
  expect(answer.status).toBe(401);
  expect(answer.body).not.toContain(TOKEN);
});

test.each(['evil.example.com', 'evil.example.com:8081', 'localhost.example.com', '127.0.0.1.nip.example.com'])(
  'asked by the name "%s", which somebody turned to this address, it refuses',
  async (host) => {
    expect((await ask({ headers: { host, authorization } })).status).toBe(403);
  },
);

const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ family }) => family === 'IPv6'));

(hasIpv6 ? test : test.skip)(
  'an IPv6 address that it listens on may be asked for, however the option spells it',
  async () => {
    const host = '0:0:0:0:0:ffff:127.0.0.1';
    const ipv6 = await startCodecServer({
      codecs: [codec],
      token: TOKEN,
      uiOrigins: [UI],
      allowHosts: [],
      host,
      port: 0,
    });
    afterwards(() => ipv6.close());
    expect(new URL(ipv6.url).hostname).toBe('[::ffff:7f00:1]');
    const sent = { method: 'POST', headers: { authorization }, body: await body(VALUE) };
    expect((await fetch(`${ipv6.url}/decode`, sent)).status).toBe(200);
  },
);

test.each(['localhost', 'LOCALHOST:8081', '127.0.0.1:1', '[::1]:8081'])(
  'asked by the name %s it answers',
  async (host) => {
    expect((await ask({ headers: { host, authorization } })).status).toBe(200);
  },
);

test.each<[what: string, status: number, asked: Asked]>([
  ['another path', 404, { path: '/metrics' }],
  ['another method', 405, { method: 'GET', body: '' }],
  ['no JSON', 400, { body: '{"payloads":' }],
  ['no object', 400, { body: '[]' }],
  ['a payload that is none', 400, { body: '{"payloads":[7]}' }],
  ['data that is no base64', 400, { body: '{"payloads":[{"data":"{}"}]}' }],
])('%s is %i', async (_, status, asked) => {
  expect((await ask({ headers: { authorization }, ...asked })).status).toBe(status);
});

test('a body of more than 64 MiB is not read to its end', async () => {
  const head = `POST /decode HTTP/1.1\r\nhost: localhost\r\nauthorization: ${authorization}\r\ncontent-length: 999999999\r\n\r\n`;
  const socket = connect(Number(port()), '127.0.0.1');
  const said = new Promise<string>((resolve) => socket.once('data', (chunk) => resolve(chunk.toString())));
  socket.on('error', () => undefined); // It hangs up while we still send.
  socket.write(head);
  const block = Buffer.alloc(1024 * 1024, 'x');
  for (let sent = 0; sent < 66; sent++) await new Promise((resolve) => socket.write(block, resolve));
  expect(await said).toMatch(/^HTTP\/1\.1 413 /);
  socket.destroy();
});
