import { expect, test } from '@jest/globals';
import { judge } from '../../src/domain/verdict.ts';
import { createPoster } from '../../src/webhook/attempt.ts';
import { NetworkPolicy } from '../../src/webhook/network-policy.ts';
import { makeCertificateAuthority } from './a-certificate-authority.ts';
import { startProxy } from './a-proxy.ts';
import { afterwards, closing, startRawServer } from './a-server.ts';
import { startTlsFlooder } from './a-tls-flooder.ts';
import { attemptOf } from './an-attempt.ts';

const OURS = makeCertificateAuthority('Ours');
const GOOD = OURS.issue({ names: ['127.0.0.1'] });
const PATIENT_MS = 20_000;
/** A mebibyte, what arrives before the connection is measured, and what is in buffers on the way. */
const MOST_TAKEN = 512 * 1024 * 1024;

function aPoster(proxy?: string) {
  const policy = new NetworkPolicy({
    allowHttp: false,
    allowAddresses: ['127.0.0.1'],
    allowPorts: ['1-65535'],
    certificateAuthorities: [OURS.certificate],
    proxy,
  });
  const poster = createPoster({ timeoutMs: PATIENT_MS, policy });
  afterwards(() => poster.close());
  return poster;
}

const KEPT = 'HTTP/1.1 200 OK\r\nkeep-alive: timeout=600\r\ncontent-length: 0\r\n\r\n';
const TOO_LONG = { ok: false, code: 'ANSWER_TOO_LONG' };

test.each(['session tickets', 'padding around a line feed'] as const)(
  '[S15] endless %s, which nothing reads: the connection is closed long before the deadline',
  async (what) => {
    const server = await startTlsFlooder(GOOD, { what });
    const attempt = await attemptOf(aPoster(), server.url, [], '{}');
    expect(attempt).toMatchObject(TOO_LONG);
    expect(attempt.ok ? '' : judge(attempt)).toBe('transient');
    expect(attempt.durationMs).toBeLessThan(PATIENT_MS / 2);
    expect(server.taken()).toBeLessThan(MOST_TAKEN);
  },
);

test('[S15] the same holds for a connection through a proxy', async () => {
  const server = await startTlsFlooder(GOOD, { what: 'session tickets' });
  const proxy = await startProxy();
  expect(await attemptOf(aPoster(proxy.url), server.url, [], '{}')).toMatchObject(TOO_LONG);
});

test('[S15] the same holds for a kept connection without a request in flight', async () => {
  const server = await startTlsFlooder(GOOD, { what: 'session tickets', answer: KEPT });
  expect(await attemptOf(aPoster(), server.url, [], '{}')).toMatchObject({ ok: true, status: 200 });
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
  const attempt = await attemptOf(aPoster(), new URL(`https://127.0.0.1:${url.port}/`), [], '{}');
  expect(attempt).toMatchObject(TOO_LONG);
  expect(attempt.durationMs).toBeLessThan(PATIENT_MS / 2);
});

test('a connection on which TLS fails is closed: its request does not wait for the deadline, and no other is sent over it', async () => {
  const broken = { what: 'records that cannot be opened', times: 1 } as const;
  const poster = aPoster();
  const asking = await startTlsFlooder(GOOD, broken);
  const attempt = await attemptOf(poster, asking.url, [], '{}');
  expect(attempt).toMatchObject({ ok: false, code: expect.stringMatching(/^ERR_SSL_/) });
  expect(attempt.durationMs).toBeLessThan(PATIENT_MS / 2);
  const idle = await startTlsFlooder(GOOD, { ...broken, answer: KEPT });
  expect(await attemptOf(poster, idle.url, [], '{}')).toMatchObject({ ok: true });
  await closing(idle.sockets);
});
