// npm run size [-- REF]: the size of each ring and folder (lines of src and tests, words of docs), and its change since REF: a release or what
// else git knows a commit by; by default the last release.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RELEASES } from '../releases.mjs';
import { ROOMS } from '../rooms.mjs';
import { root } from './source-stamp.mjs';

const linesOf = (text) => text.split('\n').length - 1;
const wordsOf = (text) => text.split(/\s+/).filter((word) => /[\p{L}\d]/u.test(word)).length;
const folderOf = (pattern) => (path) => pattern.exec(path)?.[1];
const KINDS = [
  { title: 'rings of src, lines', partOf: ringOf, sizeOf: linesOf },
  { title: 'src, lines', partOf: folderOf(/^(src(?:\/[^/]+(?=\/))?)\/.+\.(?:tsx?|js|css)$/), sizeOf: linesOf },
  { title: 'tests, lines', partOf: folderOf(/^(test(?:\/[^/]+(?=\/))?)\/.+\.(?:ts|mjs)$/), sizeOf: linesOf },
  { title: 'docs, words', partOf: folderOf(/^(docs(?:\/[^/]+(?=\/))?|[^/]+(?=\.md$)).*\.md$/), sizeOf: wordsOf },
];
const TOTAL = 'total';

const name = process.argv[2] ?? Object.keys(RELEASES).at(-1);
const ref = RELEASES[name] ?? name;
const here = git('ls-files', '--cached', '--others', '--exclude-standard').split('\n');
const existing = here.filter((path) => existsSync(join(root, path)));
const now = sizesOf(existing, (path) => readFileSync(join(root, path), 'utf8'));
const before = sizesOf(git('ls-tree', '-r', '--name-only', ref).split('\n'), (path) => git('show', `${ref}:${path}`));

console.log(`The size of each part, and its change since ${name}`);
for (const { title } of KINDS) {
  console.log(`\n${title}`);
  const parts = new Set([...now[title].keys(), ...before[title].keys()]);
  for (const part of [...parts].sort((a, b) => Number(a === TOTAL) - Number(b === TOTAL) || a.localeCompare(b))) {
    const size = now[title].get(part) ?? 0;
    const change = size - (before[title].get(part) ?? 0);
    console.log(`  ${part.padEnd(20)}${String(size).padStart(8)}${String(change).padStart(8)}`);
  }
}

/** The ring of a file of src: that of its room, by the longest path. A file of an older tree may be in none. */
function ringOf(path) {
  if (!/^src\/.+\.(?:tsx?|js|css)$/.test(path)) return undefined;
  const place = path.slice('src/'.length).split('/');
  const isIn = ([room]) => room.split('/').every((part, i) => part === place[i] || part === '*');
  const [found] = Object.entries(ROOMS)
    .filter(isIn)
    .sort(([a], [b]) => b.length - a.length);
  return found?.[1].ring ?? 'in no room';
}

/** For each kind, the size of each of its parts, and of all together. */
function sizesOf(paths, read) {
  const sizes = Object.fromEntries(KINDS.map(({ title }) => [title, new Map()]));
  for (const path of paths) {
    for (const { title, partOf, sizeOf } of KINDS) {
      const part = partOf(path);
      if (part === undefined) continue;
      const size = sizeOf(read(path));
      for (const one of [part, TOTAL]) sizes[title].set(one, (sizes[title].get(one) ?? 0) + size);
    }
  }
  return sizes;
}

function git(...args) {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 });
}
