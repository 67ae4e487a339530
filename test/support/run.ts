import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { findTemporalCli } from '../../src/local/temporal-cli.ts';
import { startLocalTemporal } from '../../src/local/temporal-server.ts';
import type { TestTemporal } from './temporal.ts';

/** Makes what all test files of a run share; only for jest's global set-up. */
export async function startRun(folder: string): Promise<{ facts: TestTemporal; stop: () => Promise<void> }> {
  const cli = await findTemporalCli({ onProgress: (text) => console.error(text) });
  const [server, codePath] = await Promise.all([startLocalTemporal({ cliPath: cli.path }), bundleWorkflows(folder)]);
  const { address, namespace, httpUrl } = server;
  return {
    facts: { address, namespace, httpUrl, cliPath: cli.path, workflowBundle: { codePath } },
    stop: async () => {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function bundleWorkflows(folder: string): Promise<string> {
  const source = (path: string) => fileURLToPath(new URL(`../../src/${path}`, import.meta.url));
  const { code } = await bundleWorkflowCode({
    workflowsPath: source('workflows/index.ts'),
    payloadConverterPath: source('payload-converter.ts'),
    logger: new DefaultLogger('WARN'),
  });
  const path = join(folder, 'workflow-bundle.js');
  writeFileSync(path, code);
  return path;
}
