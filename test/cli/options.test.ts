import type { CommandUnknownOpts, Option } from '@commander-js/extra-typings';
import { expect, test } from '@jest/globals';
import { collect } from '../../src/cli/options.ts';
import { createProgram, run } from '../../src/cli/program.ts';
import { aTerminal } from './a-terminal.ts';

interface OfCommand {
  readonly path: readonly string[];
  readonly option: Option;
  readonly others: readonly Option[];
}

/** Every option of every command. */
const OPTIONS: OfCommand[] = commandsIn(createProgram(aTerminal().terminal), []).flatMap(({ path, command }) =>
  command.options.map((option) => ({ path, option, others: command.options })),
);

function commandsIn(command: CommandUnknownOpts, path: readonly string[]) {
  const own = path.length === 0 ? [] : [{ path, command }];
  const parts: typeof own = command.commands.flatMap((part) => commandsIn(part, [...path, part.name()]));
  return [...own, ...parts];
}

const CANDIDATES = ['7', '5m', '443', '200', 'https://a.example/', '2026-11-25T08:30:00Z'];

/** A value that the option takes. */
function valueFor({ argChoices, parseArg }: Option): string {
  if (argChoices?.[0] !== undefined) return argChoices[0];
  return (
    CANDIDATES.find((text) => {
      try {
        parseArg?.(text, undefined);
        return true;
      } catch {
        return false;
      }
    }) ?? ''
  );
}

async function refusalOf(args: readonly string[]): Promise<string> {
  const { terminal, err } = aTerminal();
  await expect(run(args, terminal)).resolves.toBe(2);
  return err.join('\n').replaceAll(/\s+/g, ' ');
}

const title = ({ path, option }: OfCommand) => [path.join(' '), option.long ?? ''] as const;
const valued = OPTIONS.filter(({ option }) => option.required || option.optional);

test('every command and its options are tried', () => {
  expect(OPTIONS.length).toBeGreaterThan(110);
  expect(valued.length).toBeGreaterThan(50);
});

test.each(valued.filter(({ option }) => option.parseArg !== collect).map((one) => [...title(one), one] as const))(
  '%s %s given twice is refused: which one was meant is not for us to say',
  async (_command, long, { path, option }) => {
    const once = [long, valueFor(option)];
    expect(await refusalOf([...path, ...once, ...once])).toContain('is given twice');
  },
);

test.each(valued.filter(({ option }) => option.name() !== 'description').map((one) => [...title(one), one] as const))(
  '%s %s with an empty value is refused',
  async (_command, long, { path, option }) => {
    // Where a parser takes no empty text, that is said already.
    expect(await refusalOf([...path, `${long}=`])).toMatch(/has an empty value|is invalid/);
    expect(option.required).toBe(true);
  },
);

test.each(valued.map((one) => [...title(one), one] as const))(
  '%s %s does not swallow the option after it',
  async (_command, long, { path, others }) => {
    for (const { long: next } of others)
      expect(await refusalOf([...path, long, next ?? ''])).toMatch(/has no value|is invalid|is given twice/);
  },
);

test.each(
  OPTIONS.filter(({ option, others }) =>
    others.some((other) => other.negate && !option.negate && other.attributeName() === option.attributeName()),
  ).map((one) => [...title(one), one] as const),
)('%s %s beside its negation is refused', async (_command, long, { path, option }) => {
  const yes = option.required ? [long, valueFor(option)] : [long];
  const no = [`--no-${option.name()}`];
  expect(await refusalOf([...path, ...yes, ...no])).toContain('contradicts');
  expect(await refusalOf([...path, ...no, ...yes])).toContain('contradicts');
});

test.each([
  'localhost:8080',
  'ftp://localhost',
  'http://me:secret@localhost',
  'http://localhost/?a=1',
  'http://localhost/#a',
])('the Temporal UI is not at %s', async (url) => {
  expect(await refusalOf(['api', '--temporal-ui', url])).toContain('It must be a URL such as http://localhost:8080');
});
