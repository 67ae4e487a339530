import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { request } from 'undici';
import { Lab } from '../support/lab.ts';
import { temporal } from '../support/temporal.ts';
import { startTriggers } from '../support/triggers-cli.ts';
import { aWayTo } from '../support/silent-way.ts';
import { answerWhen } from '../support/patience.ts';

test('while Temporal takes connections and never answers, it ends within ten seconds, and whoever waits is told so', async () => {
  const lab = await Lab.open();
  const job = await lab.start();
  const { host, port, silence, close } = await aWayTo(temporal.address);
  const env = { TEMPORAL_ADDRESS: `${host}:${port}`, TRIGGERS_TASK_QUEUE: lab.taskQueue };
  const program = startTriggers(['api', '--port', '0', '--json'], { env });
  await program.says(({ stdout }) => stdout.endsWith('\n'));
  const { apiUrl } = JSON.parse(program.stdout) as { apiUrl: string }; // As `api --json` says it.
  const ask = async (path: string, asked: Parameters<typeof request>[1] = {}): Promise<unknown> => {
    const { statusCode, body } = await request(new URL(path, apiUrl), asked);
    return { status: statusCode, body: await body.json() };
  };
  const trigger = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ audience: 'vip', user: '1', event: 'enter' }),
  } as const;
  // It knows by now what this job listens to, so the next trigger waits for the job itself.
  expect(await ask(`/v1/jobs/${job}/triggers`, trigger)).toMatchObject({ status: 202 });
  const stream = await request(new URL(`/v1/jobs/${job}/status/stream`, apiUrl));
  silence();
  const waiting = Promise.all([
    ask(`/v1/jobs/${job}/triggers`, trigger),
    ask('/v1/triggers', trigger),
    ask('/v1/jobs/crm/triggers', trigger),
    ask('/v1/jobs/crm/pause', { method: 'POST' }),
    ask('/v1/jobs/crm/status/stream'),
    ask('/v1/overview'),
  ]);
  // All of them are under way once another one, which came after them, is answered.
  expect(await ask('/healthz')).toMatchObject({ status: 200 });
  const askedAt = performance.now();
  program.signal('SIGTERM');
  for (const answer of await waiting) expect(answer).toMatchObject({ status: 503, body: { code: 'Closing' } });
  expect(await stream.body.text()).toContain('event: status');
  expect(await program.end()).toMatchObject({ code: 0, stderr: '' });
  expect(performance.now() - askedAt).toBeLessThan(10_000);
  close();
  await lab.close();
});

test('while its changed configuration cannot be used, it says so and is ready, and so it is once that is mended', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'api-config-'));
  const path = join(folder, 'triggers.config.json');
  writeFileSync(path, '{}');
  const program = startTriggers(['api', '--port', '0', '--json'], { env: { TRIGGERS_CONFIG: path } });
  try {
    await program.says(({ stdout }) => stdout.endsWith('\n'));
    const { apiUrl } = JSON.parse(program.stdout) as { apiUrl: string }; // As `api --json` says it.
    const ready = async (): Promise<unknown> => {
      const { statusCode, body } = await request(new URL('/readyz', apiUrl));
      return { status: statusCode, ...((await body.json()) as object) };
    };
    expect(await ready()).toEqual({ status: 200, ok: true });
    writeFileSync(path, '{ "apiKeys": "canary" }');
    const told = await answerWhen(ready, (answer) => JSON.stringify(answer).includes('problem'));
    expect(told).toEqual({ status: 200, ok: true, problem: expect.stringContaining('cannot be used') });
    expect(program.stderr).toContain('the changed configuration cannot be used');
    writeFileSync(path, '{}');
    await answerWhen(ready, (answer) => !JSON.stringify(answer).includes('problem'));
  } finally {
    await program.kill();
    rmSync(folder, { recursive: true });
  }
});
