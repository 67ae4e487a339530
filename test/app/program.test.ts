import { describe, expect, test } from '@jest/globals';
import { run } from '../../src/app/program.ts';
import { startRecorder } from '../../demo/recorder.ts';
import { aTerminal } from '../cli/a-terminal.ts';
import { InvalidJobFiles, reportFailure } from '../../src/cli/exit-code.ts';
import {
  InvalidConnection,
  InvalidJob,
  InvalidTrigger,
  JobNotFound,
  NoWorker,
  PushInterrupted,
} from '../../src/client/calls/errors.ts';
import { readPayloadKeys } from '../../src/temporal/encrypting-codec.ts';
import { isSigningSecret } from '../../src/webhook/signature.ts';
import { afterwards } from '../webhook/a-server.ts';

const COMMANDS =
  'up worker setup new render test start push list status trace attempts pause resume retry recover edit backfill reconcile replay stop watch dead-letters audiences authorizations secrets receive codec-server'.split(
    ' ',
  );
const DEAD_LETTERS = 'list show redeliver discard'.split(' ');

test('help names every command and the exit codes', async () => {
  const { terminal, out } = aTerminal();
  await expect(run(['--help'], terminal)).resolves.toBe(0);
  for (const name of COMMANDS) expect(out.join('\n')).toMatch(new RegExp(`^  ${name} `, 'm'));
  expect(out.join('\n')).toContain('Exit codes');
  expect(
    out
      .join('\n')
      .split('\n')
      .filter((line) => line.length > 80),
  ).toEqual([]);
});

const PARTS = [...DEAD_LETTERS.map((part) => `dead-letters ${part}`), 'authorizations list', 'secrets new'];

test.each([...COMMANDS, ...PARTS])(
  '%s --help shows an example, takes --json, and fits into 80 columns',
  async (name) => {
    const { terminal, out } = aTerminal();
    await expect(run([...name.split(' '), '--help'], terminal)).resolves.toBe(0);
    const help = out.join('\n');
    expect(help).toMatch(new RegExp(`Examples?:\\n.*triggers ${name}`));
    expect(help).toContain('--json');
    expect(help.split('\n').filter((line) => line.length > 80)).toEqual([]);
  },
);

test('the command line wraps complaints of commander at the width of the terminal', async () => {
  const { terminal, err } = aTerminal();
  await run(['stop', 'vip', '--waiting', 'hold'], terminal);
  expect(
    err
      .join('\n')
      .split('\n')
      .filter((line) => line.length > 80),
  ).toEqual([]);
});

describe('wrong usage ends with exit code 2 and says what is meant', () => {
  test.each([
    [['bogus'], /unknown command/],
    [['status'], /missing required argument/],
    [['status', 'a', '--wath'], /unknown option.*\n.*--watch/],
    [['start'], /triggers start job\.json/],
    [['trace', '1', '--since', 'lately'], /how\s+long\s+ago/],
    [['attempts', 'vip', '--last', 'few'], /whole\s+number/],
    [['start', 'none.json'], /none\.json cannot be read/],
    [['edit', 'vip'], /Give what to change/],
    [['new'], /there is none here.*triggers start job\.json/s],
    [['render', 'vip', '--legacy', '--new'], /either --legacy or --new/],
    [['test', 'vip', '--event', 'left'], /enter, exit/],
    [['test', './none'], /none cannot be read/],
    [['stop', 'vip', '--waiting', 'hold'], /deliver, keep, discard/],
    [['stop', 'vip', '--deadline', 'soon'], /from 0 s\s+to\s+30\s+days, such as 90s/],
    [['stop', 'vip', '--deadline', '40d'], /from 0 s\s+to\s+30\s+days/],
    [['watch', 'vip', '--every', '0.5s'], /from 1 s\s+to\s+7\s+days/],
    [['watch', 'vip', '--every', '8d'], /from 1 s\s+to\s+7\s+days/],
    [['push', 'vip', '--patience', '400d'], /to\s+365\s+days/],
    [['trace', '1', '--since', '400d'], /at\s+most\s+365d/],
    [['receive', '--delay-ms', '99999999999'], /from\s+0\s+to\s+86400000/],
    [['stop', 'vip', '--deadline', '5m', '--waiting', 'keep'], /with --waiting\s+deliver/],
    [['dead-letters', 'bogus'], /unknown command/],
    [['dead-letters', 'redeliver'], /an id, a filter such as .* or --all/],
    [['dead-letters', 'discard', 'abc-0', '--job', 'vip'], /either one id or a filter/],
    [['watch'], /Name the audiences/],
    [['watch', 'vip', '--every', '5m', '--stop'], /Choose one/],
    [['watch', 'vip', '--list'], /Choose one/],
    [['push', 'vip', '--audience', 'vip'], /--enter or --exit/],
    [['push', 'vip', '--file', '.'], /^\. is a folder/],
    [['receive', '--port', '99999'], /from 0 to\s+65535/],
    [['receive', '--status', '42'], /from\s+200 to 599/],
    [['push', 'vip', '-', '--user', '1'], /either one trigger/],
    [['push', 'vip', 'changes.ndjson'], /To read a file, use --file/],
    [['push', '-', 'vip'], /Only "-" \(standard input\) may follow the job/],
    [['edit', 'vip', '--export-field', 'email', '--all-fields'], /either --export-field or --all-fields/],
    [['start', '--sample', '0'], /1 or\s+more/],
    [['start', '--parallel', '0x10'], /whole\s+number/],
    [['start', '--backfill-rate', '1e3'], /above\s+0/],
    [['start', '--requests-per-second', '0'], /above\s+0/],
    [['watch', 'vip', '--largest-exit', '101'], /from\s+1\s+to\s+100/],
    [['attempts', 'vip', '--last', '0'], /1 or\s+more/],
    [['trace', '1', '--since', '2099-01-01T00:00:00Z'], /in\s+the\s+past/],
    [['deliveries', '--until', '2099-01-01', '--since', '1d'], /such\s+as\s+2026-12-01T14:00:00Z/],
    [['start', '--existing-users', '--no-existing-users'], /contradicts/],
    [['api', '--temporal-ui', 'http://me:secret@localhost'], /must\s+be\s+a\s+URL/],
    [['api', '--temporal-ui', 'ftp://localhost'], /must\s+be\s+a\s+URL/],
  ])('%j', async (args, says) => {
    const { terminal, err } = aTerminal();
    await expect(run(args, terminal)).resolves.toBe(2);
    expect(err.join('\n')).toMatch(says);
  });
});

test.each([
  [['status', 'a', '--wath'], /^unknown option '--wath'/],
  [['stop', 'vip', '--waiting', 'hold'], /deliver, keep, discard/],
])('with --json a mistake in the command line is JSON, too: %j', async (args, says) => {
  const { terminal, out, err } = aTerminal();
  await expect(run([...args, '--json'], terminal)).resolves.toBe(2);
  expect(out).toEqual([]);
  const [line = '', ...more] = err;
  expect([JSON.parse(line), more]).toEqual([
    { error: { name: 'UsageError', message: expect.stringMatching(says) } },
    [],
  ]);
});

test('up refuses options for a server of its own when another server is named', async () => {
  const before = process.env['TEMPORAL_ADDRESS'];
  process.env['TEMPORAL_ADDRESS'] = '127.0.0.1:1';
  try {
    const { terminal, err } = aTerminal();
    await expect(run(['up', '--port', '7533'], terminal)).resolves.toBe(2);
    expect(err.join(' ').replaceAll(/\s+/g, ' ')).toContain(
      '--port would mean nothing. Unset TEMPORAL_ADDRESS to start one.',
    );
  } finally {
    if (before === undefined) delete process.env['TEMPORAL_ADDRESS'];
    else process.env['TEMPORAL_ADDRESS'] = before;
  }
});

test('a command whose port is taken says so, and what to do', async () => {
  const other = await startRecorder();
  afterwards(() => other.close());
  const { terminal, err } = aTerminal();
  await expect(run(['receive', '--port', String(other.port)], terminal)).resolves.toBe(1);
  expect(err.join('\n')).toBe(
    `Port ${other.port} on 127.0.0.1 is taken. Choose another with --port (0: any free port).`,
  );
});

test.each([
  [new JobNotFound('vip'), 1],
  [new InvalidConnection('TEMPORAL_API_KEY must be one line.'), 2],
  [new NoWorker('q', 3_000, 10_000), 1],
  [new InvalidJob([{ field: 'label', message: 'Give the job a label.' }]), 2],
  [new PushInterrupted('vip', 3, 0, new InvalidTrigger('it is an array')), 2],
  [new PushInterrupted('vip', 3, 0, new Error('gone')), 1],
  [new Error('anything else'), 1],
])('%s', (error, code) => {
  const { terminal, err } = aTerminal();
  expect(reportFailure(error, terminal, false)).toBe(code);
  for (const line of err) expect(line.length).toBeLessThanOrEqual(80);
});

test('an invalid job lists each problem by its field, for people and for machines', () => {
  expect(new InvalidJob([], { isEdit: true }).message).toBe('The change was not accepted; the job goes on as it was.');
  const error = new InvalidJob([{ field: 'audiences[1]', message: 'There is no audience "vipp".' }]);
  const people = aTerminal();
  reportFailure(error, people.terminal, false);
  expect(people.err).toContain('  audiences[1]  There is no audience "vipp".');
  const machines = aTerminal();
  reportFailure(error, machines.terminal, true);
  expect(JSON.parse(machines.err.join(''))).toMatchObject({
    error: { name: 'InvalidJob', problems: [{ field: 'audiences[1]' }] },
  });
});

test('a namespace that the server does not have is reported, with what to set', () => {
  const { terminal, err } = aTerminal();
  const error = Object.assign(new Error("Namespace not found: 'nope'"), { name: 'NamespaceNotFoundError' });
  expect(reportFailure(error, terminal, false)).toBe(1);
  expect(err.join(' ')).toMatch(/^Namespace not found: 'nope'\. Set TEMPORAL_NAMESPACE/);
});

test('the command line reports permission denied by Temporal as such, whatever the call was', () => {
  const { terminal, err } = aTerminal();
  const refusal = Object.assign(new Error('7 PERMISSION_DENIED'), { code: 7, details: '', metadata: {} });
  expect(reportFailure(new Error('Failed to list workflows', { cause: refusal }), terminal, true)).toBe(1);
  expect(JSON.parse(err.join(''))).toMatchObject({ error: { name: 'NotLetIn' } });
});

test('trouble of the server is not reported in the words of its SDK', () => {
  const trouble = Object.assign(new Error('14 UNAVAILABLE: shard status unknown'), {
    code: 14,
    details: '',
    metadata: {},
  });
  const thrown = new Error('Failed to start Workflow', { cause: trouble });
  for (const error of [thrown, new PushInterrupted('vip', 0, 0, thrown)]) {
    const { terminal, err } = aTerminal();
    expect(reportFailure(error, terminal, true)).toBe(1);
    expect(err.join('')).not.toMatch(/Workflow|shard/);
  }
  const { terminal, err } = aTerminal();
  reportFailure(thrown, terminal, true);
  expect(JSON.parse(err.join(''))).toMatchObject({ error: { name: 'ServerUnreachable' } });
});

test('text quoted by a failure cannot control the terminal', () => {
  const { terminal, err } = aTerminal();
  reportFailure(
    new InvalidJob([{ field: 'audiences[0]', message: 'There is no "\u001b[2J\u202e".' }]),
    terminal,
    false,
  );
  reportFailure(new Error('It said \u001b[2J\u202e.'), terminal, false);
  const problems = [{ field: 'x\u001b[31mEVIL\u202e', message: 'There is no such field.' }];
  reportFailure(new InvalidJob(problems), terminal, false);
  reportFailure(new InvalidJobFiles([{ file: 'jobs/\u001b[2J.json', problems }]), terminal, false);
  expect(err.join('')).not.toMatch(/[\p{Cc}\u202e]/u);
});

async function said(...args: string[]) {
  const { terminal, out, err } = aTerminal();
  await expect(run(['secrets', 'new', ...args], terminal)).resolves.toBe(0);
  return { out: out.join('\n'), err: err.join('\n') };
}

test('a new secret alone is on standard output, ready for a file; what to do with it is beside', async () => {
  const { out, err } = await said();
  expect(isSigningSecret(out)).toBe(true);
  expect(out).toMatch(/^whsec_/);
  expect(err).toMatch(/signingSecrets/);
  expect(err).not.toContain(out);
});

test('for ed25519, the public key is printed for the receiver', async () => {
  const { out, err } = await said('--ed25519');
  expect(isSigningSecret(out)).toBe(true);
  expect(err).toMatch(/^whpk_[\w+/]{43}=$/m);
  const { secret, publicKey } = JSON.parse((await said('--ed25519', '--json')).out) as Record<string, string>;
  expect([secret, publicKey]).toEqual([expect.stringMatching(/^whsk_/), expect.stringMatching(/^whpk_/)]);
});

test('workers and clients take a new payload key, under the id of its month', async () => {
  const { out, err } = await said('--payload-key');
  expect(out).toMatch(/^\d{4}-\d{2}:/);
  expect([...readPayloadKeys([out]).byId.keys()]).toEqual([out.split(':')[0]]);
  expect(err).not.toContain(out.slice('2026-11:'.length));
});
