// Bundles the console for browsers into lib/console: a page, and its script and style under names that change with what is in them.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { packagesOf } from './bill-of-materials.mjs';
import { root } from './source-stamp.mjs';

const require = createRequire(import.meta.url);

/** Returns the names of the packages that are in it. */
export async function bundleConsole() {
  const [source, made] = [join(root, 'src', 'console'), join(root, 'lib', 'console')];
  const assets = join(made, 'assets');
  // What the compiler has made of it is for nobody.
  rmSync(made, { recursive: true, force: true });
  mkdirSync(assets, { recursive: true });
  const bundle = await rolldown({
    input: join(root, 'src', 'app', 'console.tsx'),
    platform: 'browser',
    tsconfig: join(source, 'tsconfig.json'),
    checks: { invalidAnnotation: false },
  });
  const { output } = await bundle.write({
    dir: assets,
    format: 'esm',
    minify: true,
    entryFileNames: 'console-[hash].js',
    chunkFileNames: 'part-[hash].js',
    // Without comments that name files of this machine.
    comments: { legal: true, annotation: false },
  });
  await bundle.close();
  const script = output.find((one) => one.type === 'chunk' && one.isEntry).fileName;
  const css = [require.resolve('uplot/dist/uPlot.min.css'), join(source, 'console.css')]
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n');
  const style = `console-${createHash('sha256').update(css).digest('base64url').slice(0, 8)}.css`;
  writeFileSync(join(assets, style), css);
  const page = readFileSync(join(source, 'index.html'), 'utf8');
  writeFileSync(join(made, 'index.html'), page.replace('%SCRIPT%', script).replace('%STYLE%', style));
  const modules = output.flatMap((one) => (one.type === 'chunk' ? one.moduleIds : []));
  // rolldown's own are named \0rolldown/….
  return packagesOf([
    ...modules.map((id) => id.replace(/^\0rolldown\//, 'node_modules/rolldown/')),
    require.resolve('uplot'),
  ]);
}
