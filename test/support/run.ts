import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { findTemporalCli } from '../../src/features/local/temporal-cli.ts';
import { startLocalTemporal } from '../../src/features/local/temporal-server.ts';
import { workflowCode } from '../../src/worker/deployment.ts';
import { root, sourceStamp, stampFile } from '../../scripts/source-stamp.mjs';
import type { TestTemporal } from './temporal.ts';

/** Makes what all test files of a run share; only for jest's global set-up. */
export async function startRun(folder: string): Promise<{ facts: TestTemporal; stop: () => Promise<void> }> {
  const cli = await findTemporalCli({ onProgress: (text) => console.error(text) });
  const [server, ...bundles] = await Promise.all([
    startLocalTemporal({ cliPath: cli.path, http: true }),
    bundleWorkflows(folder, 'workflow-bundle.js'),
    bundleWorkflows(folder, 'encrypting-workflow-bundle.js', {
      failureConverterPath: source('temporal/failure-converter.ts'),
    }),
  ]);
  const [workflowBundle, encryptingWorkflowBundle] = bundles;
  const { address, namespace, httpUrl = '' } = server;
  return {
    facts: { folder, address, namespace, httpUrl, cliPath: cli.path, workflowBundle, encryptingWorkflowBundle },
    stop: async () => {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function source(path: string): string {
  return fileURLToPath(new URL(`../../src/${path}`, import.meta.url));
}

/** The bundle that a fresh build has anyway costs nothing; another one costs five seconds of a core. */
async function bundleWorkflows(
  folder: string,
  name: string,
  converters: { readonly failureConverterPath?: string } = {},
): Promise<{ codePath: string }> {
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === sourceStamp())
    return { codePath: join(root, 'lib', name) };
  const { code } = await bundleWorkflowCode({
    ...workflowCode(),
    ...converters,
    logger: new DefaultLogger('WARN'),
  });
  const codePath = join(folder, name);
  writeFileSync(codePath, code);
  return { codePath };
}
