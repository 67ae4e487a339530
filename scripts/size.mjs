// npm run size [-- REF]: the size of each room (lines of src and tests, words of docs), and its change since REF, by default the last tag.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './source-stamp.mjs';

const linesOf = (text) => text.split('\n').length - 1;
const wordsOf = (text) => text.split(/\s+/).filter((word) => /[\p{L}\d]/u.test(word)).length;
const KINDS = [
  { title: 'src, lines', path: /^(src(?:\/[^/]+(?=\/))?)\/.+\.(?:tsx?|js|css)$/, sizeOf: linesOf },
  { title: 'tests, lines', path: /^(test(?:\/[^/]+(?=\/))?)\/.+\.(?:ts|mjs)$/, sizeOf: linesOf },
  { title: 'docs, words', path: /^(docs(?:\/[^/]+(?=\/))?|[^/]+(?=\.md$)).*\.md$/, sizeOf: wordsOf },
];
const TOTAL = 'total';

const ref = process.argv[2] ?? git('tag', '--merged=HEAD', '--sort=-creatordate').split('\n')[0];
if (ref === '') {
  console.error('There is no tag yet. Name what to compare with: npm run size -- REF');
  process.exit(2);
}
const here = git('ls-files', '--cached', '--others', '--exclude-standard').split('\n');
const existing = here.filter((path) => existsSync(join(root, path)));
const now = sizesOf(existing, (path) => readFileSync(join(root, path), 'utf8'));
const before = sizesOf(git('ls-tree', '-r', '--name-only', ref).split('\n'), (path) => git('show', `${ref}:${path}`));

console.log(`The size of each room, and its change since ${ref}`);
for (const { title } of KINDS) {
  console.log(`\n${title}`);
  const rooms = new Set([...now[title].keys(), ...before[title].keys()]);
  for (const room of [...rooms].sort((a, b) => Number(a === TOTAL) - Number(b === TOTAL) || a.localeCompare(b))) {
    const size = now[title].get(room) ?? 0;
    const change = size - (before[title].get(room) ?? 0);
    console.log(`  ${room.padEnd(20)}${String(size).padStart(8)}${String(change).padStart(8)}`);
  }
}

/** For each kind, the size of each of its rooms, and of all together. */
function sizesOf(paths, read) {
  const sizes = Object.fromEntries(KINDS.map(({ title }) => [title, new Map()]));
  for (const path of paths) {
    for (const { title, path: pattern, sizeOf } of KINDS) {
      const room = pattern.exec(path)?.[1];
      if (room === undefined) continue;
      const size = sizeOf(read(path));
      for (const name of [room, TOTAL]) sizes[title].set(name, (sizes[title].get(name) ?? 0) + size);
    }
  }
  return sizes;
}

function git(...args) {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 });
}
