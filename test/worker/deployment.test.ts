import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ConfigError, loadConfig } from '../../src/config/config.ts';
import { workerDeployment } from '../../src/worker/deployment.ts';
import { release } from '../../src/worker/release.ts';

function configOf(variables: NodeJS.ProcessEnv) {
  return loadConfig({ env: variables });
}

test('a worker without a deployment name is unversioned', () => {
  expect(workerDeployment(configOf({}), { code: 'a' })).toBeUndefined();
});

test('runs stay with the build that began them, unless their workflow says otherwise', () => {
  const config = configOf({ TRIGGERS_DEPLOYMENT_NAME: 'crm', TRIGGERS_BUILD_ID: '7' });
  expect(workerDeployment(config, undefined)).toEqual({
    options: {
      version: { deploymentName: 'crm', buildId: '7' },
      useWorkerVersioning: true,
      defaultVersioningBehavior: 'PINNED',
    },
    version: 'crm:7',
  });
});

test('without a build id it is the release and a checksum of the workflow code, wherever that is', () => {
  const config = configOf({ TRIGGERS_DEPLOYMENT_NAME: 'crm' });
  const version = (code: string) => workerDeployment(config, { code })?.version;
  expect(version('a')).toMatch(new RegExp(`^crm:${release().replaceAll('.', '\\.')}-[0-9a-f]{12}$`));
  expect(version('a')).not.toBe(version('b'));
  const folder = mkdtempSync(join(tmpdir(), 'bundle-'));
  try {
    const codePath = join(folder, 'bundle.js');
    writeFileSync(codePath, 'a');
    expect(workerDeployment(config, { codePath })?.version).toBe(version('a'));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a build id has to be given where the workflow code is bundled only when the worker starts', () => {
  const config = configOf({ TRIGGERS_DEPLOYMENT_NAME: 'crm' });
  expect(() => workerDeployment(config, undefined)).toThrow(ConfigError);
  expect(() => workerDeployment(config, undefined)).toThrow(/TRIGGERS_BUILD_ID/);
});
