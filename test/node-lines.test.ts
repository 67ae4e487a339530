import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { OLDEST, RECOMMENDED, TESTED, isNewEnough } from '../scripts/node-lines.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

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

function testNode(...args: string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['scripts/test-node.mjs', ...args], { cwd: root }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });
}

test.each([[[]], [['18']]])('test:node %j is refused by a sentence', async (args) => {
  const { code, stdout, stderr } = await testNode(...args);
  const got = args.length === 0 ? '' : `, not "${args[0]}"`;
  expect({ code, stdout, stderr }).toEqual({
    code: 2,
    stdout: '',
    stderr: `Say which line of Node the tests are to run on${got}: npm run test:node -- 20|22|24|26.\n`,
  });
});
