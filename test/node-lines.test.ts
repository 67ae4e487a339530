import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeEach, expect, test } from '@jest/globals';
import { OLDEST, RECOMMENDED, TESTED, isNewEnough } from '../scripts/node-lines.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'node-lines-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('package.json, image, README and CI name the oldest Node and the recommended one as scripts/node-lines.mjs does', () => {
  expect(JSON.parse(read('package.json'))).toMatchObject({ engines: { node: `>=${OLDEST}` } });
  expect(read('.nvmrc')).toBe(`${RECOMMENDED}\n`);
  const images = [...read('Dockerfile').matchAll(/^FROM (node:\S+)/gm)].map(([, image]) => image);
  expect(new Set(images)).toEqual(new Set([`node:${RECOMMENDED}-bookworm-slim`]));
  const both = `Node ${RECOMMENDED} (${OLDEST} or newer`;
  for (const path of ['README.md', '.ci/run'])
    expect([path, read(path)]).toEqual([path, expect.stringContaining(both)]);
  expect(TESTED).toContain(RECOMMENDED);
  const lines = `${TESTED.slice(0, -1).join(', ')} and ${TESTED.at(-1)}`;
  for (const path of ['CONTRIBUTING.md', 'docs/dependencies.md'])
    expect([path, read(path)]).toEqual([path, expect.stringContaining(`Node ${lines}`)]);
});

test('the oldest Node is new enough, and one before it is not', () => {
  expect(['20.18.3', '18.20.8', '20.19.0', '22.0.0', '24.9.0'].map((one) => isNewEnough(one))).toEqual([
    false,
    false,
    true,
    true,
    true,
  ]);
});

/** A line that this test does not run on. */
const line = TESTED.find((one) => one !== Number(process.versions.node.split('.')[0])) ?? 0;
const other = line === TESTED[0] ? `${OLDEST}.9` : `${line}.9.1`;
const name = `node-${process.platform}-${process.arch}`;

/** What the registry says of a package, by its path, and the package. */
const answers = new Map<string, string | Buffer>();
const registry = createServer((request, response) => {
  const answer = answers.get(request.url ?? '');
  response.writeHead(answer === undefined ? 404 : 200).end(answer ?? '{"error":"Not found"}');
});
let url: string;
let cache: string;
beforeEach(async () => {
  answers.clear();
  cache = mkdtempSync(join(folder, 'cache-'));
  await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve));
  // As it is once it listens to a port.
  url = `http://127.0.0.1:${(registry.address() as AddressInfo).port}`;
});
afterEach(() => goOffline());

async function goOffline(): Promise<void> {
  if (!registry.listening) return;
  registry.closeAllConnections();
  await new Promise((resolve) => registry.close(resolve));
}

/** Publishes what says of itself that it is this version of Node, and tells else what it is run with. */
function publish(version: string, says = version): void {
  const made = mkdtempSync(join(folder, 'package-'));
  mkdirSync(join(made, 'package', 'bin'), { recursive: true });
  const manifest = { name, version };
  writeFileSync(join(made, 'package', 'package.json'), JSON.stringify(manifest));
  const script = `#!/bin/sh\nif [ "$1" = --version ]; then echo v${says}; else echo "$@"; command -v node; echo "$NODE"; fi\n`;
  writeFileSync(join(made, 'package', 'bin', 'node'), script, { mode: 0o755 });
  const tarball = execFileSync('tar', ['-cz', '-C', made, 'package']);
  const dist = {
    tarball: `${url}/package.tgz`,
    integrity: `sha512-${createHash('sha512').update(tarball).digest('base64')}`,
  };
  const versions = { [version]: { ...manifest, dist } };
  answers.set(`/${name}`, JSON.stringify({ name, 'dist-tags': { latest: version }, versions }));
  answers.set('/package.tgz', tarball);
}

function testNode(...args: string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const env = {
    ...process.env,
    XDG_CACHE_HOME: cache,
    npm_config_cache: join(cache, 'npm'),
    npm_config_registry: url,
    npm_config_fetch_retries: '0',
  };
  return new Promise((resolve) => {
    execFile(process.execPath, ['scripts/test-node.mjs', ...args], { cwd: root, env }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });
}

test.each([[[]], [['abc']], [['18']], [['--help']], [['24.1']]])(
  'test:node %j is refused by a sentence',
  async (args) => {
    const { code, stdout, stderr } = await testNode(...args);
    const got = args.length === 0 ? '' : `, not "${args[0]}"`;
    expect({ code, stdout, stderr }).toEqual({
      code: 2,
      stdout: '',
      stderr: `Say which line of Node the tests are to run on${got}: npm run test:node -- 20|22|24|26.\n`,
    });
  },
);

test('the tests, and all that they start, run on the Node that was fetched', async () => {
  publish(other);
  const binary = join(cache, 'audience-triggers', 'node', String(line), 'node_modules', name, 'bin', 'node');
  const quick = await testNode(String(line));
  expect(quick).toMatchObject({ code: 0, stdout: `scripts/fresh.mjs quick\n${binary}\n${binary}\n` });
  expect(quick.stderr).toBe(`▸ Node ${other} (${binary})\n`);
  const some = await testNode(String(line), 'test/domain', '-t', 'a name');
  expect(some.stdout).toBe(`scripts/fresh.mjs test test/domain -t a name\n${binary}\n${binary}\n`);
  // With what npm remembers of the registry, it would notice nothing.
  rmSync(join(cache, 'npm'), { recursive: true });
  await goOffline();
  const offline = await testNode(String(line));
  expect(offline).toMatchObject({ code: 0, stdout: quick.stdout });
  expect(offline.stderr).toContain(
    `▸ npm did not reach the registry (ECONNREFUSED): the Node ${line} of before is used.\n`,
  );
});

test('a line that the registry does not have, and no registry, are said', async () => {
  const none = await testNode('99');
  expect(none).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^The registry has no Node 99 for \S+ \(\S+\)\.\n$/),
  });
  publish(other);
  expect(await testNode('99')).toEqual(none);
  await goOffline();
  const { code, stderr } = await testNode(String(line));
  const said = `Node ${line} cannot be fetched: npm did not get ${name} (ECONNREFUSED). It needs the registry once.\n`;
  expect({ code, stderr }).toEqual({ code: 1, stderr: said });
});

test('what says that it is another Node runs nothing', async () => {
  publish(other, '19.0.0');
  const { code, stdout, stderr } = await testNode(String(line));
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/ is no Node \d+: it says "19\.0\.0"\. Remove it\.\n$/);
});
