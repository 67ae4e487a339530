import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const root = fileURLToPath(new URL('..', import.meta.url));

test.each(['temporal', 'postgres', 'kafka'])('the quick suite has no test that needs support/%s', (server) => {
  const jest = ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', '--config', 'jest.quick.config.mjs'];
  const needing = ['--listTests', '--findRelatedTests', `test/support/${server}.ts`];
  const found = execFileSync(process.execPath, [...jest, ...needing], { cwd: root, encoding: 'utf8' });
  expect(found.split('\n').filter((line) => line !== '')).toEqual([]);
});
