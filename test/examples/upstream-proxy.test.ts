import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as httpRequest,
  type Server,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { request } from 'undici';
import { freePort } from '../../src/network/free-ports.ts';
import { jobWorkflowId } from '../../src/domain/names.ts';
import { Lab } from '../support/lab.ts';
import { temporal } from '../support/temporal.ts';
import { tempFolder } from '../support/temp-folder.ts';

const conf = fileURLToPath(new URL('../../examples/upstreams/nginx/triggers.conf', import.meta.url));
const nginx = process.env['UPSTREAM_NGINX'] ?? 'nginx';
const isThere = spawnSync(nginx, ['-v']).status === 0;
if (!isThere)
  process.stderr.write('SKIPPED: examples/upstreams/nginx is not tried. Missing is nginx (or set UPSTREAM_NGINX).\n');

const TOKEN = 'Bearer of-a-test';
const BODY = JSON.stringify({ input: [{ audience: 'vip', user: 'by-proxy', profile: {} }] });
const HTTP_API = '/api/v1/namespaces/default/workflows';

(isThere ? describe : describe.skip)('the nginx in front of the HTTP API', () => {
  let lab: Lab;
  let job: string;
  let behind: Behind;
  let proxy: Proxy;

  beforeAll(async () => {
    lab = await Lab.open();
    job = jobWorkflowId(await lab.start());
    behind = await openBehind();
    proxy = await startProxy(behind.address);
  });
  afterAll(async () => {
    await proxy?.close();
    await behind?.close();
    await lab?.close();
  });

  async function post(path: string, headers: Record<string, string> = {}, method: 'POST' | 'GET' = 'POST') {
    const seen = behind.seen.length;
    // Not by undici, nor by fetch: they tidy a path up before they send it.
    const asking = httpRequest(proxy.url, { path, method, headers });
    const answered = once(asking, 'response') as Promise<[IncomingMessage]>; // What a request emits.
    asking.end(method === 'GET' ? undefined : BODY);
    const [answer] = await answered;
    answer.resume();
    return { status: answer.statusCode, wentOn: behind.seen.length > seen };
  }

  test('lets a signal with a token through, and of it nothing but the path and the body', async () => {
    const headers = {
      authorization: TOKEN,
      'grpc-metadata-authorization': 'x',
      'authorization-extras': 'x',
      cookie: 'x',
    };
    expect((await post(`${HTTP_API}/${job}/signal/enter?workflowExecution.runId=7`, headers)).status).toBe(200);
    await lab.arrives('by-proxy');
    const last = behind.seen.at(-1);
    expect(last?.url).toBe(`${HTTP_API}/${job}/signal/enter`);
    expect(Object.keys(last?.headers ?? {}).sort()).toEqual(['content-length', 'content-type', 'host']);
  });

  test.each([
    ['no token', {}],
    ['another token', { authorization: 'Bearer of-nobody' }],
    ['a part of a token', { authorization: 'Bearer' }],
  ])('turns away who has %s', async (_, headers) => {
    expect(await post(`${HTTP_API}/${job}/signal/enter`, headers)).toEqual({ status: 401, wentOn: false });
  });

  test.each([
    'JOB/terminate',
    'JOB/cancel',
    'JOB/query/status',
    'JOB/update/stop',
    'JOB/signal/page',
    'JOB/signal/enter/x',
    'JOB/signal-with-start/enter',
    'JOB/signal/enter%2f..%2f..%2fterminate',
    'JOB/signal/enter/../../terminate',
    'JOB%2fterminate%3f/signal/enter',
    'dead-letter-1/signal/enter',
    'dead-letter-1/signal/redeliver',
    '../../other/workflows/JOB/signal/enter',
    '',
  ])('lets nothing else through: %s', async (path) => {
    const answer = await post(`${HTTP_API}/${path.replace('JOB', job)}`, { authorization: TOKEN });
    expect(answer).toEqual({ status: 404, wentOn: false });
  });

  test('takes POST alone', async () => {
    const answer = await post(`${HTTP_API}/${job}/signal/enter`, { authorization: TOKEN }, 'GET');
    expect(answer).toEqual({ status: 403, wentOn: false });
  });
});

interface Behind {
  readonly address: string;
  readonly seen: { readonly url: string | undefined; readonly headers: IncomingHttpHeaders }[];
  close(): Promise<void>;
}

/** Passes on to Temporal what the proxy lets through, and writes it down. */
async function openBehind(): Promise<Behind> {
  const seen: Behind['seen'] = [];
  const server: Server = createServer((incoming, response) => {
    seen.push({ url: incoming.url, headers: incoming.headers });
    void buffer(incoming)
      .then((body) => request(`${temporal.httpUrl}${incoming.url}`, { method: 'POST', body }))
      .then(async (answer) => {
        response.writeHead(answer.statusCode).end(await answer.body.text());
      });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo; // It listens on a port.
  const close = async () => {
    server.closeAllConnections();
    await once(server.close(), 'close');
  };
  return { address: `127.0.0.1:${port}`, seen, close };
}

interface Proxy {
  readonly url: string;
  close(): Promise<void>;
}

/** The example as it stands, but for where things are. */
async function startProxy(to: string): Promise<Proxy> {
  const folder = tempFolder();
  const port = await freePort();
  const changed = readFileSync(conf, 'utf8')
    .replace('/etc/nginx/triggers-tokens.map', join(folder, 'tokens.map'))
    .replace('127.0.0.1:7243', to)
    .replace('127.0.0.1:8080', `127.0.0.1:${port}`);
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${folder}/${of};`);
  mkdirSync(join(folder, 'logs'));
  writeFileSync(join(folder, 'tokens.map'), `"${TOKEN}" a-test;\n`);
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; pid ${folder}/pid; error_log stderr; events {} http { access_log off; ${temp.join(' ')} ${changed} }`,
  );
  const child = spawn(nginx, ['-p', folder, '-c', join(folder, 'nginx.conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const url = `http://127.0.0.1:${port}`;
  await answering(url, child, () => said);
  return {
    url,
    close: async () => {
      child.kill();
      await once(child, 'exit');
    },
  };
}

async function answering(url: string, child: ChildProcess, said: () => string): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`nginx did not start: ${said()}`);
    const answer = await request(url).catch(() => undefined);
    if (answer !== undefined) {
      await answer.body.dump();
      return;
    }
    await setTimeout(20);
  }
}
