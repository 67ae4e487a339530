import { expect, test } from '@jest/globals';
import { InvalidJobFiles, reportFailure } from '../../src/cli/exit-code.ts';
import {
  InvalidConnection,
  InvalidJob,
  InvalidTrigger,
  JobNotFound,
  NoWorker,
  PushInterrupted,
} from '../../src/client/errors.ts';
import { aTerminal } from './a-terminal.ts';

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
  expect(new InvalidJob([], { isEdit: true }).message).toBe('The change was not accepted; the job goes on as it was:');
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

test('what Temporal does not let somebody do is said as that, whatever the call was', () => {
  const { terminal, err } = aTerminal();
  const refusal = Object.assign(new Error('7 PERMISSION_DENIED'), { code: 7, details: '', metadata: {} });
  expect(reportFailure(new Error('Failed to list workflows', { cause: refusal }), terminal, true)).toBe(1);
  expect(JSON.parse(err.join(''))).toMatchObject({ error: { name: 'NotLetIn' } });
});

test('trouble of the server is not told in the words of its SDK', () => {
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

test('what a failure quotes does nothing to the terminal', () => {
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
