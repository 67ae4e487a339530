// Builds lib/: compiles src, makes the CLI executable, and bundles the workflow code, so that a worker starts without webpack, and the console.
import { spawnSync } from 'node:child_process';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packagesOf, writeBillOfMaterials } from './bill-of-materials.mjs';
import { bundleConsole } from './console-bundle.mjs';
import { root, sourceStamp, stampFile } from './source-stamp.mjs';

const lib = join(root, 'lib');
const require = createRequire(import.meta.url);

// What is changed while it is built is no part of it.
const stamp = sourceStamp();
rmSync(lib, { recursive: true, force: true });
const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
const compiled = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
if (compiled.status !== 0) process.exit(compiled.status ?? 1);
chmodSync(join(lib, 'app', 'main.js'), 0o755);

const { bundleWorkflowCode, DefaultLogger } = await import('@temporalio/worker');
const { workflowCode } = await import(pathToFileURL(join(lib, 'worker', 'deployment.js')).href);
const inWorkflows = await bundle('workflow-bundle.js', {});
// For workers that encrypt: what a workflow fails with is told by the code in its sandbox.
const inEncrypting = await bundle('encrypting-workflow-bundle.js', {
  failureConverterPath: join(lib, 'temporal', 'failure-converter.js'),
});
const inConsole = await bundleConsole();
writeBillOfMaterials({ console: inConsole, workflows: [...inWorkflows, ...inEncrypting] });
writeFileSync(stampFile, stamp);

/** Bundles the workflow code into this file, and returns the names of the packages that are in it. */
async function bundle(name, converters) {
  const { code } = await bundleWorkflowCode({
    ...workflowCode(),
    ...converters,
    logger: new DefaultLogger('WARN'),
  });
  const { sources, text } = withoutThisMachine(code);
  writeFileSync(join(lib, name), text);
  // What webpack adds to load the rest is named webpack/….
  return packagesOf(sources.map((path) => (path.startsWith('webpack/') ? `node_modules/${path}` : path)));
}

/** The bundle's source map with paths from here instead of this machine's, and without a second copy of all code. */
function withoutThisMachine(bundle) {
  const comment = '//# sourceMappingURL=data:application/json;charset=utf-8;base64,';
  const at = bundle.lastIndexOf(comment);
  if (at === -1) throw new Error('The bundle has no inline source map, which a worker needs.');
  const { sourcesContent: _, ...map } = JSON.parse(Buffer.from(bundle.slice(at + comment.length), 'base64').toString());
  const sources = map.sources.map((path) =>
    path.startsWith(root) ? relative(lib, path) : path.replaceAll(root, '..'),
  );
  const encoded = Buffer.from(JSON.stringify({ ...map, sources })).toString('base64');
  return { sources, text: `${bundle.slice(0, at)}${comment}${encoded}` };
}
