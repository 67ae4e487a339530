import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { writeSampleSource } from '../../demo/sample-data.ts';
import type { Sample, SentSample } from '../../src/features/preview/sample.ts';
import { type Recorder, startRecorder } from '../../demo/recorder.ts';
import { jsonLines, Operator, type Program, startTriggers, unwrapped } from '../support/triggers-cli.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { givesToken } from '../webhook/an-authorization.ts';

const SIGNING = `whsec_${Buffer.alloc(32, 9).toString('base64')}`;

let folder: string;
let receiver: Recorder;
let issuer: Recorder;
let worker: Program;
/** What the endpoint answers instead of 200. */
let status: number | undefined;
const taskQueue = `samples-${randomUUID()}`;
const operator = new Operator(taskQueue);
const hook = () => `${receiver.url}s3cret-path?key=s3cret-key`;

function jobFile(name: string, changes: object): string {
  const job = { label: taskQueue, audiences: ['vip'], webhookUrl: hook(), authorization: null, ...changes };
  const file = join(folder, `${name}.json`);
  writeFileSync(file, JSON.stringify(job));
  return file;
}

beforeAll(async () => {
  folder = tempFolder();
  receiver = await startRecorder({
    keepBodies: true,
    answer: (_, { headers }) => {
      // Of the tokens, the first is stale by the time it comes.
      if (headers.authorization === 'Bearer s3cret-token-1') return { status: 401, body: 'stale: s3cret-token-1' };
      return status === undefined
        ? undefined
        : { status, body: `I was told ${headers.authorization ?? ''} s3cret-key` };
    },
  });
  issuer = await startRecorder({ answer: ({ number }) => givesToken(`s3cret-token-${number}`) });
  const origins = [new URL(receiver.url).origin];
  const oauth2 = { tokenUrl: issuer.url, clientId: 'me', clientSecret: 'client-s3cret' };
  writeFileSync(
    join(folder, 'triggers.config.json'),
    JSON.stringify({
      source: { kind: 'file', folder: join(process.cwd(), 'examples', 'data') },
      network: { allowHttp: true, allowAddresses: ['127.0.0.0/8'] },
      authorizations: { crm: { origins, oauth2, headers: { 'x-api-key': 's3cret-key' }, signingSecrets: [SIGNING] } },
    }),
  );
  const env = { TRIGGERS_TASK_QUEUE: taskQueue, TRIGGERS_CONFIG: join(folder, 'triggers.config.json') };
  worker = startTriggers(['worker'], { env });
  await worker.says(({ stdout }) => stdout.includes('Worker ready'));
});
afterAll(async () => {
  await worker.kill();
  await receiver.close();
  await issuer.close();
});

test('render shows the request of a real member, and sends nothing', async () => {
  const file = jobFile('plain', { exportFields: ['email'] });
  const { stdout, stderr, code } = await operator.run(['render', file]);
  expect(code).toBe(0);
  expect(stderr).toMatch(
    /^12645278470990184693 enters vip\. Nothing was sent\.\n\nMeaning of its answers\n +Delivered +2xx\n/,
  );
  const [head = '', body = ''] = stdout.split('\n\n');
  expect(head.split('\n')).toEqual([
    `POST ${new URL(receiver.url).origin}/…?key=…`,
    'content-type: application/json',
    expect.stringMatching(/^user-agent: audience-triggers\/\d/),
    expect.stringMatching(/^webhook-id: [0-9a-f]{32}$/),
    expect.stringMatching(/^webhook-timestamp: \d{10}$/),
  ]);
  expect(JSON.parse(body)).toMatchObject({
    id: '12645278470990184693',
    data: { email: 'sam@example.com', segment_events: [{ slug: 'vip', event: 'enter' }] },
    meta: { subscription_id: '0'.repeat(32) },
  });
  expect(receiver.ledger.requests).toBe(0);
});

test('render and test use an exit for a job of exits; an enter is only shown, with a warning', async () => {
  const file = jobFile('exits', { events: ['exit'], label: `${taskQueue} exits` });
  const { jobId } = await operator.json<{ jobId: string }>(['start', file]);
  const never = 'The job never sends an enter: its "events" leave those out.';
  for (const one of [file, jobId]) {
    expect(await operator.json<Sample>(['render', one])).not.toHaveProperty('warnings');
    expect(await operator.json<SentSample>(['test', one])).toMatchObject({ event: 'exit', verdict: 'delivered' });
    const { event, warnings } = await operator.json<Sample>(['render', one, '--event', 'enter']);
    expect([event, warnings]).toEqual(['enter', [never]]);
    const before = receiver.ledger.requests;
    const { code, stderr } = await operator.run(['test', one, '--event', 'enter', '--json']);
    expect([code, JSON.parse(stderr)]).toMatchObject([1, { error: { name: 'NoSample', problem: { field: 'event' } } }]);
    expect(receiver.ledger.requests).toBe(before);
  }
});

test('a job file is rendered byte for byte as the job that it makes', async () => {
  const parts =
    '{{ audience | json }} {{ data | json }} {{ job.label }} {{ event }} {{ action }} {{ attempt }} {{ id }}';
  const file = jobFile('bytes', { contentType: 'text/plain', body: parts, label: `${taskQueue} bytes` });
  const { jobId } = await operator.json<{ jobId: string }>(['start', file]);
  const [ofFile, ofJob] = await Promise.all(
    [file, jobId].map(async (of) => (await operator.json<Sample>(['render', of])).request.body),
  );
  expect(ofFile).toBe(ofJob);
});

test('a running job is rendered by its own settings, in either format, with its secrets masked and its names kept', async () => {
  const before = receiver.ledger.requests;
  const file = jobFile('crm', { authorization: 'crm' });
  const { jobId } = await operator.json<{ jobId: string }>(['start', file]);
  const person = ['--user', '3318840061257794210', '--event', 'exit'];
  const sample = await operator.json<Sample>(['render', jobId, ...person, '--legacy']);
  expect(sample.request.headers.slice(4)).toEqual([
    ['x-api-key', '…'],
    ['authorization', 'Bearer …'],
    ['webhook-signature', 'v1,…'],
  ]);
  expect(JSON.parse(sample.request.body)).toMatchObject({
    data: { _audience_action: 'exited', first_name: 'Ines' },
    subscriptionid: expect.stringMatching(/^(?!0+$)[0-9a-f]{32}$/),
  });
  const other = await operator.json<Sample>(['render', jobId, ...person, '--new']);
  expect(JSON.parse(other.request.body)).toHaveProperty('meta');
  expect(receiver.ledger.requests).toBe(before);
});

test('one signed message is sent, again with a new token after a 401, and marks it', async () => {
  const before = receiver.ledger.entries.length;
  const { stdout, stderr, code } = await operator.run(['test', jobFile('crm', { authorization: 'crm' })]);
  expect([code, stderr]).toEqual([0, '12645278470990184693 enters vip. It was sent once, as a test.\n']);
  expect(stdout).toMatch(/^webhook-id: test-[0-9a-f]{32}$/m);
  expect(unwrapped(stdout)).toMatch(/Answer HTTP 200 .*first was answered 401.*Took \d+ ms.*count it as delivered\.$/);
  const arrived = receiver.ledger.entries.slice(before);
  expect(arrived.map(({ headers }) => headers?.authorization)).toEqual([
    'Bearer s3cret-token-1',
    'Bearer s3cret-token-2',
  ]);
  const { headers, body } = arrived[1] ?? {};
  expect(() => new Webhook(SIGNING).verify(body ?? '', headers as Record<string, string>)).not.toThrow();
  expect(stdout).toContain(`\n\n${body}\n`);
});

test.each([
  [503, 'transient', 'send it again 9 times'],
  [404, 'misconfigured', 'check the webhook URL'],
])('an answer of %i ends with 1, and says what it would mean for a job', async (answer, verdict, says) => {
  status = answer;
  try {
    const { code, stdout, stderr } = await operator.run(['test', jobFile('crm', { authorization: 'crm' }), '--json']);
    expect(code).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({ error: { name: 'NotTaken' } });
    const sent = JSON.parse(stdout) as SentSample;
    expect(sent).toMatchObject({ verdict, answer: { ok: false, status: answer, answer: 'I was told Bearer … …' } });
    expect(sent).toHaveProperty('meaning', expect.stringContaining(says));
  } finally {
    status = undefined;
  }
});

test('a paused job is tested all the same, and counts nothing of it', async () => {
  const { jobId } = await operator.json<{ jobId: string }>(['start', jobFile('paused', {}), '--id', `p-${taskQueue}`]);
  await operator.json(['pause', jobId]);
  await operator.json(['test', jobId]);
  expect(await operator.json(['status', jobId])).toMatchObject({ state: 'paused', received: 0, delivered: 0 });
});

test.each([
  [['--user', '12645278470990184639'], /Did you mean "12645278470990184693"\?/],
  [['--audience', 'vipp'], /does not subscribe to "vipp".*Did you mean "vip"\?/],
])('%j: render and test refuse an unknown name, and suggest a known one', async (options, says) => {
  const before = receiver.ledger.requests;
  for (const command of ['render', 'test']) {
    const { code, stdout, stderr } = await operator.run([command, jobFile('plain', {}), ...options]);
    expect([code, stdout, unwrapped(stderr)]).toEqual([1, '', expect.stringMatching(says)]);
  }
  expect(receiver.ledger.requests).toBe(before);
});

test('an address that the operator did not allow is refused before anything is sent', async () => {
  const file = jobFile('local', { webhookUrl: `http://[::1]:${receiver.port}/` });
  const { code, stderr } = await operator.run(['test', file]);
  expect([code, unwrapped(stderr)]).toEqual([2, expect.stringContaining('webhookUrl')]);
});

describe('its authorizations', () => {
  const OLD = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
  const OLDER = `whsec_${Buffer.alloc(32, 6).toString('base64')}`;
  const NEW = `whsec_${Buffer.alloc(32, 8).toString('base64')}`;

  let folder: string;
  let receiver: Recorder;
  let worker: Program;
  let operator: Operator;
  const taskQueue = `authorizations-${randomUUID()}`;

  beforeAll(async () => {
    folder = tempFolder();
    await writeSampleSource(join(folder, 'audiences'), { people: 5 });
    // Nobody comes in but with the new token.
    receiver = await startRecorder({
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
  });

  test('a client of Temporal can ask which authorizations a worker has, and gets no value', async () => {
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
    const listed = await operator.run(['authorizations', 'list', '--json']);
    expect(jsonLines(listed.stdout)).toMatchObject([
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
    await worker.says(({ stderr }) => stderr.includes('authorizations were reloaded'));
    expect(worker.stderr).not.toMatch(/old-token|new-token|whsec_/);
  });
});
