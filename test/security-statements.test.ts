import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { TIERS } from './tiers.mjs';

const folder = fileURLToPath(new URL('.', import.meta.url));
const STATEMENTS = Array.from({ length: 50 }, (_, i) => i + 1);

/** The rows of the table in SECURITY.md: which files it names for a statement. */
const named = new Map<number, string[]>();
const security = readFileSync(join(folder, '../SECURITY.md'), 'utf8');
for (const [, statement, files = ''] of security.matchAll(/^\| (\d+) +\|.*\|([^|]*)\|$/gm))
  named.set(
    Number(statement),
    [...files.matchAll(/`([^`]+)`/g)].map(([, file = '']) => file),
  );

/** Which files have a test whose name begins with this statement, perhaps after others. */
const tested = new Map<number, string[]>();
for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
  if (!path.endsWith('.test.ts')) continue;
  const text = readFileSync(join(folder, path), 'utf8');
  const tags = [...text.matchAll(/(?<=['"])(?:\[S\d+\] )+/g)].flatMap(([all]) => all.match(/\d+/g) ?? []);
  for (const statement of new Set(tags.map(Number)))
    tested.set(statement, [...(tested.get(statement) ?? []), path.replace(/\.test\.ts$/, '')]);
}

test('SECURITY.md has a row for each statement, in order, and no other', () => {
  expect([...named.keys()]).toEqual(STATEMENTS);
});

test.each(STATEMENTS)(
  'statement %i has a test that is named after it, in each file that SECURITY.md names',
  (statement) => {
    const files = named.get(statement) ?? [];
    expect(files.length).toBeGreaterThan(0);
    expect(files.filter((file) => tested.get(statement)?.includes(file) !== true)).toEqual([]);
  },
);

/** Files that only `npm run test:all` runs. */
const slow = new Set<string>(TIERS.slow);

test.each(STATEMENTS)('`npm test` runs a test of statement %i', (statement) => {
  expect(named.get(statement)?.filter((file) => !slow.has(file))).not.toEqual([]);
});

test('SECURITY.md says which files only `npm run test:all` runs', () => {
  const [, list = ''] = /`npm run test:all` adds those in ([^.]*)\./.exec(security) ?? [];
  const said = [...list.matchAll(/`([^`]+)`/g)].map(([, file]) => file);
  expect(said).toEqual([...new Set([...named.values()].flat())].filter((file) => slow.has(file)).sort());
});

test('no test is named after a statement that does not exist', () => {
  expect([...tested.keys()].filter((statement) => !STATEMENTS.includes(statement))).toEqual([]);
});
