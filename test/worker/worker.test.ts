import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from '@jest/globals';
import { tempFolder } from '../support/temp-folder.ts';
import { temporal } from '../support/temporal.ts';

const LIB = new URL('../../lib/', import.meta.url).href;

const emptyFolder = tempFolder();

/** A program whose worker cannot start because `source` cannot be opened; it ends when nothing keeps it. */
const PROGRAM = `
import { startWorker } from '${LIB}worker/worker.js';
import { loadConfig } from '${LIB}config/config.js';
import { loadConnectConfig } from '${LIB}client/connect.js';
const failure = await startWorker({ config: loadConfig(), connection: loadConnectConfig() }).catch((error) => error);
process.stdout.write(failure.message);
`;

test('a worker that cannot start closes what it had opened, so that its process ends', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', PROGRAM], {
    env: {
      ...process.env,
      TEMPORAL_ADDRESS: temporal.address,
      TRIGGERS_SOURCE: emptyFolder,
      TRIGGERS_METRICS_PORT: '0',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 60_000,
  });
  let said = '';
  child.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  expect(said).toMatch(/audiences is not a folder that can be read/);
  expect({ code, signal }).toEqual({ code: 0, signal: null });
});
