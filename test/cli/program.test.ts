import { describe, expect, test } from '@jest/globals';
import { run } from '../../src/cli/program.ts';
import { startReceiver } from '../../src/local/receiver.ts';
import { aTerminal } from './a-terminal.ts';

const COMMANDS =
  'up worker setup new render test start push list status trace attempts pause resume retry recover edit backfill reconcile stop watch dead-letters audiences authorizations secrets receive codec-server'.split(
    ' ',
  );
const DEAD_LETTERS = 'list show redeliver discard'.split(' ');

test('help names every command and the exit codes', async () => {
  const { terminal, out } = aTerminal();
  await expect(run(['--help'], terminal)).resolves.toBe(0);
  for (const name of COMMANDS) expect(out.join('\n')).toMatch(new RegExp(`^  ${name} `, 'm'));
  expect(out.join('\n')).toContain('Exit codes');
});

test.each(COMMANDS)('%s --help shows an example, and takes --json', async (name) => {
  const { terminal, out } = aTerminal();
  await expect(run([name, '--help'], terminal)).resolves.toBe(0);
  expect(out.join('\n')).toMatch(new RegExp(`Examples?:\\n.*triggers ${name}`));
  expect(out.join('\n')).toContain('--json');
});

test.each([...DEAD_LETTERS.map((part) => ['dead-letters', part]), ['authorizations', 'list'], ['secrets', 'new']])(
  '%s %s --help shows an example, and takes --json',
  async (name, part) => {
    const { terminal, out } = aTerminal();
    await expect(run([name, part, '--help'], terminal)).resolves.toBe(0);
    expect(out.join('\n')).toMatch(new RegExp(`Examples?:\\n.*triggers ${name} ${part}`));
    expect(out.join('\n')).toContain('--json');
  },
);

const PARTS = [...DEAD_LETTERS.map((part) => `dead-letters ${part}`), 'authorizations list', 'secrets new'];

test.each(['', ...COMMANDS, ...PARTS])('the help of "%s" fits into a terminal of 80 columns', async (name) => {
  const { terminal, out } = aTerminal();
  await run([...name.split(' ').filter(Boolean), '--help'], terminal);
  expect(
    out
      .join('\n')
      .split('\n')
      .filter((line) => line.length > 80),
  ).toEqual([]);
});

test('what commander has against a command line is broken where the line ends', async () => {
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
    [['trace'], /missing required argument/],
    [['trace', '1', '--since', 'lately'], /how\s+long\s+ago/],
    [['attempts', 'vip', '--last', 'few'], /whole\s+number/],
    [['start', 'none.json'], /none\.json cannot be read/],
    [['start', '--parallel', 'many'], /whole\s+number/],
    [['edit', 'vip'], /Give what to change/],
    [['new'], /there is none here.*triggers start job\.json/s],
    [['render', 'vip', '--legacy', '--new'], /either --legacy or --new/],
    [['test', 'vip', '--event', 'left'], /enter, exit/],
    [['test', './none'], /none cannot be read/],
    [['stop', 'vip', '--waiting', 'hold'], /deliver, keep, discard/],
    [['stop', 'vip', '--deadline', 'soon'], /such as 90s, 30m/],
    [['stop', 'vip', '--deadline', '5m', '--waiting', 'keep'], /with --waiting\s+deliver/],
    [['dead-letters', 'bogus'], /unknown command/],
    [['dead-letters', 'show'], /missing required argument/],
    [['dead-letters', 'list', '--older-than', 'long'], /how\s+long\s+ago/],
    [['dead-letters', 'redeliver'], /an id, a filter such as .* or --all/],
    [['dead-letters', 'discard', '--yes'], /an id, a filter such as .* or --all/],
    [['dead-letters', 'discard', 'abc-0', '--job', 'vip'], /either one id or a filter/],
    [['dead-letters', 'redeliver', 'abc-0', '--all'], /either one id or a filter/],
    [['watch'], /Name the audiences/],
    [['watch', 'vip', '--every', 'often'], /such as 90s/],
    [['watch', 'vip', '--every', '5m', '--stop'], /Choose one/],
    [['watch', 'vip', '--now', '--stop'], /Choose one/],
    [['watch', 'vip', '--list'], /Choose one/],
    [['push', 'vip', '--audience', 'vip'], /--enter or --exit/],
    [['push', 'vip', '--file', '.'], /^\. is a folder/],
    [['receive', '--port', '99999'], /from 0 to\s+65535/],
    [['receive', '--status', '42'], /from\s+200 to 599/],
    [['push', 'vip', '-', '--user', '1'], /either one trigger/],
    [['push', 'vip', 'changes.ndjson'], /named with --file/],
    [['push', '-', 'vip'], /After the job comes only "-"/],
    [['edit', 'vip', '--export-field', 'email', '--all-fields'], /either --export-field or --all-fields/],
    [['start', '--export-field', 'email', '--all-fields'], /either --export-field or --all-fields/],
    [['start', '--sample', '0'], /1 or\s+more/],
    [['stop', 'vip', '--deadline', '5m5m'], /such as 90s, 30m/],
    [['start', '--parallel', '0x10'], /whole\s+number/],
    [['start', '--backfill-rate', '1e3'], /above\s+0/],
    [['start', '--requests-per-second', '0'], /above\s+0/],
    [['start', '--parallel', '1e2'], /whole\s+number/],
    [['edit', 'vip', '--backfill-parallel', '-1'], /whole\s+number/],
    [['watch', 'vip', '--largest-exit', '-1'], /from\s+1\s+to\s+100/],
    [['watch', 'vip', '--largest-exit', '101'], /from\s+1\s+to\s+100/],
    [['attempts', 'vip', '--last', '0'], /1 or\s+more/],
    [['trace', '1', '--since', '2099-01-01T00:00:00Z'], /in\s+the\s+past/],
    [['dead-letters', 'list', '--newer-than', '2099-01-01T00:00:00Z'], /in\s+the\s+past/],
  ])('%j', async (args, says) => {
    const { terminal, err } = aTerminal();
    await expect(run(args, terminal)).resolves.toBe(2);
    expect(err.join('\n')).toMatch(says);
  });
});

test('up does not drop in silence what is said of a server of its own, where another server is named', async () => {
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

test('with --json a failure is one JSON object', async () => {
  const { terminal, err } = aTerminal();
  await expect(run(['edit', 'vip', '--json'], terminal)).resolves.toBe(2);
  expect(JSON.parse(err.join(''))).toMatchObject({ error: { name: 'UsageError' } });
});

test('where a port is taken, that is said, and what to do', async () => {
  const other = await startReceiver();
  try {
    const { terminal, err } = aTerminal();
    await expect(run(['receive', '--port', String(other.port)], terminal)).resolves.toBe(1);
    expect(err.join('\n')).toBe(
      `Port ${other.port} on 127.0.0.1 is taken. Choose another with --port (0: a free one).`,
    );
  } finally {
    await other.close();
  }
});
