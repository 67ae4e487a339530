import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

interface Locked {
  readonly version: string;
  readonly license?: string;
  readonly dev?: true;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly hasInstallScript?: true;
}
type Wanted = Readonly<Record<string, string>>;

// As npm writes them.
const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<string, Wanted>;
const lock = JSON.parse(read('package-lock.json')) as { packages: Record<string, Locked> };
const { '': _ours, ...packages } = lock.packages;
const direct = { ...dependencies, ...devDependencies };

/** What is installed where the package is, and what comes with a checkout only. */
const PRODUCTION = new Set(
  'MIT ISC 0BSD BSD-2-Clause BSD-3-Clause Apache-2.0 BlueOak-1.0.0 Unlicense CC-BY-4.0'.split(' '),
);
const DEVELOPMENT = new Set([...PRODUCTION, 'CC0-1.0', 'MPL-2.0', 'Python-2.0']);
/** What package-lock.json has no licence of, and how the LICENSE file begins that says which it is. */
const STATED: Readonly<Record<string, readonly [licence: string, text: string]>> = {
  'unionfs@4.6.0': ['Unlicense', 'This is free and unencumbered software released into the public domain.'],
};
/** Install scripts that come with the package, and why they may. Everything runs without them, too: the image installs with --ignore-scripts. */
const INSTALL_SCRIPTS: Readonly<Record<string, string>> = {
  'node_modules/@swc/core': 'looks whether the binary of this platform was installed, for the bundler of workflow code',
  'node_modules/@grpc/proto-loader/node_modules/protobufjs': 'warns of a range of versions, and does nothing else',
};

function nameOf(path: string): string {
  return path.replace(/^.*node_modules\//, '');
}

function licenceOf(path: string, { license, version }: Locked): string | undefined {
  return license ?? STATED[`${nameOf(path)}@${version}`]?.[0];
}

/** Whether an SPDX expression can be had by what is allowed: all of an AND, one of an OR. Others are not known here. */
function isAllowed(expression: string | undefined, allowed: ReadonlySet<string>): boolean {
  if (expression === undefined) return false;
  const plain = expression.replace(/^\((.*)\)$/, '$1');
  if (plain.includes(' OR ')) return plain.split(' OR ').some((one) => allowed.has(one));
  return plain.split(' AND ').every((one) => allowed.has(one));
}

function refused(of: Record<string, Locked>): string[] {
  return Object.entries(of)
    .filter(([path, one]) => !isAllowed(licenceOf(path, one), one.dev === true ? DEVELOPMENT : PRODUCTION))
    .map(([path, one]) => `${nameOf(path)}@${one.version}: ${licenceOf(path, one) ?? 'no licence'}`);
}

test('every package has a licence that is allowed, for development or in production', () => {
  expect(Object.keys(packages).length).toBeGreaterThan(300);
  expect(refused(packages)).toEqual([]);
});

test.each([
  ['none', {}, 'p@1.0.0: no licence'],
  ['one that nobody has looked at', { license: 'GPL-3.0-only' }, 'p@1.0.0: GPL-3.0-only'],
  ['one for development only', { license: 'MPL-2.0' }, 'p@1.0.0: MPL-2.0'],
  ['one more than is allowed', { license: 'MIT AND GPL-3.0-only' }, 'p@1.0.0: MIT AND GPL-3.0-only'],
  ['a file of its own', { license: 'SEE LICENSE IN LICENSE.md' }, 'p@1.0.0: SEE LICENSE IN LICENSE.md'],
])('a package would be refused that has %s', (_, licence, said) => {
  expect(refused({ 'node_modules/p': { version: '1.0.0', ...licence } })).toEqual([said]);
});

test('a licence that may be chosen is enough', () => {
  expect(refused({ 'node_modules/p': { version: '1.0.0', license: '(MIT OR GPL-3.0-only)' } })).toEqual([]);
});

test('each package whose licence npm does not know has it in a file of its own', () => {
  const without = Object.entries(packages).filter(([, { license }]) => license === undefined);
  expect(without.map(([path, { version }]) => `${nameOf(path)}@${version}`)).toEqual(Object.keys(STATED));
  for (const [ref, [, text]] of Object.entries(STATED))
    expect(read(`node_modules/${ref.replace(/@[^@]+$/, '')}/LICENSE`)).toMatch(new RegExp(`^${text}`));
});

test('no package that comes along runs a script when it is installed, but those that are named here', () => {
  const running = Object.entries(packages).filter(([, one]) => one.hasInstallScript === true && one.dev !== true);
  expect(running.map(([path]) => path).sort()).toEqual(Object.keys(INSTALL_SCRIPTS).sort());
});

test('every version in package.json is exact, and the same as in package-lock.json', () => {
  for (const [name, version] of Object.entries(direct)) {
    expect([name, version]).toEqual([name, expect.stringMatching(/^\d+\.\d+\.\d+(-[\w.]+)?$/)]);
    expect([name, packages[`node_modules/${name}`]?.version]).toEqual([name, version]);
  }
  expect(lock.packages['']).toMatchObject({ dependencies, devDependencies });
});

test('package-lock.json has the checksum of everything, and names no registry', () => {
  expect(Object.entries(packages).filter(([, { integrity = '' }]) => !integrity.startsWith('sha512-'))).toEqual([]);
  expect(Object.entries(packages).filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
});

/** The rows of a table in docs/dependencies.md, below its heading. */
function rowsUnder(heading: string): string[][] {
  const [, section = ''] = read('docs/dependencies.md').split(`\n## ${heading}\n`);
  const [table = ''] = section.split('\n## ');
  return table
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim()));
}

test.each([
  ['With the package', dependencies ?? {}],
  ['For development', devDependencies ?? {}],
])(
  'docs/dependencies.md, %s: each dependency has a line, dated, with its licence, and no line is without one',
  (heading, wanted) => {
    const rows = rowsUnder(heading);
    expect(rows.map(([, name = '']) => name.replaceAll('`', '')).sort()).toEqual(Object.keys(wanted).sort());
    for (const [, cell = '', why, licence, leaving, date, ...rest] of rows) {
      const name = cell.replaceAll('`', '');
      expect({ name, why, licence, leaving, date, rest }).toEqual({
        name,
        why: expect.stringMatching(/\w{3}/),
        licence: packages[`node_modules/${name}`]?.license,
        leaving: expect.stringMatching(/\w{3}/),
        date: expect.stringMatching(/^20\d\d-\d\d-\d\d$/),
        rest: [''],
      });
    }
  },
);
