import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Block } from './pages.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** Programs that pages call; another one is a slip of the pen until it stands here. */
const PROGRAMS = 'triggers npx npm node docker temporal curl cp openssl git'.split(' ');
/** Says what it was called with: how many arguments, its name, each of them. */
const STUB = `#!/bin/sh\nprintf '%s\\0' "$#" "\${0##*/}" "$@" >&3\n`;

/** A program with its arguments. */
export interface Call {
  readonly program: string;
  readonly args: readonly string[];
}

/** A shell where no program does anything: it takes lines apart, as a reader's would. */
export class ParsingShell {
  readonly #folder = tempFolder();

  constructor() {
    mkdirSync(join(this.#folder, 'bin'));
    for (const name of PROGRAMS) this.#addProgram(name, STUB);
    this.#addProgram('npx', '#!/bin/sh\nexec "$@"\n');
  }

  /** The lines of a block as a shell takes them, one with a backslash or an open quote at its end together with the next. */
  linesOf({ page, text }: Block): string[] {
    const lines: string[] = [];
    let open = '';
    for (const line of withPlaceholders(text).split('\n')) {
      open += `${line}\n`;
      if (line.endsWith('\\') || this.#run(['-n', '-c', open]).status !== 0) continue;
      lines.push(open.replace(/\s+# [^\n']*\n$/, '').trim());
      open = '';
    }
    if (open !== '') throw new Error(`${page} has a block that no shell can read, from here on: ${open}`);
    return lines.filter((line) => line !== '' && !line.startsWith('#'));
  }

  /**
   * The programs that a line calls, in order.
   * @throws when one of them is not known, or the shell complains.
   */
  callsOf(line: string): Call[] {
    // What is read from a file, or written to one, is not looked at here, and need not be there.
    const nowhere = line.replaceAll(/([<>])\s*[\w./][\w./-]*/g, '$1 /dev/null');
    const { stderr, said } = this.#run(['-c', nowhere]);
    if (stderr !== '') throw new Error(`${line}\n${stderr}`);
    return callsIn(said.split('\0'));
  }

  #addProgram(name: string, script: string): void {
    const path = join(this.#folder, 'bin', name);
    writeFileSync(path, script);
    chmodSync(path, 0o755);
  }

  #run(args: readonly string[]) {
    const { status, stderr, output } = spawnSync('/bin/sh', args, {
      cwd: this.#folder,
      env: { PATH: join(this.#folder, 'bin') },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    return { status, stderr, said: output[3] ?? '' };
  }
}

/** What stands for something that a reader has to fill in, `<id>`, would be a file to read from. */
function withPlaceholders(text: string): string {
  return text.replaceAll(/<([a-z][a-z ]*)>/g, (_, name: string) => name.replaceAll(' ', '-').toUpperCase());
}

function callsIn(said: readonly string[]): Call[] {
  const [count, program, ...rest] = said;
  if (count === undefined || program === undefined || count === '') return [];
  return [{ program, args: rest.slice(0, Number(count)) }, ...callsIn(rest.slice(Number(count)))];
}

/** The arguments of ours, if a call is one: by its name, or as the program of the repository and of its image. */
export function ownArguments({ program, args }: Call): readonly string[] | undefined {
  if (program === 'triggers') return args;
  const main = args.indexOf('lib/app/main.js');
  return main < 0 ? undefined : args.slice(main + 1);
}
