import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { TIERS } from './tiers.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

test('the table of tiers names files that exist, each once', () => {
  const named = [...TIERS.core, ...TIERS.slow];
  expect(named.filter((path) => !existsSync(join(root, 'test', `${path}.test.ts`)))).toEqual([]);
  expect(named.filter((path, i) => named.indexOf(path) !== i)).toEqual([]);
});

test('no quick test needs a Temporal server, a database or a broker', () => {
  const servers = ['temporal', 'postgres', 'kafka'].map((name) => `test/support/${name}.ts`);
  const jest = ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', '--selectProjects', 'quick'];
  const needing = ['--listTests', '--json', '--findRelatedTests', ...servers];
  const found = execFileSync(process.execPath, [...jest, ...needing], { cwd: root, encoding: 'utf8' });
  expect(found).toContain('[]');
});
