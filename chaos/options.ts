import { parseArgs } from 'node:util';

type Defaults = Readonly<Record<string, number | string | boolean>>;

/** Values as their defaults are: a number, a text, or whether it is there. */
export type Options<T extends Defaults> = {
  readonly [Name in keyof T]: T[Name] extends number ? number : T[Name] extends boolean ? boolean : string;
};

/**
 * The options of a program for ourselves (chaos, soak, bench), given by name. Whoever asks for `--help` gets all of them with their defaults;
 * one that is not there, or is no number where its default is one, ends the program with exit code 2.
 */
export function optionsOf<const T extends Defaults>(command: string, defaults: T): Options<T> {
  const parsed = readOptions(defaults, process.argv.slice(2));
  if ('options' in parsed) return parsed.options;
  const usage = [command, ...Object.entries(defaults).map(([name, value]) => `  --${name}${shown(value)}`)].join('\n');
  if (parsed.problem === undefined) console.log(usage);
  else console.error(`${parsed.problem}\n\n${usage}`);
  process.exit(parsed.problem === undefined ? 0 : 2);
}

/** The options, or what is wrong with them; neither when help is asked for. */
function readOptions<const T extends Defaults>(
  defaults: T,
  args: readonly string[],
): { readonly options: Options<T> } | { readonly problem?: string } {
  const known = Object.entries(defaults).map(([name, value]) => [
    name,
    { type: typeof value === 'boolean' ? ('boolean' as const) : ('string' as const) },
  ]);
  let given: Readonly<Record<string, unknown>>;
  try {
    given = parseArgs({
      args: [...args],
      options: { ...Object.fromEntries(known), help: { type: 'boolean', short: 'h' } },
    }).values;
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
  if (given['help'] === true) return {};
  const options: Record<string, number | string | boolean> = { ...defaults };
  for (const [name, value] of Object.entries(given)) {
    if (typeof value !== 'string' && typeof value !== 'boolean') continue;
    options[name] = typeof defaults[name] === 'number' ? Number(value === '' ? Number.NaN : value) : value;
    if (typeof defaults[name] === 'number' && !(Number(options[name]) >= 0))
      return { problem: `--${name} is a number, not "${value}".` };
  }
  return { options: options as Options<T> }; // Each is of its default's kind.
}

function shown(value: number | string | boolean): string {
  return typeof value === 'boolean' ? '' : ` ${value}`;
}
