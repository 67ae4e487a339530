import { createServer } from 'node:https';
import { connect, createServer as createRelay } from 'node:net';
import { rootCertificates, type TLSSocket } from 'node:tls';
import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { authorizationSchema } from '../../src/authorizations/authorization-config.ts';
import { ConfiguredAuthorizations } from '../../src/authorizations/authorizations.ts';
import { GuardedAgents } from '../../src/network/guarded-agents.ts';
import { NetworkPolicy } from '../../src/network/network-policy.ts';
import { areCertificates, trustedAuthorities } from '../../src/network/tls.ts';
import type { ClientIdentity } from '../../src/webhook/authorization.ts';
import { makeCertificateAuthority } from '../webhook/a-certificate-authority.ts';
import { afterwards, closing, serve, startRawServer } from '../webhook/a-server.ts';
import { authorizationsOf, configured } from '../webhook/an-authorization.ts';
import { judge } from '../../src/domain/verdict.ts';
import { startProxy } from '../webhook/a-proxy.ts';
import { startTlsFlooder } from '../webhook/a-tls-flooder.ts';
import { aPoster, attemptOf, PATIENT_MS } from '../webhook/an-attempt.ts';

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
  const { port } = await serve(server);
  return { came, connections, url: new URL(`https://127.0.0.1:${port}/`) };
}

function posting() {
  const poster = aPoster({ timeoutMs: 5000, policy: POLICY });
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
  const post = posting();
  expect(await post(url, await identityOf(ADA, url))).toMatchObject({ ok: true });
  expect(came).toEqual(['ada.example']);
});

test('it rejects clients without a certificate, or with one of another authority', async () => {
  const { came, url } = await startEndpoint();
  const post = posting();
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
  expect(await new ConfiguredAuthorizations(config, agents).lookUp('mtls', url)).toMatchObject({
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
  const { port } = await serve(relay);
  const attempt = await posting()(new URL(`https://127.0.0.1:${port}/`), ADA);
  expect(attempt).toMatchObject({ ok: false, code: expect.stringMatching(/^ERR_SSL_/) });
});

test('[S17] a connection that presented one certificate is never used for another', async () => {
  const { came, connections, url } = await startEndpoint();
  const post = posting();
  const [ada, grace] = [await identityOf(ADA, url), await identityOf(GRACE, url)];
  for (const identity of [ada, grace, ada, grace]) await post(url, identity);
  expect(came).toEqual(['ada.example', 'grace.example', 'ada.example', 'grace.example']);
  expect(connections.size).toBe(2);
});

test('a new certificate evicts one unused for ten minutes, while one in use keeps its connections', () => {
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

const GOOD = OURS.issue({ names: ['127.0.0.1'] });
/** A mebibyte, what arrives before the connection is measured, and what is in buffers on the way. */
const MOST_TAKEN = 512 * 1024 * 1024;

function aFloodedPoster(proxy?: string) {
  const policy = new NetworkPolicy({
    allowHttp: false,
    allowAddresses: ['127.0.0.1'],
    allowPorts: ['1-65535'],
    certificateAuthorities: [OURS.certificate],
    proxy,
  });
  return aPoster({ policy });
}

const KEPT = 'HTTP/1.1 200 OK\r\nkeep-alive: timeout=600\r\ncontent-length: 0\r\n\r\n';
const TOO_LONG = { ok: false, code: 'ANSWER_TOO_LONG' };

test.each(['session tickets', 'padding around a line feed'] as const)(
  '[S15] endless %s, which nothing reads: the connection is closed long before the deadline',
  async (what) => {
    const server = await startTlsFlooder(GOOD, { what });
    const attempt = await attemptOf(aFloodedPoster(), server.url, [], '{}');
    expect(attempt).toMatchObject(TOO_LONG);
    expect(attempt.ok ? '' : judge(attempt)).toBe('transient');
    expect(attempt.durationMs).toBeLessThan(PATIENT_MS / 2);
    expect(server.taken()).toBeLessThan(MOST_TAKEN);
  },
);

test('[S15] the same holds for a connection through a proxy', async () => {
  const server = await startTlsFlooder(GOOD, { what: 'session tickets' });
  const proxy = await startProxy();
  expect(await attemptOf(aFloodedPoster(proxy.url), server.url, [], '{}')).toMatchObject(TOO_LONG);
});

test('[S15] the same holds for a kept connection without a request in flight', async () => {
  const server = await startTlsFlooder(GOOD, { what: 'session tickets', answer: KEPT });
  expect(await attemptOf(aFloodedPoster(), server.url, [], '{}')).toMatchObject({ ok: true, status: 200 });
  await closing(server.sockets);
});

test('[S15] the same holds for a connection on which the TLS handshake never ends', async () => {
  // HelloRequest (RFC 5246, 7.4.1.1), four zeros each: a client ignores it during a handshake.
  const hellos = Buffer.concat([Buffer.from([22, 3, 3, 0x40, 0]), Buffer.alloc(0x4000)]);
  const { url } = await startRawServer((socket) => {
    const more = (): void => {
      while (!socket.destroyed && socket.write(hellos));
    };
    socket.on('drain', more);
    more();
  });
  const attempt = await attemptOf(aFloodedPoster(), new URL(`https://127.0.0.1:${url.port}/`), [], '{}');
  expect(attempt).toMatchObject(TOO_LONG);
  expect(attempt.durationMs).toBeLessThan(PATIENT_MS / 2);
});

test('a connection whose TLS fails is closed: its request ends before the deadline, and no other uses it', async () => {
  const broken = { what: 'records that cannot be opened', times: 1 } as const;
  const poster = aFloodedPoster();
  const asking = await startTlsFlooder(GOOD, broken);
  const attempt = await attemptOf(poster, asking.url, [], '{}');
  expect(attempt).toMatchObject({ ok: false, code: expect.stringMatching(/^ERR_SSL_/) });
  expect(attempt.durationMs).toBeLessThan(PATIENT_MS / 2);
  const idle = await startTlsFlooder(GOOD, { ...broken, answer: KEPT });
  expect(await attemptOf(poster, idle.url, [], '{}')).toMatchObject({ ok: true });
  await closing(idle.sockets);
});
