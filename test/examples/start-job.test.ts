import { randomBytes, randomUUID } from 'node:crypto';
import { copyFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { runProgram } from '../../src/features/local/run-program.ts';
import { apiOf } from '../api/an-api.ts';
import { Lab } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { temporal } from '../support/temporal.ts';
import { tempFolder } from '../support/temp-folder.ts';

const example = fileURLToPath(new URL('../../examples/start-job.ts', import.meta.url));

test('the example script starts its job and delivers an enter and an exit; a second run finds the job', async () => {
  // The example takes the default task queue, as a person does who runs it by hand.
  const lab = await Lab.open({ config: { taskQueue: 'audience-triggers' } });
  const folder = tempFolder();
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
  }
});

describe('a client of the API', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url));

  test('a client that is generated from /openapi.json compiles, and does all that the example asks of it', async () => {
    // Nobody else's job on this server subscribes to it.
    const own = { id: randomBytes(16).toString('hex'), slug: `client-${randomUUID()}`, name: 'Of a client' };
    const lab = await Lab.open({ content: { audiences: [{ ...own, members: [] }] } });
    const api = await apiOf(lab);
    const folder = tempFolder();
    const run = async (script: string, ...args: string[]): Promise<string> => {
      const env = {
        PATH: process.env['PATH'],
        WEBHOOK_URL: lab.receiver.url,
        TRIGGERS_API: api.url,
        JOB: job,
        AUDIENCE: own.slug,
      };
      const program = [join(root, 'node_modules', script), ...args];
      return (await runProgram(process.execPath, program, { timeoutMs: 120_000, env, cwd: folder })).stdout;
    };
    const job = `client-${randomUUID()}`;
    try {
      symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
      copyFileSync(join(root, 'examples', 'api-client.mts'), join(folder, 'api-client.mts'));
      writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
      const compilerOptions = {
        module: 'nodenext',
        target: 'es2023',
        types: ['node'],
        strict: true,
        noEmit: true,
        allowImportingTsExtensions: true,
        skipLibCheck: true,
      };
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.mts', '*.ts'] }));
      await run('openapi-typescript/bin/cli.js', `${api.url}/openapi.json`, '-o', 'api-types.ts');
      await run('typescript/bin/tsc');

      const said = JSON.parse(await run('tsx/dist/cli.mjs', 'api-client.mts')) as object;
      expect(said).toMatchObject({
        accepted: [1, 2, 1],
        state: 'running',
        parallelRequestCount: 7,
        refused: 'JobNotFound',
      });
      await lab.statusWhen(job, ({ delivered }) => delivered >= 3);
      const listed = await answerWhen(
        async () =>
          JSON.parse(await run('tsx/dist/cli.mjs', 'api-client.mts')) as { readonly listed: readonly string[] },
        ({ listed }) => listed.length > 0,
      );
      expect(listed.listed).toEqual([job]);
    } finally {
      await api.close();
      await lab.close();
    }
  });
});
