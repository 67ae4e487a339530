import { createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import { judge } from '../../src/domain/verdict.ts';
import { closing, serve, startRawServer } from './a-server.ts';
import { aPoster, attemptOf, IMPATIENT_MS, onThisMachine, PATIENT_MS, post, postToRaw } from './an-attempt.ts';
import { NetworkPolicy } from '../../src/network/network-policy.ts';
import { makeCertificateAuthority } from './a-certificate-authority.ts';
import { startProxy } from './a-proxy.ts';

/** Long enough for an answer to begin, also on a busy machine. */
const UNHURRIED_MS = 1_500;

/** Writes a piece again and again, as fast as it is accepted, until the connection is closed; returns how many bytes were accepted. */
function flood(socket: Socket, piece: string): () => number {
  const many = Buffer.from(piece.repeat(Math.ceil(16_384 / piece.length)), 'latin1');
  let taken = 0;
  const more = (): void => {
    while (!socket.destroyed && socket.write(many)) taken += many.length;
  };
  socket.on('drain', more);
  more();
  return () => taken;
}

/** Writes a piece every 10 ms, until the connection is closed. */
function drip(socket: Socket, piece: string): void {
  const timer = setInterval(() => socket.write(piece), 10);
  socket.once('close', () => clearInterval(timer));
}

const CHUNKED = 'transfer-encoding: chunked\r\n\r\n';
const MALFORMED = { ok: false, code: 'ANSWER_MALFORMED' };
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';
const NO_CONTENT = 'HTTP/1.1 204 No Content\r\n\r\n';

test.each<[string, string, object]>([
  ['no HTTP', 'SSH-2.0-OpenSSH\r\n\r\n', MALFORMED],
  ['a page without a head, as in HTTP/0.9', '<html>ok</html>', MALFORMED],
  ['HTTP/2', 'HTTP/2 200 OK\r\n\r\n', MALFORMED],
  ['nothing', '', { ok: false, code: 'UND_ERR_SOCKET' }],
  ['half a status line', 'HTTP/1.1 20', { ok: false }],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n', MALFORMED],
  ['a status below 100', 'HTTP/1.1 099 OK\r\n\r\n', MALFORMED],
  ['a status below 100 and a body', 'HTTP/1.1 000 OK\r\ncontent-length: 2\r\n\r\nok', MALFORMED],
  ['a status below 100, then 204', `HTTP/1.1 099 OK\r\n\r\n${NO_CONTENT}`, MALFORMED],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n', MALFORMED],
  ['a status that is no number', 'HTTP/1.1 OK\r\n\r\n', MALFORMED],
  ['a negative status', 'HTTP/1.1 -20 OK\r\n\r\n', MALFORMED],
  ['only 100', 'HTTP/1.1 100 Continue\r\n\r\n', { ok: false, code: 'UND_ERR_SOCKET' }],
  ['only 103', 'HTTP/1.1 103 Early Hints\r\n\r\n', { ok: false, code: 'UND_ERR_SOCKET' }],
  ['101', 'HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n', { ok: false, code: 'UND_ERR_SOCKET' }],
  ['200 and an upgrade', 'HTTP/1.1 200 OK\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n', { ok: true, status: 200 }],
  ['102 and 103, then 204', `HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\n\r\n${NO_CONTENT}`, { ok: true, status: 204 }],
  ['101 without an upgrade, then 204', `HTTP/1.1 101 Switching\r\n\r\n${NO_CONTENT}`, MALFORMED],
  ['100, then 101', `${CONTINUE}HTTP/1.1 101 Switching\r\n\r\n${NO_CONTENT}`, MALFORMED],
  ['200 and half a body', 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf', { ok: true, status: 200 }],
  ['500 and half a body', 'HTTP/1.1 500 No\r\ncontent-length: 100\r\n\r\nhalf', { ok: false, answer: 'half…' }],
  ['500 and more body than it says', 'HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nhalf', { ok: false, answer: 'ha' }],
  ['200 and a broken chunk', `HTTP/1.1 200 OK\r\n${CHUNKED}zz\r\n`, { ok: true, status: 200 }],
  ['a length and chunks', `HTTP/1.1 200 OK\r\ncontent-length: 3\r\n${CHUNKED}0\r\n\r\n`, MALFORMED],
  ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc', MALFORMED],
  ['a negative length', 'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n', MALFORMED],
  ['a head with a bare line feed', 'HTTP/1.1 200 OK\nx: y\n\n', MALFORMED],
  ['a header with a NUL', 'HTTP/1.1 200 OK\r\nx: \0\r\n\r\n', MALFORMED],
])('a server that answers %s', async (_, answer, attempt) => {
  const came = await postToRaw(answer);
  expect(came).toMatchObject(attempt);
  // Anything without a status may succeed the next time.
  if (!came.ok && came.status === undefined) expect(judge(came)).toBe('transient');
});

test.each([
  ['HTTP/1.1 200 OK', { ok: true, status: 200 }],
  ['HTTP/1.1 500 No', { ok: false, status: 500 }],
])(
  '[S14] a body that trickles for ever after "%s" ends at the deadline and does not change the outcome',
  async (head, attempt) => {
    const came = await postToRaw((socket) => {
      socket.write(`${head}\r\n${CHUNKED}`);
      drip(socket, '1\r\nx\r\n');
    }, UNHURRIED_MS);
    expect(came).toMatchObject(attempt);
    expect(came.durationMs).toBeGreaterThanOrEqual(UNHURRIED_MS);
    expect(came.durationMs).toBeLessThan(PATIENT_MS / 2);
  },
);

test.each([
  ['headers', 'HTTP/1.1 200 OK\r\n', 'x: y\r\n'],
  ['informational answers', '', 'HTTP/1.1 103 Early Hints\r\n\r\n'],
  ['a status line', 'HTTP/1.1 200 ', 'o'],
  ['empty lines', '', '\r\n'],
])('[S14] %s that trickle for ever end at the deadline', async (_, head, piece) => {
  const attempt = await postToRaw((socket) => {
    socket.write(head);
    drip(socket, piece);
  }, IMPATIENT_MS);
  expect(attempt).toMatchObject({ ok: false, code: 'REQUEST_TIMEOUT' });
  expect(attempt.durationMs).toBeLessThan(PATIENT_MS / 2);
});

test('[S14] a request to an endpoint that reads nothing ends at the deadline, and its connection is closed', async () => {
  const server = await startRawServer((socket) => socket.pause());
  const poster = aPoster({ timeoutMs: IMPATIENT_MS });
  const attempt = await attemptOf(poster, server.url, [], Buffer.alloc(64 * 1024 * 1024));
  expect(attempt).toMatchObject({ ok: false, code: 'REQUEST_TIMEOUT' });
  for (const socket of server.connections) socket.resume();
  await closing(server.connections);
});

test.each([200, 500])(
  '[S15] a body longer than 64 KiB after %i is not read further: the connection is closed',
  async (status) => {
    const server = await startRawServer((socket) =>
      socket.write(`HTTP/1.1 ${status} X\r\n${CHUNKED}10001\r\n${'x'.repeat(0x10001)}`),
    );
    const attempt = await post(server.url);
    expect(attempt).toMatchObject({ ok: status === 200, status });
    expect(attempt.durationMs).toBeLessThan(PATIENT_MS / 2);
    await closing(server.connections);
  },
);

test('[S16] a gzip bomb of 50 MB is inflated only up to its bound: a word takes its place', async () => {
  const bomb = gzipSync(Buffer.alloc(50 * 1024 * 1024));
  const before = process.memoryUsage();
  const attempt = await postToRaw((socket) => {
    socket.write(`HTTP/1.1 400 No\r\ncontent-encoding: gzip\r\ncontent-length: ${bomb.length}\r\n\r\n`);
    socket.end(bomb);
  });
  expect(attempt).toMatchObject({ ok: false, status: 400 });
  expect(attempt.ok ? '' : attempt.answer).toMatch(/cannot read/);
  expect(attempt.ok ? 0 : attempt.answer?.length).toBeLessThanOrEqual(200);
  expect(process.memoryUsage().arrayBuffers - before.arrayBuffers).toBeLessThan(10 * 1024 * 1024);
});

test.each([
  ['one header without end', 'HTTP/1.1 200 OK\r\nx: ', 'a'],
  ['a header name without end', 'HTTP/1.1 200 OK\r\n', 'a'],
  ['short headers without end', 'HTTP/1.1 200 OK\r\n', 'a:\r\n'],
])('[S17] %s: 16 KiB are read, then the connection is closed', async (_, head, piece) => {
  let taken = () => 0;
  const attempt = await postToRaw((socket) => {
    socket.write(head);
    taken = flood(socket, piece);
  });
  expect(attempt).toMatchObject({ ok: false, code: 'UND_ERR_HEADERS_OVERFLOW' });
  expect(taken()).toBeLessThan(20 * 1024 * 1024);
});

test('[S17] headers after the body are limited as well', async () => {
  let taken = () => 0;
  const attempt = await postToRaw((socket) => {
    socket.write(`HTTP/1.1 500 No\r\n${CHUNKED}0\r\n`);
    taken = flood(socket, 'a: b\r\n');
  });
  expect(attempt).toMatchObject({ ok: false, status: 500 });
  expect(taken()).toBeLessThan(20 * 1024 * 1024);
});

test.each([
  ['informational answers', '', 'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n', { code: 'ANSWER_TOO_LONG' }],
  ['102 Processing', '', 'HTTP/1.1 102 Processing\r\n\r\n', { code: 'ANSWER_TOO_LONG' }],
  // One that a packet cuts ends the connection before.
  ['100 Continue', '', CONTINUE, {}],
  ['a reason phrase', 'HTTP/1.1 200 ', 'ok', { code: 'ANSWER_TOO_LONG' }],
  ['empty lines before the answer', '', '\r\n', { code: 'ANSWER_TOO_LONG' }],
  ['a body', `HTTP/1.1 500 No\r\n${CHUNKED}`, `400\r\n${'x'.repeat(1024)}\r\n`, { status: 500 }],
  ['an extension of a chunk', `HTTP/1.1 500 No\r\n${CHUNKED}1;`, 'a', { status: 500 }],
  ['zeros of a chunk size', `HTTP/1.1 500 No\r\n${CHUNKED}`, '0', { status: 500 }],
])(
  '[S15] %s without end: the connection is closed after 1 MiB at most, long before the deadline',
  async (_, head, piece, code) => {
    let taken = () => 0;
    const attempt = await postToRaw((socket) => {
      socket.write(head);
      taken = flood(socket, piece);
    });
    expect(attempt).toMatchObject({ ok: false, ...code });
    expect(attempt.ok ? '' : judge(attempt)).toBe('transient');
    expect(taken()).toBeLessThan(20 * 1024 * 1024);
  },
);

const OURS = makeCertificateAuthority('Ours');
const NAME = 'hook.example';
const { certificate, key } = OURS.issue({ names: [NAME] });
const RULES = {
  allowHttp: true,
  allowAddresses: ['127.0.0.1'],
  allowPorts: ['1-65535'],
  certificateAuthorities: [OURS.certificate],
};

const INTERIM = 'HTTP/1.1 100 Continue\r\n\r\n';
const OTHERS = 'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\nlink: </b>\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const DELIVERED = { ok: true, status: 200 };

/** Answers each request with these pieces, one packet each, over connections that it keeps. */
function answering(socket: Socket, pieces: readonly string[]): void {
  socket.setNoDelay(true);
  socket.on('error', () => undefined);
  socket.on('data', () => {
    let next = 0;
    const write = (): void => {
      const piece = pieces[next++];
      if (piece !== undefined) socket.write(piece, 'latin1', () => setImmediate(write));
    };
    write();
  });
}

const WAYS = ['http', 'https', 'https through a proxy'] as const;

/** The outcomes of three posts, one after another, and over how many connections they went. */
async function threePosts(way: (typeof WAYS)[number], pieces: readonly string[]) {
  const { port, connections } = await serve(
    way === 'http'
      ? createServer((socket) => answering(socket, pieces))
      : createTlsServer({ cert: certificate, key }, (socket) => answering(socket, pieces)),
  );
  const proxy = way === 'https through a proxy' ? { proxy: (await startProxy()).url } : {};
  const policy = new NetworkPolicy({ ...RULES, ...proxy });
  const poster = aPoster({ policy, lookUp: onThisMachine });
  const attempts = [];
  for (let n = 0; n < 3; n++) {
    attempts.push(await attemptOf(poster, `${way === 'http' ? 'http' : 'https'}://${NAME}:${port}/`, [], '{}'));
    await new Promise((resolve) => setImmediate(resolve)); // undici frees a connection a turn after its answer.
  }
  return { attempts, connections: connections.size };
}

test.each(WAYS)('interim answers that nobody asked for are read past, over %s: the final one counts', async (way) => {
  for (const pieces of [
    [INTERIM + OK],
    [INTERIM, OK],
    [INTERIM, INTERIM, INTERIM + OK],
    [`HTTP/1.1 100 Continue\r\nserver: x\r\ndate: y\r\ncontent-length: 0\r\n\r\n${OK}`],
    [`HTTP/1.1 100\r\n\r\n${OK}`],
    [INTERIM + OTHERS, OTHERS + OK],
  ]) {
    const { attempts, connections } = await threePosts(way, pieces);
    expect({ pieces, attempts }).toMatchObject({ attempts: [DELIVERED, DELIVERED, DELIVERED] });
    expect(connections).toBe(1);
  }
});

test('the worker keeps an answer that contains "HTTP/1.1 100" as it is, however packets cut it', async () => {
  const body = `${INTERIM}HTTP/1.1 100`;
  const answer = `HTTP/1.1 500 HTTP/1.1 100\r\nx: HTTP/1.1 100\r\ncontent-length: ${body.length}\r\n\r\n`;
  for (const pieces of [[answer + body], [INTERIM + answer + body], [INTERIM, answer, body], [...answer, body]]) {
    const { attempts, connections } = await threePosts('http', pieces);
    const whole = { status: 500, answer: body.replaceAll(/[\r\n]+/g, ' ') };
    expect({ pieces, attempts }).toMatchObject({ attempts: [whole, whole, whole] });
    expect(connections).toBe(1);
  }
});

test.each([
  ['connection: upgrade\r\nupgrade: x\r\n', 'UND_ERR_SOCKET'],
  ['', 'ANSWER_MALFORMED'],
])('a change of protocols is still refused, behind a 100 too: 101 with headers "%s"', async (headers, code) => {
  for (const before of ['', INTERIM]) {
    const { attempts } = await threePosts('http', [`${before}HTTP/1.1 101 Switching\r\n${headers}\r\n${OK}`]);
    expect(attempts).toMatchObject([{ code }, { code }, { code }]);
  }
});
