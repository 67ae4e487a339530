import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporal } from '../support/temporal.ts';
import { root } from './pages.ts';

/** `npx`, `triggers` and `temporal`, as a clone with a build has them; says the folder that they are in. */
export function toolsIn(folder: string): string {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  symlinkSync(temporal.cliPath, join(bin, 'temporal'));
  const main = join(root, 'lib', 'app', 'main.js');
  for (const [name, script] of [
    ['npx', 'exec "$@"'],
    ['triggers', `exec "${process.execPath}" "${main}" "$@"`],
  ] as const) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  return bin;
}
