// Tells whether lib is what the source makes, for whoever builds it and whoever needs it.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Holds the stamp of the source that lib was built from; a build writes it last. */
export const stampFile = join(root, 'lib', '.built-from');

/** Everything that lib is made from. */
export const MADE_FROM = [
  'package-lock.json',
  'package.json',
  'scripts/bill-of-materials.mjs',
  'scripts/build.mjs',
  'scripts/console-bundle.mjs',
  'src',
  'tsconfig.build.json',
  'tsconfig.json',
];

/** A hash of everything that lib is made from: content, not times, since git sets times as it likes. */
export function sourceStamp() {
  const hash = createHash('sha256');
  const add = (path) => {
    if (statSync(join(root, path)).isDirectory()) {
      for (const name of readdirSync(join(root, path)).sort()) add(join(path, name));
    } else {
      hash.update(`${path}\0`).update(readFileSync(join(root, path)));
    }
  };
  for (const path of MADE_FROM) add(path);
  return hash.digest('hex');
}
