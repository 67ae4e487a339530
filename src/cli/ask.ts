import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { UsageError } from './exit-code.ts';
import type { Terminal } from './terminal.ts';
import { sentences } from './text.ts';

export interface Choice<T> {
  readonly name: string;
  readonly value: T;
  /** Shown while the choice is highlighted. */
  readonly description?: string;
}

/** The questions for a person at a terminal. Each one rejects with `UserAborted` when they press Ctrl-C. */
export interface Ask {
  /** A line; an empty one is an answer too. When `check` returns a problem, it is shown and the question is asked again. */
  text(question: {
    readonly message: string;
    readonly initial?: string;
    readonly check?: (text: string) => string | undefined;
  }): Promise<string>;
  /** @param question.first the value of the choice that is highlighted at first; default: the first choice's. */
  one<T>(question: {
    readonly message: string;
    readonly choices: readonly Choice<T>[];
    readonly first?: T;
  }): Promise<T>;
  /** Any number of them in any order, but at least `least`. A long list can be searched. */
  some(question: {
    readonly message: string;
    readonly choices: readonly Choice<string>[];
    readonly least: 0 | 1;
  }): Promise<string[]>;
  yes(question: { readonly message: string; readonly initial: boolean }): Promise<boolean>;
}

/** The person at the terminal decided against it, or pressed Ctrl-C at a question. Exit code 1, and the message says what was not done. */
export class UserAborted extends Error {
  override readonly name = 'UserAborted';
}

/** A list of up to this many choices can be read at a glance; a longer one is searched. */
const AT_A_GLANCE = 12;

/**
 * Questions at a terminal. The library for them is loaded here, since no other command needs it.
 *
 * @param streams input for keys, output for questions: not standard output, which is for results.
 */
export async function terminalAsk(streams: { readonly input: Readable; readonly output: Writable }): Promise<Ask> {
  const { checkbox, confirm, input, search, select } = await import('@inquirer/prompts');
  const context = { input: streams.input, output: streams.output };
  const answered = async <T>(answer: Promise<T>): Promise<T> => {
    try {
      return await answer;
    } catch (error) {
      // Compared by name, because the library's classes differ between its versions.
      if (error instanceof Error && error.name === 'ExitPromptError') throw new UserAborted('Nothing was started.');
      throw error;
    }
  };
  return {
    text: ({ message, initial, check }) =>
      answered(
        input(
          {
            message,
            ...(initial === undefined ? {} : { default: initial }),
            validate: (text) => check?.(text) ?? true,
          },
          context,
        ),
      ),
    one: ({ message, choices, first }) =>
      answered(
        select(
          { message, choices, pageSize: AT_A_GLANCE, ...(first === undefined ? {} : { default: first }) },
          context,
        ),
      ),
    yes: ({ message, initial }) => answered(confirm({ message, default: initial }, context)),
    async some({ message, choices, least }) {
      if (choices.length <= AT_A_GLANCE)
        return await answered(checkbox({ message, choices, required: least > 0, pageSize: AT_A_GLANCE }, context));
      const picked = new Set<string>();
      for (;;) {
        const end = picked.size >= least ? [endOf(picked.size)] : [];
        const left = choices.filter(({ value }) => !picked.has(value));
        const source = (term: string | undefined): Choice<string | undefined>[] => [
          ...(term === undefined || term === '' ? end : []),
          ...matching(left, term ?? ''),
        ];
        const one = await answered(search({ message: `${message} (type to search)`, source }, context));
        if (one === undefined) return [...picked];
        picked.add(one);
      }
    },
  };
}

function endOf(picked: number): Choice<undefined> {
  return { name: picked === 0 ? '(none)' : `(done: ${picked} chosen)`, value: undefined };
}

/** The choices that have every word of `term` in their name. */
function matching<T>(choices: readonly Choice<T>[], term: string): Choice<T>[] {
  const words = term.toLowerCase().split(/\s+/);
  return choices.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)));
}

/**
 * Asks the person at the terminal. Without a terminal the answer is yes, and a command that loses anything requires --yes first. An empty line is
 * a no, and so is the end of the input. Aborting `signal` is a no, too; a caller that handles Ctrl-C itself gives one. Any answer but yes or no is
 * asked again.
 */
export async function confirmed(terminal: Terminal, question: string, signal?: AbortSignal): Promise<boolean> {
  if (terminal.stdin.isTTY !== true) return true;
  const prompt = sentences(`${question} [y/N]`, terminal);
  terminal.err(prompt);
  const lines = createInterface({ input: terminal.stdin, ...(signal && { signal }) });
  try {
    for await (const line of lines) {
      const [, yes, no] = /^\s*(?:(y|yes)|(n|no|))\s*$/i.exec(line) ?? [];
      if (yes !== undefined || no !== undefined) return yes !== undefined;
      terminal.err(prompt);
    }
    return false;
  } finally {
    lines.close();
  }
}

/**
 * Shows what a command would lose, and asks a person to confirm it. Nothing is shown or asked when it loses nothing.
 * @param loss in sentences; '': nothing.
 * @throws UsageError when there is no terminal to confirm on, and --yes is missing; UserAborted. Nothing was done.
 */
export async function confirmLoss(
  loss: string,
  question: string,
  { terminal, yes, json }: { readonly terminal: Terminal; readonly yes: boolean; readonly json: boolean },
): Promise<void> {
  if (loss === '') return;
  if (!yes && terminal.stdin.isTTY !== true) throw nobodyToAsk(loss);
  // With --yes nobody needs to read it, and a script reads only one answer.
  if (!(yes && json)) terminal.err(json ? JSON.stringify({ extent: loss }) : sentences(loss, terminal));
  if (!yes && !(await confirmed(terminal, question))) throw new UserAborted('Nothing was done.');
}

/** The error of a command that would destroy something without a terminal to confirm on. @param extent its effects, as a sentence. */
export function nobodyToAsk(extent?: string): UsageError {
  const effects = extent === undefined ? '' : `${extent} `;
  return new UsageError(`${effects}Nothing was done. There is no terminal to confirm on. To go ahead, add --yes.`);
}
