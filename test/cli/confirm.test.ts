import { PassThrough, Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { confirmed } from '../../src/cli/confirm.ts';
import { aTerminal } from './a-terminal.ts';

function aPersonWhoTypes(...lines: string[]) {
  const { terminal, err } = aTerminal({ interactive: true });
  const stdin = Object.assign(Readable.from(lines), { isTTY: true });
  return { terminal: { ...terminal, stdin }, err };
}

test.each(['y\n', 'Y\n', ' yes \n'])('%j is a yes', async (line) => {
  const { terminal, err } = aPersonWhoTypes(line);
  await expect(confirmed(terminal, 'Discard 3 dead letters?')).resolves.toBe(true);
  expect(err).toEqual(['Discard 3 dead letters? [y/N]']);
});

test.each([['\n'], ['no\n'], ['yep\n'], ['n\n', 'y\n'], []])('%j is a no', async (...lines) => {
  await expect(confirmed(aPersonWhoTypes(...lines).terminal, 'Discard?')).resolves.toBe(false);
});

test('where nobody can answer, nobody is asked', async () => {
  const { terminal, err } = aTerminal();
  await expect(confirmed(terminal, 'Discard?')).resolves.toBe(true);
  expect(err).toEqual([]);
});

test('a person who presses Ctrl-C instead of answering has said no', async () => {
  const { terminal } = aTerminal({ interactive: true });
  const silent = Object.assign(new PassThrough(), { isTTY: true });
  const interrupted = new AbortController();
  const answer = confirmed({ ...terminal, stdin: silent }, 'Discard?', interrupted.signal);
  interrupted.abort();
  await expect(answer).resolves.toBe(false);
});
