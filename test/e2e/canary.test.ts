import { createPrivateKey, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpsServer } from 'node:https';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { connectClient } from '../../src/client/connect.ts';
import { type LocalTemporal, startLocalTemporal } from '../../src/local/temporal-server.ts';
import { makeCertificateAuthority } from '../webhook/a-certificate-authority.ts';
import { listen } from '../webhook/a-server.ts';
import { type Ended, type ProgramOptions, type Program, startTriggers, triggers } from '../support/triggers-cli.ts';
import { temporal as testServer } from '../support/temporal.ts';

const canary = (kind: string): string => `canary-${kind}-${randomBytes(9).toString('hex')}`;

/** One secret of each kind. */
const SECRETS = {
  header: canary('header'),
  query: canary('query'),
  password: canary('password'),
  bearer: canary('bearer'),
  client: canary('client'),
  token: canary('token'),
  passphrase: canary('passphrase'),
  signing: `whsec_${randomBytes(32).toString('base64')}`,
};
/** What is a secret too, but known to the job itself, which has to send there. */
const IN_URL = { path: canary('path'), parameter: canary('parameter'), userInfo: canary('userinfo') };
/** No secret: what must be found, or the search is worth nothing. */
const PERSON = 'ada-in-the-open';

const AUTHORITY = makeCertificateAuthority();

/** An endpoint that says back everything it was sent: takes it from the second attempt on, refuses one person, and never answers another. */
function echoing(seen: IncomingMessage[]): RequestListener {
  const attempts = new Map<string, number>();
  return (request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      seen.push(request);
      const id = String(request.headers['webhook-id']);
      attempts.set(id, (attempts.get(id) ?? 0) + 1);
      if (body.includes('"id":"hangs"') && attempts.get(id) === 1) return;
      const status = body.includes('"id":"refused"') ? 422 : attempts.get(id) === 1 ? 500 : 200;
      const { authorization = '', 'x-api-key': key = '', 'webhook-signature': signature = '' } = request.headers;
      response.writeHead(status).end(`${String(key)} ${authorization} ${request.url} ${String(signature)}`);
    });
  };
}

const endpoints: Server[] = [];
let folder: string;
let server: LocalTemporal;
let env: Record<string, string>;
let origins: { plain: string; secure: string };
const seen: IncomingMessage[] = [];
const programs: Program[] = [];
/** Everything that was printed: by commands, and by workers. */
const printed: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'canary-'));
  server = await startLocalTemporal({ cliPath: testServer.cliPath, dbFile: join(folder, 'temporal.db') });
  const { certificate: cert, key } = AUTHORITY.issue({ names: ['127.0.0.1'] });
  const tls = { cert, key, ca: AUTHORITY.certificate, requestCert: true };
  const [plain, secure, idp] = [
    createServer(echoing(seen)),
    createHttpsServer(tls, echoing(seen)),
    createServer((request, response) => {
      seen.push(request);
      const token = { access_token: SECRETS.token, token_type: 'bearer', expires_in: 3600 };
      request
        .resume()
        .on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(token)));
    }),
  ];
  endpoints.push(plain, secure, idp);
  origins = {
    plain: `http://127.0.0.1:${await listen(plain)}`,
    secure: `https://127.0.0.1:${await listen(secure)}`,
  };
  const tokenUrl = `http://127.0.0.1:${await listen(idp)}/token`;
  writeConfiguration(tokenUrl);
  env = {
    TEMPORAL_ADDRESS: server.address,
    TRIGGERS_CONFIG: join(folder, 'triggers.config.json'),
    TRIGGERS_LOG_LEVEL: 'debug',
    TRIGGERS_SOURCE: join(folder, 'audiences'),
  };
});
afterAll(async () => {
  for (const endpoint of endpoints) {
    endpoint.closeAllConnections();
    endpoint.close();
  }
  await Promise.all(programs.map((program) => program.kill()));
  await server.stop();
  rmSync(folder, { recursive: true });
});

/** Every kind of authorization, each for a job of its own; values from the file and from files beside it. */
function writeConfiguration(tokenUrl: string): void {
  const { certificate, key } = AUTHORITY.issue({ names: ['client.example'], isClient: true });
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return `\${file:${name}}`;
  };
  const locked = createPrivateKey(key).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: SECRETS.passphrase,
  });
  // Of the key itself, what stands in its first line of base64.
  keyLine = key.split('\n')[2] ?? '';
  const plain = { origins: [origins.plain] };
  const authorizations = {
    headers: { ...plain, headers: { 'x-api-key': write('key', SECRETS.header) } },
    query: { ...plain, queryParameters: { key: SECRETS.query } },
    basic: { ...plain, basic: { username: 'me', password: SECRETS.password } },
    bearer: { ...plain, bearer: SECRETS.bearer },
    oauth2: { ...plain, oauth2: { tokenUrl, clientId: 'me', clientSecret: SECRETS.client } },
    signed: { ...plain, signingSecrets: [SECRETS.signing] },
    mtls: {
      origins: [origins.secure],
      clientCertificate: {
        certificate: write('client.crt', certificate),
        key: write('client.key', locked.toString()),
        passphrase: SECRETS.passphrase,
      },
    },
  };
  const network = {
    allowHttp: true,
    allowAddresses: ['127.0.0.0/8'],
    certificateAuthorities: [write('ca.crt', AUTHORITY.certificate)],
  };
  writeFileSync(
    join(folder, 'triggers.config.json'),
    JSON.stringify({ authorizations, network, requestTimeoutMs: 2000 }),
  );
  mkdirSync(join(folder, 'audiences', 'audiences'), { recursive: true });
  writeFileSync(join(folder, 'audiences', 'profiles.ndjson'), '');
  writeFileSync(
    join(folder, 'audiences', 'audiences', 'vip.ndjson'),
    `${JSON.stringify({ audience: { id: 'a'.repeat(32), name: 'VIP' } })}\n`,
  );
}

let keyLine = '';

async function startWorker(): Promise<Program> {
  const worker = startTriggers(['worker'], { env });
  programs.push(worker);
  await worker.says(({ stdout }) => stdout.includes('Worker ready'));
  return worker;
}

/** Runs a command as an operator does, for people and for machines, and keeps what it says. */
async function say(args: readonly string[], options: ProgramOptions = {}): Promise<Ended> {
  const ended = await triggers(args, { ...options, env });
  printed.push(ended.stdout, ended.stderr);
  return ended;
}

async function sayBothWays(...args: string[]): Promise<Ended> {
  await say(args);
  return await say([...args, '--json']);
}

/** What is true when nothing is left to happen: all that can be delivered is, all that cannot is a dead letter. */
async function untilDone(job: string, { delivered, dead }: { delivered: number; dead: number }): Promise<void> {
  const deadline = Date.now() + 90_000;
  for (;;) {
    const { stdout } = await say(['status', job, '--json']);
    const status = JSON.parse(stdout) as { delivered: number; deadLetters: number };
    if (status.delivered >= delivered && status.deadLetters >= dead) return;
    if (Date.now() > deadline) throw new Error(`Not done: ${stdout}`);
    await sleep(500);
  }
}

/** Every event of every workflow, as text; payloads decoded, since they are base64 there. */
async function histories(): Promise<string> {
  const { client, close } = await connectClient({
    connectionOptions: { address: server.address },
    namespace: server.namespace,
  });
  const texts: string[] = [];
  try {
    for await (const { workflowId, runId, memo, searchAttributes } of client.workflow.list()) {
      const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
      texts.push(JSON.stringify({ memo, searchAttributes, workflowId }));
      texts.push(
        JSON.stringify(events, (_, value: unknown) => (isBytes(value) ? Buffer.from(value).toString('latin1') : value)),
      );
    }
  } finally {
    await close();
  }
  return texts.join('\n');
}

const isBytes = (value: unknown): value is Uint8Array => value instanceof Uint8Array;

/** How a secret could stand somewhere: as it is, in a URL, in JSON, or within base64, wherever it begins there. */
function formsOf(secret: string): string[] {
  const within = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), Buffer.from(secret)]).toString('base64');
    return text.slice(before === 0 ? 0 : 4, -4);
  });
  return [secret, encodeURIComponent(secret), ...within];
}

function found(place: string, secrets: readonly string[]): string[] {
  return secrets.filter((secret) => formsOf(secret).some((form) => place.includes(form)));
}

test('[S22] no secret is in a history, the database, a log or anything that a command prints, whatever happens', async () => {
  const first = await startWorker();
  const jobs = ['headers', 'query', 'basic', 'bearer', 'oauth2', 'signed', 'mtls'];
  for (const job of jobs) {
    const url = `${job === 'mtls' ? origins.secure : origins.plain}/${IN_URL.path}?t=${IN_URL.parameter}`;
    const { code } = await say(['start', '--label', job, '--audience', 'vip', '--url', url, '--authorization', job]);
    expect([job, code]).toEqual([job, 0]);
    const trigger = (user: string) => JSON.stringify({ event: 'enter', audience: 'vip', user, profile: { of: job } });
    const { code: pushed } = await say(['push', job, '-'], {
      stdin: [PERSON, 'refused', 'hangs'].map(trigger).join('\n'),
    });
    expect([job, pushed]).toEqual([job, 0]);
  }
  // In the middle of it all the worker dies, and another one goes on.
  await first.says(() => seen.length > jobs.length);
  await first.kill();
  const second = await startWorker();
  for (const job of jobs) await untilDone(job, { delivered: 2, dead: 1 });

  // Whatever else an operator may do, rightly and wrongly.
  await say(['edit', 'bearer', '--url', `https://elsewhere.example/${IN_URL.path}?t=${IN_URL.parameter}`]);
  await say(['edit', 'bearer', '--description', 'edited']);
  const withUser = `https://me:${IN_URL.userInfo}@a.example/`;
  const refused = await sayBothWays(
    'start',
    '--label',
    'no',
    '--audience',
    'vip',
    '--url',
    withUser,
    '--no-authorization',
  );
  expect(refused.code).toBe(2);
  for (const job of jobs) await sayBothWays('status', job);
  await sayBothWays('list');
  await sayBothWays('authorizations', 'list');
  const { stdout: letters } = await sayBothWays('dead-letters', 'list');
  const [letter] = letters
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { id: string });
  await sayBothWays('dead-letters', 'show', letter?.id ?? '');
  writeFileSync(join(folder, 'key'), `${SECRETS.header}\nsecond line`);
  await second.says(({ stderr }) => stderr.includes('cannot be used'), 20_000);
  await say(['stop', 'bearer', '--waiting', 'keep']);
  second.signal('SIGTERM');
  await second.end();

  const sent = seen.map(({ url, headers }) => JSON.stringify([url, headers])).join('\n');
  const { signing: _, passphrase: __, client: ___, ...told } = SECRETS;
  expect(found(sent, Object.values(told)).sort()).toEqual(Object.values(told).sort());

  const secrets = [...Object.values(SECRETS), keyLine, IN_URL.userInfo];
  const kept = await histories();
  await server.stop();
  const files = readdirSync(folder).filter((name) => name.startsWith('temporal.db'));
  const database = files.map((name) => readFileSync(join(folder, name)).toString('latin1')).join('\n');
  const logs = [first, second].map(({ stdout, stderr }) => stdout + stderr).join('\n');
  const said = printed.join('\n');
  for (const [place, text] of Object.entries({ kept, database, logs, said })) {
    expect([place, found(text, secrets)]).toEqual([place, []]);
  }
  // A URL's own secrets are the job's; people are not shown them.
  for (const [place, text] of Object.entries({ logs, said }))
    expect([place, found(text, Object.values(IN_URL))]).toEqual([place, []]);
  // And the search does find what is there.
  for (const [place, text] of Object.entries({ kept, database }))
    expect([place, found(text, [PERSON, IN_URL.path])]).toEqual([place, [PERSON, IN_URL.path]]);
  expect(found(said, ['refused', 'HTTP 422'])).toEqual(['refused', 'HTTP 422']);
}, 240_000);
