import { afterEach, expect, test } from '@jest/globals';
import { spinnerOn } from '../../src/cli/terminal.ts';
import { aTerminal } from './a-terminal.ts';

const { columns } = process.stderr;
afterEach(() => {
  process.stderr.columns = columns;
});

test('what takes its time is shown where a person sees it, and not where it would be redrawn for ever', () => {
  const { terminal } = aTerminal({ interactive: true });
  process.stderr.columns = 80;
  expect(spinnerOn(terminal, false)).toBeDefined();
  expect(spinnerOn(terminal, true)).toBeUndefined();
  process.stderr.columns = 0; // As under `script`, or in CI.
  expect(spinnerOn(terminal, false)).toBeUndefined();
});
