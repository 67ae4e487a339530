import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { writeSampleSource } from '../../demo/sample-data.ts';
import { type Receiver, startReceiver } from '../../src/local/receiver.ts';
import { Operator, type Program, startTriggers } from '../support/triggers-cli.ts';

const OLD = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const OLDER = `whsec_${Buffer.alloc(32, 6).toString('base64')}`;
const NEW = `whsec_${Buffer.alloc(32, 8).toString('base64')}`;

let folder: string;
let receiver: Receiver;
let worker: Program;
let operator: Operator;
const taskQueue = `authorizations-${randomUUID()}`;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'authorizations-test-'));
  await writeSampleSource(join(folder, 'audiences'), { people: 5 });
  // Nobody comes in but with the new token.
  receiver = await startReceiver({
    keepBodies: true,
    answer: (_, { headers }) => (headers.authorization === 'Bearer new-token' ? undefined : { status: 401 }),
  });
  writeFileSync(join(folder, 'token'), 'old-token\n');
  const origins = [new URL(receiver.url).origin];
  const until = '2999-12-31T00:00:00Z';
  const signingSecrets = [NEW, { secret: OLD, until }, { secret: OLDER, until: '2020-01-01T00:00:00Z' }];
  const crm = { origins, bearer: '${file:token}', signingSecrets };
  const other = { origins: ['https://other.example'], headers: { 'x-api-key': 'k' }, queryParameters: { a: 'b' } };
  writeFileSync(
    join(folder, 'triggers.config.json'),
    JSON.stringify({
      network: { allowHttp: true, allowAddresses: ['127.0.0.0/8'] },
      authorizations: { other, crm },
    }),
  );
  const env = {
    TRIGGERS_SOURCE: join(folder, 'audiences'),
    TRIGGERS_TASK_QUEUE: taskQueue,
    TRIGGERS_CONFIG: join(folder, 'triggers.config.json'),
  };
  worker = startTriggers(['worker'], { env });
  operator = new Operator(taskQueue);
  await worker.says(({ stdout }) => stdout.includes('Worker ready'));
});
afterAll(async () => {
  await worker.kill();
  await receiver.close();
  rmSync(folder, { recursive: true });
});

test('whoever reaches Temporal can ask which authorizations a worker has, and is told no value', async () => {
  const { stdout } = await operator.run(['authorizations', 'list']);
  expect(stdout).toBe(
    [
      'crm',
      '  Sends         bearer token, signature',
      `  To            ${new URL(receiver.url).origin}`,
      '  Old secret    signs until 2999-12-31T00:00:00Z',
      '  Old secret    signed until 2020-01-01T00:00:00Z',
      'other',
      '  Sends         headers, query parameters',
      '  To            https://other.example',
      '',
    ].join('\n'),
  );
  const { stdout: lines } = await operator.run(['authorizations', 'list', '--json']);
  expect(
    lines
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toMatchObject([
    { name: 'crm', kinds: ['bearer token', 'signature'] },
    { name: 'other', origins: ['https://other.example'], signingSecretsEnd: [] },
  ]);
});

test('a token that is changed in its file is sent by the running worker: what was refused before is delivered', async () => {
  const job = ['--label', taskQueue, '--audience', 'vip', '--url', receiver.url, '--authorization', 'crm'];
  const { jobId } = await operator.json<{ jobId: string }>(['start', ...job]);
  await operator.json(['push', jobId, '--exit', '--audience', 'vip', '--user', '1']);
  await receiver.ledger.waitFor(({ requests }) => requests > 0);
  writeFileSync(join(folder, 'token'), 'new-token\n');
  await receiver.ledger.waitFor(({ delivered }) => delivered === 1);
  const { headers } = receiver.ledger.entries.at(-1) ?? {};
  expect(headers?.['webhook-signature']).toMatch(/^v1,\S+ v1,\S+$/);
  expect(worker.stderr).toMatch(/authorizations were reloaded/);
  expect(worker.stderr).not.toMatch(/old-token|new-token|whsec_/);
});
