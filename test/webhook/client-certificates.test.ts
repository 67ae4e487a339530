import { createServer } from 'node:https';
import { connect, createServer as createRelay } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { authorizationSchema } from '../../src/config/authorization-config.ts';
import { createPoster } from '../../src/webhook/attempt.ts';
import { Authorizations } from '../../src/webhook/authorizations.ts';
import { GuardedAgents } from '../../src/webhook/guarded-agents.ts';
import { NetworkPolicy } from '../../src/webhook/network-policy.ts';
import type { ClientIdentity } from '../../src/webhook/tls.ts';
import { makeCertificateAuthority } from './a-certificate-authority.ts';
import { afterwards, listen } from './a-server.ts';
import { authorizationsOf, configured } from './an-authorization.ts';

const OURS = makeCertificateAuthority('Ours');
const SERVER = OURS.issue({ names: ['127.0.0.1'] });
const ADA = OURS.issue({ names: ['ada.example'], isClient: true });
const GRACE = OURS.issue({ names: ['grace.example'], isClient: true });
const STRANGER = makeCertificateAuthority('Another').issue({ names: ['ada.example'], isClient: true });

const POLICY = new NetworkPolicy({
  allowHttp: false,
  allowAddresses: ['127.0.0.1'],
  allowPorts: ['1-65535'],
  certificateAuthorities: [OURS.certificate],
});

/** An endpoint that rejects clients without a certificate of its authority; and who connected, in order. */
async function startEndpoint() {
  const came: string[] = [];
  const connections = new Set<unknown>();
  const { certificate: cert, key } = SERVER;
  const server = createServer({ cert, key, ca: OURS.certificate, requestCert: true }, (request, response) => {
    const socket = request.socket as TLSSocket; // An https server has no others.
    connections.add(socket);
    came.push(String(socket.getPeerCertificate().subject?.CN));
    request.resume().on('end', () => response.end());
  });
  const port = await listen(server);
  afterwards(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  });
  return { came, connections, url: new URL(`https://127.0.0.1:${port}/`) };
}

function aPoster() {
  const poster = createPoster({ timeoutMs: 5000, policy: POLICY });
  afterwards(() => poster.close());
  return (url: URL, identity?: ClientIdentity) =>
    new Promise((resolve) => poster.post(url, { headers: [], identity, body: '{}' }, 5000, resolve));
}

/** The identity of a worker that was configured with this certificate. */
async function identityOf(clientCertificate: { certificate: string; key: string }, url: URL) {
  const found = await authorizationsOf({ mtls: { origins: [url.origin], clientCertificate } }).lookUp('mtls', url);
  return found.ok ? found.authorization.identity : undefined;
}

test('an endpoint that requires a certificate is presented that of the authorization', async () => {
  const { came, url } = await startEndpoint();
  const post = aPoster();
  expect(await post(url, await identityOf(ADA, url))).toMatchObject({ ok: true });
  expect(came).toEqual(['ada.example']);
});

test('it rejects clients without a certificate, or with one of another authority', async () => {
  const { came, url } = await startEndpoint();
  const post = aPoster();
  expect(await post(url)).toMatchObject({ ok: false, code: expect.any(String) });
  expect(await post(url, await identityOf(STRANGER, url))).toMatchObject({ ok: false, code: expect.any(String) });
  expect(came).toEqual([]);
});

test('the token endpoint is presented it too', async () => {
  const { came, url } = await startEndpoint();
  const agents = new GuardedAgents({ timeoutMs: 5000, policy: POLICY });
  afterwards(() => agents.close());
  const oauth2 = { tokenUrl: url.href, clientId: 'me', clientSecret: 's3cret' };
  const config = configured({ mtls: { origins: [url.origin], clientCertificate: ADA, oauth2 } });
  // The endpoint accepts the connection, but issues no token.
  expect(await new Authorizations(config, agents).lookUp('mtls', url)).toMatchObject({
    reason: expect.stringMatching(/^INVALID_TOKEN: /),
  });
  expect(came).toEqual(['ada.example']);
});

test('a TLS alert on an open connection becomes the outcome of the request, instead of a closed connection', async () => {
  const { url } = await startEndpoint();
  // Once the connection is set up, nothing more is passed on, and the client is sent something that is not TLS.
  const relay = createRelay((client) => {
    const server = connect(Number(url.port), '127.0.0.1');
    server.pipe(client, { end: false });
    server.on('error', () => undefined);
    client
      .on('error', () => undefined)
      .once('data', (hello) => {
        server.write(hello);
        client.once('data', () => {
          server.destroy();
          client.end('HTTP/1.1 400 Bad Request\r\n\r\n');
        });
      });
  });
  const port = await listen(relay);
  afterwards(async () => {
    await new Promise((resolve) => relay.close(resolve));
  });
  const attempt = await aPoster()(new URL(`https://127.0.0.1:${port}/`), ADA);
  expect(attempt).toMatchObject({ ok: false, code: expect.stringMatching(/^ERR_SSL_/) });
});

test('[S17] a connection that presented one certificate is never used for another', async () => {
  const { came, connections, url } = await startEndpoint();
  const post = aPoster();
  const [ada, grace] = [await identityOf(ADA, url), await identityOf(GRACE, url)];
  for (const identity of [ada, grace, ada, grace]) await post(url, identity);
  expect(came).toEqual(['ada.example', 'grace.example', 'ada.example', 'grace.example']);
  expect(connections.size).toBe(2);
});

test('a certificate that was not used for ten minutes is dropped when another one comes; one in use keeps its connections', () => {
  let nowMs = 0;
  const agents = new GuardedAgents({ timeoutMs: 5000, policy: POLICY, nowMs: () => nowMs });
  afterwards(() => agents.close());
  const [old, used] = [agents.of(ADA), agents.of(GRACE)];
  nowMs += 9 * 60_000;
  expect(agents.of(GRACE)).toBe(used);
  nowMs += 60_000;
  agents.of(STRANGER);
  expect([old.closed, used.closed]).toEqual([true, false]);
  expect(agents.of(GRACE)).toBe(used);
  expect(agents.of(ADA)).not.toBe(old);
});

test('a certificate and a key that do not belong together are refused in the configuration', () => {
  const { success, error } = authorizationSchema.safeParse({
    origins: ['https://a.example'],
    clientCertificate: { certificate: ADA.certificate, key: GRACE.key },
  });
  expect(success).toBe(false);
  expect(error && z.prettifyError(error)).toMatch(/do not belong together/);
});
