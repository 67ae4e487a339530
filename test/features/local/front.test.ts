import { once } from 'node:events';
import { createServer, type IncomingMessage, request as httpRequest, type Server } from 'node:http';
import { type AddressInfo, createServer as createNetServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type Front, openFront } from '../../../src/features/local/temporal-server.ts';
import { freePorts } from '../../../src/network/free-ports.ts';

let behind: Server;
let seen: string[];
let front: Front;

const portOf = (server: Server): number => (server.address() as AddressInfo).port; // It listens on a port.

beforeEach(async () => {
  seen = [];
  behind = createServer((request, response) => {
    void text(request).then((body) => {
      seen.push(`${request.method} ${request.url} ${request.headers.host} ${body}`);
      response.writeHead(201, { 'set-cookie': ['a=1', 'b=2'] }).end('taken');
    });
  });
  await once(behind.listen(0, '127.0.0.1'), 'listening');
  front = await openFront({ port: 0, to: { host: '127.0.0.1', port: portOf(behind) }, name: 'secret.invalid' });
});
afterEach(async () => {
  await front.close();
  behind.closeAllConnections();
  behind.close();
});

/** With any header, as a program can, and as a browser does that is led here. */
async function ask(headers: Record<string, string> = {}, method = 'POST') {
  const asking = httpRequest(`${front.url}/api?x=1`, { method, headers });
  asking.end(method === 'POST' ? 'body' : undefined);
  const [answer] = (await once(asking, 'response')) as [IncomingMessage]; // What a request emits.
  return { status: answer.statusCode, cookies: answer.headers['set-cookie'], body: await text(answer) };
}

test("the front passes a program's request on as it is, under the name that the server behind it knows", async () => {
  expect(await ask()).toEqual({ status: 201, cookies: ['a=1', 'b=2'], body: 'taken' });
  expect(seen).toEqual(['POST /api?x=1 secret.invalid body']);
});

test("the server's own page may ask, and a link of another page may lead to it", async () => {
  expect(await ask({ origin: front.url, 'sec-fetch-site': 'same-origin' })).toMatchObject({ status: 201 });
  const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
  expect(await ask(link, 'GET')).toMatchObject({ status: 201 });
});

test.each([
  ['a page of another site', { 'sec-fetch-site': 'cross-site' }],
  ['a page of another port', { 'sec-fetch-site': 'same-site' }],
  ['a page of another origin, in an older browser', { origin: 'https://evil.example' }],
  ['a page without an origin', { origin: 'null' }],
  ['a page whose name was turned to this machine', { host: 'evil.example', 'sec-fetch-site': 'same-origin' }],
  [
    'a form of another page',
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
  ],
  ['whom a proxy passes on', { 'x-forwarded-for': '203.0.113.7' }],
])('[S45] nothing goes on that %s asks', async (_, headers) => {
  expect(await ask(headers)).toMatchObject({ status: 403 });
  expect(seen).toEqual([]);
});

test('the front says when the server behind it is gone', async () => {
  behind.closeAllConnections();
  await once(behind.close(), 'close');
  expect(await ask()).toMatchObject({ status: 502 });
});

test('ports differ, are small enough and can be listened to', async () => {
  const ports = await freePorts(5, 20_000);
  expect(new Set(ports).size).toBe(5);
  expect(Math.max(...ports)).toBeLessThanOrEqual(20_000);
  const servers = ports.map((port) => createNetServer().listen(port, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
});
