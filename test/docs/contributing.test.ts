import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { root } from './pages.ts';

const page = readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8');
/** Its commands, with the tests that they name: `npm run test:all -- test/ops/containers`. */
const commands = [...page.matchAll(/npm (?:run )?(?!(?:ci|install)\b)([a-z][a-z:-]*)(?: -- (test\/[\w./-]+))?/g)].map(
  ([command, script = '', tests]) => ({ command, script, tests }),
);

test('each command of CONTRIBUTING is a script of this package', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object };
  expect(commands.length).toBeGreaterThan(5);
  expect(commands.filter(({ script }) => !Object.hasOwn(scripts, script))).toEqual([]);
});

test.each(commands.filter(({ tests }) => tests !== undefined))(
  '$command runs those tests, and no others',
  ({ script, tests = '' }) => {
    const args = ['run', '--silent', script, '--', tests, '--listTests'];
    const listed = execFileSync('npm', args, { cwd: root, encoding: 'utf8' }).trim().split('\n');
    expect(listed.filter((path) => !path.startsWith(join(root, tests)))).toEqual([]);
  },
);
