import { describe, expect, test } from '@jest/globals';
import { run } from '../../src/cli/program.ts';
import { aTerminal } from './a-terminal.ts';

const COMMANDS = 'up worker setup start push list status pause resume edit backfill stop receive'.split(' ');

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

describe('wrong usage ends with exit code 2 and says what is meant', () => {
  test.each([
    [['bogus'], /unknown command/],
    [['status'], /missing required argument/],
    [['status', 'a', '--wath'], /unknown option.*\n.*--watch/],
    [['start'], /triggers start job\.json/],
    [['start', 'none.json'], /none\.json cannot be read/],
    [['start', '--parallel', 'many'], /whole number/],
    [['edit', 'vip'], /Say what to change/],
    [['stop', 'vip', '--waiting', 'keep'], /deliver, discard/],
    [['push', 'vip', '--audience', 'vip'], /--enter or --exit/],
    [['push', 'vip', '-', '--user', '1'], /either one trigger/],
  ])('%j', async (args, says) => {
    const { terminal, err } = aTerminal();
    await expect(run(args, terminal)).resolves.toBe(2);
    expect(err.join('\n')).toMatch(says);
  });
});

test('with --json a failure is one JSON object', async () => {
  const { terminal, err } = aTerminal();
  await expect(run(['edit', 'vip', '--json'], terminal)).resolves.toBe(2);
  expect(JSON.parse(err.join(''))).toMatchObject({ error: { name: 'UsageError' } });
});
