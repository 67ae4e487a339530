// Once per run: bundles the workflow code and starts one Temporal server, in memory, which all test files share.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { register } from 'tsx/esm/api';

export default async function setUp() {
  // Jest does not transform what this file imports, and Node 20 runs no TypeScript.
  const unregister = register();
  const { startRun } = await import('./run.ts');
  await unregister();
  const folder = mkdtempSync(join(tmpdir(), 'audience-triggers-test-'));
  // Where tests start must not depend on who runs them: none may ever reach a server or a configuration of the user's.
  for (const name of Object.keys(process.env))
    if (/^(TEMPORAL|TRIGGERS)_(?!CLI_PATH)/.test(name)) delete process.env[name];
  const run = await startRun(folder);
  process.env['TEST_TEMPORAL'] = JSON.stringify(run.facts);
  globalThis.stopTestRun = run.stop;
}
