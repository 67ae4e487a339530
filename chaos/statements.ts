import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from '../src/features/local/run-program.ts';

/** Prints whether a statement holds, and what was seen; when one does not, the program's exit code is 1. */
export async function holds(statement: string, prove: () => Promise<string | void> | string | void): Promise<void> {
  try {
    const seen = await prove();
    console.log(`ok      ${statement}${seen === undefined ? '' : `: ${seen}`}`);
  } catch (error) {
    process.exitCode = 1;
    console.log(`FAILED  ${statement}: ${reasonOf(error)}`);
  }
}

/** @throws Error with these words unless it is so. */
export function must(isSo: boolean, words: string): void {
  if (!isSo) throw new Error(words);
}

const LOOK_MS = 200;

/** Looks until it is so. @throws Error that names it when it is not within `longestMs`. */
export async function until(what: string, isSo: () => Promise<boolean> | boolean, longestMs = 180_000): Promise<void> {
  const deadline = performance.now() + longestMs;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`not within ${longestMs / 1000} s: ${what}`);
    await sleep(LOOK_MS);
  }
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
