import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommanderError, type CommandUnknownOpts } from '@commander-js/extra-typings';
import { afterAll, describe, expect, test } from '@jest/globals';
import { createProgram } from '../../src/cli/program.ts';
import { aTerminal } from '../cli/a-terminal.ts';
import { blocksOf, PAGES, proseOf, readPage, root, shellBlocksOf } from './pages.ts';
import { ownArguments, ParsingShell } from './shell-lines.ts';

const shell = new ParsingShell();
afterAll(() => shell.close());

/** Those that the program reads, and those that docker-compose.yml does. */
const variables = new Set(
  [
    'docker-compose.yml',
    ...readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).map((path) => join('src', path)),
  ]
    .filter((path) => /\.(ts|yml)$/.test(path))
    .flatMap((path) => [...readFileSync(join(root, path), 'utf8').matchAll(/(?:'|\$\{)(TRIGGERS_\w+)(?=[':}])/g)])
    .map(([, name]) => name),
);

/** The real program, of which no command does anything. */
function idleProgram() {
  const { terminal, err } = aTerminal();
  const program = createProgram(terminal);
  for (const command of withParts(program)) if (command.commands.length === 0) command.action(() => undefined);
  return { program, said: err };
}

function withParts(command: CommandUnknownOpts): CommandUnknownOpts[] {
  return [command, ...command.commands.flatMap(withParts)];
}

/** What the program has against arguments; none: nothing. */
async function complaints(args: readonly string[]): Promise<string[]> {
  const { program, said } = idleProgram();
  try {
    await program.parseAsync(args, { from: 'user' });
    return [];
  } catch (error) {
    // Help and version end by an exception, too.
    if (error instanceof CommanderError && error.exitCode === 0) return [];
    return [`triggers ${args.join(' ')}: ${said.join(' ') || String(error)}`];
  }
}

/** What the program does not know of words that name a command, perhaps with a few of its options. */
function unknownIn(words: readonly string[]): string[] {
  let command: CommandUnknownOpts = idleProgram().program;
  for (const word of words) {
    if (command.commands.length === 0) break;
    const part = command.commands.find((one) => one.name() === word);
    if (part === undefined) break;
    command = part;
  }
  const options = words.filter((word) => word.startsWith('-') && word !== '-' && word !== '--help');
  const known = command.options.flatMap(({ short, long }) => [short, long]);
  const unknown = options.filter((option) => !known.includes(option));
  const isCommand = command.parent !== null || options.length === words.length || words[0] === '--help';
  return isCommand && unknown.length === 0 ? [] : [`triggers ${words.join(' ')}`];
}

describe.each(PAGES)('%s', (page) => {
  test('its commands exist, with the options and arguments that it gives them', async () => {
    const lines = shellBlocksOf(page).flatMap((block) => shell.linesOf(block));
    const all = lines.flatMap((line) => shell.callsOf(line)).map((call) => ownArguments(call) ?? []);
    const wrong = await Promise.all(all.filter((args) => args.length > 0).map(complaints));
    expect(wrong.flat()).toEqual([]);
  });

  test('the commands that its text names exist, with their options', () => {
    const named = [...proseOf(page).matchAll(/`(?:\w+=\S+ )?(?:npx )?triggers ([^`]+)`/g)];
    expect(named.flatMap(([, words = '']) => unknownIn(words.trim().split(/\s+/)))).toEqual([]);
  });

  test('its commands stand in blocks that are marked as such, sh or console', () => {
    const others = blocksOf(page).filter(({ language }) => language !== 'sh' && language !== 'console');
    expect(others.flatMap(({ text }) => text.match(/^(?:\w+=.+ )?(?:npx )?triggers .*$/gm) ?? [])).toEqual([]);
  });

  test('the variables that it names are read', () => {
    const named = readPage(page).match(/TRIGGERS_[A-Z_]*[A-Z]/g) ?? [];
    expect(named.filter((name) => !variables.has(name))).toEqual([]);
  });
});

/** The commands that the texts of the program name: behind a colon or a bracket, or in quotes. */
function advised(): string[] {
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.ts'),
  );
  const texts = sources.map((path) =>
    readFileSync(join(root, 'src', path), 'utf8')
      .replaceAll(/^ *(\*|\/\*|\/\/).*$/gm, '')
      // "triggers that …", of a command, are no command.
      .replaceAll(/^ *description: .*$/gm, '')
      .replaceAll(/\$\{[^}]*\}/g, 'X'),
  );
  const named = texts.flatMap((text) => [...text.matchAll(/(?:: ['`]?|\(|"|`)triggers ([a-z][^.,;:()'"`\n]*)/g)]);
  return named.map(([, words = '']) => words.trim());
}

test('the commands that the program itself advises exist, with their options', () => {
  const all = advised();
  expect(all.length).toBeGreaterThan(40);
  expect(all.flatMap((words) => unknownIn(words.split(/\s+/)))).toEqual([]);
});
