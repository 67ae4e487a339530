import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { runProgram } from '../../src/local/run-program.ts';
import { Lab } from '../support/lab.ts';
import { temporal } from '../support/temporal.ts';

const example = fileURLToPath(new URL('../../examples/start-job.ts', import.meta.url));

test('the example script starts its job, sends an enter and an exit, and they arrive; run again, it finds the job', async () => {
  // The example takes the default task queue, as whoever runs it by hand does.
  const lab = await Lab.open({ config: { taskQueue: 'audience-triggers' } });
  const folder = mkdtempSync(join(tmpdir(), 'start-job-'));
  try {
    const file = join(folder, 'job.json');
    const webhookUrl = lab.receiver.url;
    writeFileSync(file, JSON.stringify({ label: 'An example', audiences: ['vip'], webhookUrl, authorization: null }));
    const user = '7076027172059065053';
    lab.source.setProfile(user, { email: 'beth@example.com' });
    const run = async () => {
      const env = { PATH: process.env['PATH'], HOME: folder, TEMPORAL_ADDRESS: temporal.address };
      const args = ['--import', 'tsx', example, file];
      const { stdout } = await runProgram(process.execPath, args, { timeoutMs: 30_000, env });
      return JSON.parse(stdout) as unknown;
    };
    expect(await run()).toMatchObject({ jobId: 'an-example', state: 'running', received: 2 });
    await lab.receiver.ledger.waitFor(({ delivered }) => delivered === 2);
    const told = lab.receiver.ledger.entries.map(({ message }) => [message?.user, message?.event]);
    expect(told).toEqual([
      [user, 'enter'],
      [user, 'exit'],
    ]);
    expect(await run()).toMatchObject({ jobId: 'an-example', received: 4 });
    await lab.receiver.ledger.waitFor(({ delivered }) => delivered === 4);
    await lab.jobs.stop('an-example');
    await lab.handle('an-example').result();
  } finally {
    await lab.close();
    rmSync(folder, { recursive: true });
  }
});
