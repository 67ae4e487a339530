import { type Ask, type Choice, UserAborted } from '../../src/cli/ask.ts';

/** One question as it was asked. */
export interface Asked {
  readonly message: string;
  readonly choices?: readonly string[];
  /** The choice that an Enter takes. */
  readonly first?: string;
  /** What was wrong with the lines that were typed before the one that was taken. */
  readonly refused: readonly string[];
}

/** Presses Ctrl-C. */
export const CTRL_C = Symbol('Ctrl-C');
type Answer = string | boolean | readonly string[] | typeof CTRL_C;

/**
 * A person who answers one question after the other: a line, yes or no, the name of a choice or names of several. Lines that are refused are
 * followed by the next answer.
 */
export function aPerson(answers: readonly Answer[]) {
  const asked: Asked[] = [];
  const left = [...answers];
  const next = (message: string): Exclude<Answer, typeof CTRL_C> => {
    const answer = left.shift();
    if (answer === CTRL_C) throw new UserAborted('Nothing was started.');
    if (answer === undefined) throw new Error(`Nobody answers: ${message}`);
    return answer;
  };
  const choose = <T>(choices: readonly Choice<T>[], name: unknown): T => {
    const found = choices.find((choice) => choice.name === name);
    if (found === undefined)
      throw new Error(`No such choice: ${String(name)}. There are ${namesOf(choices).join(', ')}`);
    return found.value;
  };
  const ask: Ask = {
    async text({ message, initial, check }) {
      const refused: string[] = [];
      for (;;) {
        const typed = String(next(message)) || (initial ?? '');
        const problem = check?.(typed);
        if (problem === undefined) {
          asked.push({ message, refused });
          return typed;
        }
        refused.push(problem);
      }
    },
    async one({ message, choices, first }) {
      const preselected = choices.find(({ value }) => value === first) ?? choices[0];
      const names = { choices: namesOf(choices), ...(preselected && { first: preselected.name }) };
      asked.push({ message, ...names, refused: [] });
      return choose(choices, next(message));
    },
    async some({ message, choices }) {
      asked.push({ message, choices: namesOf(choices), refused: [] });
      return [next(message)].flat().map((name) => choose(choices, name));
    },
    async yes({ message }) {
      asked.push({ message, refused: [] });
      return next(message) === true;
    },
  };
  return { ask, asked, left };
}

function namesOf(choices: readonly Choice<unknown>[]): string[] {
  return choices.map(({ name }) => name);
}
