import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { expect, test } from '@jest/globals';
import { createPoster } from '../../src/webhook/attempt.ts';
import { type LookUp, NetworkPolicy } from '../../src/webhook/network-policy.ts';
import { makeCertificateAuthority } from './a-certificate-authority.ts';
import { startProxy } from './a-proxy.ts';
import { afterwards, listen } from './a-server.ts';
import { attemptOf } from './an-attempt.ts';

const OURS = makeCertificateAuthority('Ours');
const NAME = 'hook.example';
const { certificate, key } = OURS.issue({ names: [NAME] });
const RULES = {
  allowHttp: true,
  allowAddresses: ['127.0.0.1'],
  allowPorts: ['1-65535'],
  certificateAuthorities: [OURS.certificate],
};
const onThisMachine: LookUp = (_, __, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]);

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';
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

async function started(server: Server): Promise<{ port: number; connections: Set<Socket> }> {
  const connections = new Set<Socket>();
  server.on('connection', (socket: Socket) => connections.add(socket));
  const port = await listen(server);
  afterwards(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of connections) socket.destroy();
    await closed;
  });
  return { port, connections };
}

const WAYS = ['http', 'https', 'https through a proxy'] as const;

/** The outcomes of three posts, one after another, and over how many connections they went. */
async function threePosts(way: (typeof WAYS)[number], pieces: readonly string[]) {
  const { port, connections } = await started(
    way === 'http'
      ? createServer((socket) => answering(socket, pieces))
      : createTlsServer({ cert: certificate, key }, (socket) => answering(socket, pieces)),
  );
  const proxy = way === 'https through a proxy' ? { proxy: (await startProxy()).url } : {};
  const policy = new NetworkPolicy({ ...RULES, ...proxy });
  const poster = createPoster({ timeoutMs: 10_000, policy, lookUp: onThisMachine });
  afterwards(() => poster.close());
  const attempts = [];
  for (let n = 0; n < 3; n++) {
    attempts.push(await attemptOf(poster, `${way === 'http' ? 'http' : 'https'}://${NAME}:${port}/`, [], '{}'));
    await new Promise((resolve) => setImmediate(resolve)); // undici frees a connection a turn after its answer.
  }
  return { attempts, connections: connections.size };
}

test.each(WAYS)('interim answers that nobody asked for are read past, over %s: the final one counts', async (way) => {
  for (const pieces of [
    [CONTINUE + OK],
    [CONTINUE, OK],
    [CONTINUE, CONTINUE, CONTINUE + OK],
    [OTHERS + CONTINUE + OTHERS + CONTINUE, OK],
    [`HTTP/1.1 100 Continue\r\nserver: x\r\ndate: y\r\ncontent-length: 0\r\n\r\n${OK}`],
    [`HTTP/1.1 100\r\n\r\n${OK}`],
    [`\r\n${CONTINUE}\r\n${OK}`],
    [...(CONTINUE + OTHERS + CONTINUE + OK)],
  ]) {
    const { attempts, connections } = await threePosts(way, pieces);
    expect({ pieces, attempts }).toMatchObject({ attempts: [DELIVERED, DELIVERED, DELIVERED] });
    expect(connections).toBe(1);
  }
});

test('of an answer that says 100 itself, nothing is changed, however it is cut into packets', async () => {
  const body = `${CONTINUE}HTTP/1.1 100`;
  const answer = `HTTP/1.1 500 HTTP/1.1 100\r\nx: HTTP/1.1 100\r\ncontent-length: ${body.length}\r\n\r\n`;
  for (const pieces of [[answer + body], [CONTINUE + answer + body], [CONTINUE, answer, body], [...answer, body]]) {
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
  for (const before of ['', CONTINUE]) {
    const { attempts } = await threePosts('http', [`${before}HTTP/1.1 101 Switching\r\n${headers}\r\n${OK}`]);
    expect(attempts).toMatchObject([{ code }, { code }, { code }]);
  }
});
