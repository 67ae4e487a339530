import { createInterface } from 'node:readline';
import { sentences } from './render.ts';
import type { Terminal } from './terminal.ts';

/**
 * Asks the person at the terminal; where there is none, the answer is yes. Anything but `y` or `yes` is a no, and so is aborting `signal`, which a
 * caller gives that takes Ctrl-C itself.
 */
export async function confirmed(terminal: Terminal, question: string, signal?: AbortSignal): Promise<boolean> {
  if (terminal.stdin.isTTY !== true) return true;
  terminal.err(sentences(`${question} [y/N]`, terminal));
  const lines = createInterface({ input: terminal.stdin, ...(signal && { signal }) });
  try {
    for await (const line of lines) return /^y(es)?$/i.test(line.trim());
    return false;
  } finally {
    lines.close();
  }
}
