import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterAll, expect, test } from '@jest/globals';
import { request } from 'undici';
import type { Api } from '../../src/app/api.ts';
import { newApiKey } from '../../src/config/references.ts';
import { apiWithoutTemporal } from './an-api.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { afterwards } from '../webhook/a-server.ts';

const INDEX = '<!doctype html><title>Console</title><script type="module" src="/assets/main-1a2b.js"></script>';
const SCRIPT = `console.log('hello');${' '.repeat(500)}`;
const folder = tempFolder();
const keys = { boss: { hash: newApiKey().hash, may: ['read' as const] } };
mkdirSync(join(folder, 'assets'));
writeFileSync(join(folder, 'index.html'), INDEX);
writeFileSync(join(folder, 'secret.txt'), 'secret');
writeFileSync(join(folder, 'assets', 'main-1a2b.js'), SCRIPT);
writeFileSync(join(folder, 'assets', 'main-1a2b.js.map'), '{}');
writeFileSync(join(folder, 'assets', 'main-3c4d.css'), 'body{}');
const api = await apiWithoutTemporal(keys, { consoleFolder: folder });
afterAll(() => api.close());
const open = await apiWithoutTemporal({}, { consoleFolder: folder });
afterAll(() => open.close());

const HTML = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
async function get(path: string, headers: Record<string, string> = {}, more: { from?: Api; method?: string } = {}) {
  const { from = api, method = 'GET' } = more;
  const { statusCode, headers: said, body } = await request(`${from.url}${path}`, { method: method as 'GET', headers });
  return { status: statusCode, headers: said, bytes: Buffer.from(await body.arrayBuffer()) };
}

test('[S42] the page runs nothing but its own files, speaks to its own server only, and stands in no frame', async () => {
  for (const path of ['/', '/assets/main-1a2b.js']) {
    const { status, headers } = await get(path, HTML);
    expect([path, status, headers]).toMatchObject([
      path,
      200,
      {
        'content-security-policy':
          "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-resource-policy': 'same-origin',
      },
    ]);
    expect(headers['content-security-policy']).not.toContain('unsafe');
  }
});

test.each(['/', '/jobs', '/jobs/vips-to-the-crm', '/people/1%2F2?since=1h', '/dead-letters', '/new', '/documents'])(
  'a browser that asks for %s gets the page, and asks anew each time',
  async (path) => {
    const { status, headers, bytes } = await get(path, HTML);
    expect([status, headers['cache-control'], headers['content-type'], bytes.toString()]).toEqual([
      200,
      'no-store',
      'text/html; charset=utf-8',
      INDEX,
    ]);
  },
);

test.each([
  '/v1/nothing',
  '/v1',
  '/docs/nothing',
  '/metrics/x',
  '/assets/gone-5e6f.js',
  '/assets/main-1a2b.js.map',
  '/assets/..%2Findex.html',
  '/assets/..%2Fsecret.txt',
  '/assets/%2e%2e%2fsecret.txt',
])('%s is no page of it, and nothing there', async (path) => {
  const { status, headers, bytes } = await get(path, HTML);
  expect([status, headers['content-type']]).toEqual([404, expect.stringContaining('application/problem+json')]);
  expect(JSON.parse(bytes.toString())).toMatchObject({ code: 'NoSuchPath' });
});

test('programs that ask for a missing path get an error, and no page', async () => {
  for (const [headers, method] of [
    [{}, 'GET'] as const,
    [{ accept: 'application/json' }, 'GET'] as const,
    [HTML, 'POST'] as const,
  ])
    expect((await get('/jobs', headers, { method })).status).toBe(404);
  expect((await get('/v1/jobs', HTML)).status).toBe(401);
});

test('the server lets browsers keep a file with a content hash in its name, and compresses it as they accept', async () => {
  const path = '/assets/main-1a2b.js';
  const plain = await get(path);
  expect([plain.headers['cache-control'], plain.headers['content-type'], plain.bytes.toString()]).toEqual([
    'public, max-age=31536000, immutable',
    'text/javascript; charset=utf-8',
    SCRIPT,
  ]);
  const brotli = await get(path, { 'accept-encoding': 'gzip, deflate, br, zstd' });
  expect([brotli.headers['content-encoding'], brotliDecompressSync(brotli.bytes).toString()]).toEqual(['br', SCRIPT]);
  expect(brotli.bytes.length).toBeLessThan(100);
  const gzip = await get(path, { 'accept-encoding': 'gzip, br;q=0' });
  expect([gzip.headers['content-encoding'], gunzipSync(gzip.bytes).toString()]).toEqual(['gzip', SCRIPT]);
  const again = await get(path, { 'if-none-match': String(plain.headers['etag']) });
  expect([again.status, again.bytes.length]).toEqual([304, 0]);
});

test('[S41] a link on another page leads to the console, and nothing else of that page does', async () => {
  const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', ...HTML };
  const others = [
    { ...link, 'sec-fetch-dest': 'iframe' },
    { ...link, 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'script' },
    { ...link, 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' },
  ];
  for (const from of [api, open]) {
    for (const path of ['/', '/jobs/crm']) expect((await get(path, link, { from })).status).toBe(200);
    expect((await get('/v1/jobs', link, { from })).status).toBe(403);
    for (const headers of others)
      for (const path of ['/', '/jobs/crm', '/assets/main-1a2b.js'])
        expect((await get(path, headers, { from })).status).toBe(403);
  }
});

test('[S41] the console without keys answers only to the names of this machine', async () => {
  for (const path of ['/', '/jobs/crm', '/assets/main-1a2b.js', '/v1/session'])
    expect((await get(path, { ...HTML, host: 'evil.example.com' }, { from: open })).status).toBe(403);
});

test('a console that was not built says what to run', async () => {
  const bare = await apiWithoutTemporal({}, { consoleFolder: join(folder, 'nothing') });
  afterwards(() => bare.close());
  const { status, headers, bytes } = await get('/', HTML, { from: bare });
  expect([status, headers['content-type']]).toEqual([404, 'text/plain; charset=utf-8']);
  expect(bytes.toString()).toContain('npm run build');
  expect((await get('/jobs', HTML, { from: bare })).status).toBe(404);
});
