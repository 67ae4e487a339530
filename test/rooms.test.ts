import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execFileSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { format, resolveConfig } from 'prettier';
import { ROOMS } from '../rooms.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const isFile = (room: string): boolean => /\.\w+$/.test(room);
const rooms = Object.entries(ROOMS);
/** A room of any feature, as one feature has it. */
const named = (room: string): string => room.replace('*', 'watch');

/** Whether a file of this room is in one of those. */
const isAmong = (room: string, others: readonly string[]): boolean =>
  others.map(named).some((other) => named(room) === other || named(room).startsWith(`${other}/`));

interface Cruised {
  readonly summary: { readonly violations: readonly { readonly from: string; readonly to: string }[] };
}

/** Plants files with these imports, and returns those that are refused: `from → to`. */
function refused(planted: ReadonlyMap<string, string>): Set<string> {
  const folder = mkdtempSync(join(tmpdir(), 'audience-triggers-test-'));
  try {
    for (const [path, text] of planted) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    for (const name of ['rooms.mjs', '.dependency-cruiser.mjs', 'tsconfig.json'])
      writeFileSync(join(folder, name), name === 'tsconfig.json' ? '{}' : readFileSync(join(root, name)));
    const cruise = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
    const args = [cruise, '--config', '.dependency-cruiser.mjs', 'src', '--output-type', 'json'];
    const out = execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8', maxBuffer: 1 << 28 });
    const { summary } = JSON.parse(out) as Cruised;
    return new Set(summary.violations.map(({ from, to }) => `${from} → ${to}`));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('each room may import what its line allows, and nothing else: neither values, nor types, nor packages', () => {
  const planted = new Map<string, string>();
  const wanted = new Map<string, boolean>();
  const place = (room: string, name: string): string => `src/${named(isFile(room) ? room : `${room}/${name}.ts`)}`;
  for (const [room] of rooms) planted.set(place(room, 'target'), 'export type T = 1; export const v = 1;');
  for (const [room, { values, types = [], packages }] of rooms) {
    // A room that is one file holds all its imports.
    const lines: string[] = [];
    const plant = (line: string, to: string, name: string, isAllowed: boolean): void => {
      const from = place(room, name);
      if (isFile(room)) lines.push(line);
      else planted.set(from, line);
      wanted.set(`${from} → ${to}`, isAllowed);
    };
    for (const [other] of rooms) {
      if (other === room) continue;
      const to = place(other, 'target');
      const specifier = `/${to}`;
      const isValue = isAmong(other, values) || isAmong(other, [room]);
      const isType = isValue || isAmong(other, types);
      if (!isFile(room))
        plant(`import type { T } from '${specifier}';`, to, `type-of-${other.replaceAll('/', '-')}`, isType);
      plant(`import { v } from '${specifier}';`, to, `value-of-${other.replaceAll('/', '-')}`, isValue);
    }
    plant("import 'node:fs';", 'fs', 'node', packages.includes('node'));
    plant("import 'left-pad';", 'left-pad', 'package', false);
    if (isFile(room)) planted.set(place(room, ''), [...lines, 'export type T = 1; export const v = 1;'].join('\n'));
  }
  const found = refused(planted);
  expect([...found].filter((one) => wanted.get(one) !== false)).toEqual([]);
  expect([...wanted].filter(([one, isAllowed]) => !isAllowed && !found.has(one))).toEqual([]);
});

/** The folders that import from one another in a circle, types included; a folder and one inside it count as two. */
function circlesOf(texts: ReadonlyMap<string, string>): string[] {
  const imports = new Map<string, Set<string>>();
  for (const [path, text] of texts) {
    const from = dirname(path);
    for (const [, specifier = ''] of text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)) {
      const to = dirname(join(from, specifier));
      if (to !== from) imports.set(from, (imports.get(from) ?? new Set()).add(to));
    }
  }
  const reached = (from: string, found = new Set<string>()): Set<string> => {
    for (const to of imports.get(from) ?? []) if (!found.has(to)) reached(to, found.add(to));
    return found;
  };
  return [...imports.keys()].filter((folder) => reached(folder).has(folder)).sort();
}

test('folders form no circle, types included, nor does a folder with one inside it', () => {
  const planted = new Map([
    ['src/client/one.ts', "import type { T } from './jobs/two.ts';"],
    ['src/client/jobs/two.ts', "import type { V } from '../three.ts';"],
    ['src/words/one.ts', "import { v } from '../domain/two.ts';"],
    ['src/app/one.ts', "import { v } from '../client/one.ts';"],
  ]);
  expect(circlesOf(planted)).toEqual(['src/client', 'src/client/jobs']);
  const own = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.tsx?$/.test(path))
    .map((path) => [join('src', path), readFileSync(join(root, 'src', path), 'utf8')] as const);
  expect(circlesOf(new Map(own))).toEqual([]);
});

const RINGS = ['machine', 'shell', 'feature', 'app'];

/** The rings of a room, or of the room that a file is in, and of the rooms within it. */
function ringsOf(place: string): string[] {
  const around = rooms.filter(([room]) => isAmong(place, [room])).sort(([a], [b]) => b.length - a.length);
  const within = rooms.filter(([room]) => isAmong(room, [place]));
  return [...around.slice(0, 1), ...within].map(([, { ring }]) => ring);
}

test('no room imports from a ring above its own: the machine no shell, neither of them a feature', () => {
  const upward = rooms.flatMap(([room, { ring, values, types = [] }]) =>
    [...values, ...types]
      .filter((place) => ringsOf(place).some((other) => RINGS.indexOf(other) > RINGS.indexOf(ring)))
      .map((place) => `${room} → ${place}`),
  );
  expect(upward).toEqual([]);
});

/** A picture of the rings, each with its rooms, and an arrow to each ring that one of them imports from. */
function picture(): string {
  const drawn = RINGS.toReversed().flatMap((ring) => {
    const names = rooms.filter(([room, one]) => one.ring === ring && !/[.*]/.test(room)).map(([room]) => room);
    const others = rooms
      .filter(([, one]) => one.ring === ring)
      .flatMap(([, { values }]) => values.flatMap((place) => ringsOf(place).slice(0, 1)));
    const text = names.map((room) => room.replace('features/', '')).join(', ');
    const arrows = RINGS.filter((other) => other !== ring && others.includes(other));
    return [`  ${ring}["${ring}: ${text}"]`, ...arrows.map((other) => `  ${ring} --> ${other}`)];
  });
  return ['```mermaid', 'flowchart TB', ...drawn, '```'].join('\n');
}

/** CONTRIBUTING, with this text between its marks. */
function written(text: string, mark: string, content: string): string {
  const [before = '', rest = ''] = text.split(`<!-- ${mark}:begin -->`);
  const after = rest.split(`<!-- ${mark}:end -->`)[1] ?? '';
  return `${before}<!-- ${mark}:begin -->\n\n${content}\n\n<!-- ${mark}:end -->${after}`;
}

test('CONTRIBUTING has the rings and the table of rooms as rooms.mjs has them', async () => {
  const path = join(root, 'CONTRIBUTING.md');
  const code = (list: readonly string[]): string => list.map((one) => `\`${one}\``).join(', ');
  const rows = rooms.map(([room, { holds, values, types = [], packages }]) =>
    ['', `\`${room}\``, holds, code(values), code(types), code(packages), ''].join(' | ').trim(),
  );
  const head = ['| room | what it holds | imports | imports types of | packages |', '| --- | --- | --- | --- | --- |'];
  const text = written(readFileSync(path, 'utf8'), 'rings', picture());
  const whole = written(text, 'rooms', [...head, ...rows].join('\n'));
  const formatted = await format(whole, { ...(await resolveConfig(path)), parser: 'markdown' });
  if (process.env['WRITE_ROOMS'] === '1') writeFileSync(path, formatted);
  expect(readFileSync(path, 'utf8')).toBe(formatted);
});
