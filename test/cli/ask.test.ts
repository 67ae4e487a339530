import { PassThrough, Readable } from 'node:stream';
import { afterEach, expect, test } from '@jest/globals';
import { confirmed, terminalAsk } from '../../src/cli/ask.ts';
import { aTerminal } from './a-terminal.ts';
import { spinnerOn } from '../../src/cli/terminal.ts';

const ENTER = '\r';
const DOWN = '\u001B[B';

/** Questions to somebody whose keys come as soon as a question that has these words stands there. */
async function keyboard(keys: readonly (readonly [question: string, keys: string])[]) {
  const input = new PassThrough();
  const output = new PassThrough();
  output.end = () => output; // Like standard error: no question closes it.
  const left = [...keys];
  let drawn = '';
  output.on('data', (chunk: Buffer) => {
    drawn += chunk.toString();
    const [next] = left;
    if (next === undefined || !drawn.includes(next[0])) return;
    left.shift();
    drawn = '';
    setImmediate(() => input.write(next[1]));
  });
  return { ask: await terminalAsk({ input, output }), left };
}

const many = Array.from({ length: 40 }, (_, i) => ({ name: `audience ${i} of many`, value: `a${i}` }));

test('a line is typed, or left as it was', async () => {
  const { ask } = await keyboard([
    ['Label', `VIP${ENTER}`],
    ['Count', ENTER],
  ]);
  await expect(ask.text({ message: 'Label' })).resolves.toBe('VIP');
  await expect(ask.text({ message: 'Count', initial: '5' })).resolves.toBe('5');
});

test('a refused line says why, and can be corrected', async () => {
  const { ask } = await keyboard([
    ['Label', `a${ENTER}`],
    ['Too short', `b${ENTER}`],
  ]);
  const check = (text: string) => (text.length < 2 ? 'Too short' : undefined);
  await expect(ask.text({ message: 'Label', check })).resolves.toBe('ab');
});

test('a few are ticked off', async () => {
  const { ask } = await keyboard([['Fields', ` ${DOWN}${DOWN} ${ENTER}`]]);
  await expect(ask.some({ message: 'Fields', choices: many.slice(0, 5), least: 0 })).resolves.toEqual(['a0', 'a2']);
});

test('many are searched, one after the other', async () => {
  const { ask } = await keyboard([
    ['type to search', '27'],
    ['audience 27', ENTER],
    ['done: 1 chosen', 'many 31'],
    ['audience 31', ENTER],
    ['done: 2 chosen', ENTER],
  ]);
  await expect(ask.some({ message: 'Audiences', choices: many, least: 1 })).resolves.toEqual(['a27', 'a31']);
});

test('a prompt that needs one choice offers "done" only after it', async () => {
  const { ask } = await keyboard([
    ['type to search', ENTER],
    ['done: 1 chosen', ENTER],
  ]);
  await expect(ask.some({ message: 'Audiences', choices: many, least: 1 })).resolves.toEqual(['a0']);
});

test.each([
  ['text', (ask: Awaited<ReturnType<typeof terminalAsk>>) => ask.text({ message: 'It' })],
  ['one', (ask: Awaited<ReturnType<typeof terminalAsk>>) => ask.one({ message: 'It', choices: many })],
  ['some', (ask: Awaited<ReturnType<typeof terminalAsk>>) => ask.some({ message: 'It', choices: many, least: 0 })],
  ['yes', (ask: Awaited<ReturnType<typeof terminalAsk>>) => ask.yes({ message: 'It', initial: false })],
])('Ctrl-C gives up (%s)', async (_, question) => {
  const { ask } = await keyboard([['It', '\u0003']]);
  await expect(question(ask)).rejects.toMatchObject({ name: 'UserAborted' });
});

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

test.each([['\n'], ['no\n'], [' N \n'], ['n\n', 'y\n'], []])('%j is a no', async (...lines) => {
  await expect(confirmed(aPersonWhoTypes(...lines).terminal, 'Discard?')).resolves.toBe(false);
});

test('the prompt asks again after an answer that is neither yes nor no', async () => {
  const { terminal, err } = aPersonWhoTypes('yep\n', 'stop\n', 'y\n');
  await expect(confirmed(terminal, 'Discard?')).resolves.toBe(true);
  expect(err).toEqual(Array.from({ length: 3 }, () => 'Discard? [y/N]'));
});

test('the command asks no question where nobody can answer it', async () => {
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

const { columns } = process.stderr;
afterEach(() => {
  process.stderr.columns = columns;
});

test('a slow step shows a spinner where a person sees it, but not where it would redraw for ever', () => {
  const { terminal } = aTerminal({ interactive: true });
  process.stderr.columns = 80;
  expect(spinnerOn(terminal, false)).toBeDefined();
  expect(spinnerOn(terminal, true)).toBeUndefined();
  process.stderr.columns = 0; // As under `script`, or in CI.
  expect(spinnerOn(terminal, false)).toBeUndefined();
});
