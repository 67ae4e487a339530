// Run by chaos/unproved.ts in a process of its own: sends an API what callers can send who have proved nothing, until its time is over. At most 16
// requests are under way at a time, and 64 bodies that never end. The last line of its output is JSON: answers, by what was sent and status.
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { Agent, request } from 'undici';

const [url = '', seconds = '0'] = process.argv.slice(2);
const { hostname, port } = new URL(url);
if (hostname !== '127.0.0.1') throw new Error('This sends to 127.0.0.1 only.');

const LANES = 16;
const HALF_OPEN = 64;
const BODY = 4 * 1024 * 1024 - 1;
const json = { 'content-type': 'application/json' };
const packed = { ...json, 'content-encoding': 'gzip' };
const deep = gzipSync('['.repeat(BODY));
const broken = gzipSync(`[1234567890123456${',1'.repeat(2_000_000)},`);
const bomb = gzipSync(Buffer.alloc(64 * BODY, ' '));
const long = JSON.stringify({ type: 'track', userId: '1', messageId: 'x'.repeat(3_900_000) });

// What is sent is made by now.
const endsAt = performance.now() + Number(seconds) * 1000;

interface Attempt {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer;
}

const ATTEMPTS: Readonly<Record<string, Attempt>> = {
  'deep JSON, unknown path': { path: '/v1/nosuch', headers: packed, body: deep },
  'broken JSON, unknown path': { path: '/v1/nosuch', headers: packed, body: broken },
  'deep JSON, no key': { path: '/v1/triggers', headers: packed, body: deep },
  'a gzip bomb, wrong key': { path: '/v1/triggers', headers: { ...packed, authorization: 'Bearer x' }, body: bomb },
  'no such ingest': { path: '/v1/ingest/nosuch', headers: packed, body: bomb },
  'a wrong header': { path: '/v1/ingest/named', headers: { ...json, 'x-key': 'wrong' }, body: long },
  'a long id, wrong signature': { path: '/v1/ingest/signed', headers: { 'x-signature': 'f00' }, body: long },
  'a gzip bomb, wrong signature': {
    path: '/v1/ingest/signed',
    headers: { ...packed, 'x-signature': 'f00' },
    body: bomb,
  },
  'a thousand signatures': {
    path: '/v1/ingest/standard',
    headers: {
      'webhook-id': '1',
      'webhook-timestamp': String(Math.floor(Date.now() / 1000)),
      'webhook-signature': 'v1,x v1a,x '.repeat(1_000),
    },
    body: long,
  },
  'a key that is none': {
    path: '/v1/session',
    headers: { ...json, 'x-triggers-console': '1' },
    body: JSON.stringify({ key: 'trg_x' }),
  },
  'too long to sign in': { path: '/v1/session', headers: { ...json, 'x-triggers-console': '1' }, body: long },
};

const answers: Record<string, number> = {};
const count = (what: string, outcome: string): void => {
  const key = `${what}: ${outcome}`;
  answers[key] = (answers[key] ?? 0) + 1;
};

const agent = new Agent({ connections: LANES });
async function lane(first: number): Promise<void> {
  const all = Object.entries(ATTEMPTS);
  for (let turn = first; performance.now() < endsAt; turn++) {
    const [what, { path, headers, body }] = all[turn % all.length]!;
    const outcome = await request(`${url}${path}`, { method: 'POST', headers, body, dispatcher: agent }).then(
      async ({ statusCode, body: said }) => {
        await said.dump();
        return String(statusCode);
      },
      () => 'no answer',
    );
    count(what, outcome);
  }
}

/** Bodies that begin, and go on with nothing. */
async function halfOpen(): Promise<void> {
  const paths = ['/v1/ingest/signed', '/v1/ingest/standard', '/v1/session', '/v1/nosuch', '/v1/triggers'];
  const sockets = new Set<Socket>();
  for (let turn = 0; performance.now() < endsAt; turn++) {
    await sleep(sockets.size < HALF_OPEN ? 20 : 100);
    if (sockets.size >= HALF_OPEN) continue;
    const path = paths[turn % paths.length]!;
    const socket = connect(Number(port), hostname);
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    socket.on('data', (said) => count('a body without an end', String(said).slice(9, 12)));
    const now = Math.floor(Date.now() / 1000);
    const signed = `x-signature: f00\r\nwebhook-id: 1\r\nwebhook-timestamp: ${now}\r\nwebhook-signature: v1,x`;
    const head = `host: ${hostname}:${port}\r\ncontent-type: application/json\r\nx-triggers-console: 1\r\n${signed}`;
    socket.write(`POST ${path} HTTP/1.1\r\n${head}\r\ncontent-length: ${BODY}\r\n\r\n`);
    socket.write(Buffer.alloc(path === '/v1/session' ? 1_000 : BODY - 1, ' '));
  }
  for (const socket of sockets) socket.destroy();
}

await Promise.all([...Array.from({ length: LANES }, (_, i) => lane(i)), halfOpen()]);
console.log(JSON.stringify(answers));
process.exit(0);
