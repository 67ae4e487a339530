import type { JobDefinitionInput } from '../client/export-jobs.ts';
import { checkJobDefinition } from '../contract/export-job.ts';

/** The answers so far: a definition in the making. */
export type Draft = { -readonly [K in keyof JobDefinitionInput]?: JobDefinitionInput[K] };

/** What is wrong with one answer by the form's rules. */
export function problemOf(field: string, value: unknown): string | undefined {
  const checked = checkJobDefinition({ [field]: value });
  return checked.ok ? undefined : checked.problems.find((problem) => problem.field.startsWith(field))?.message;
}

/** What is wrong with a number as it was typed. */
export function problemOfNumber(field: string, text: string): string | undefined {
  const number = text.trim() === '' ? NaN : Number(text);
  if (field === 'parallelRequestCount' && !Number.isInteger(number)) return 'Enter a whole number.';
  return Number.isNaN(number) || number <= 0 ? 'Enter a number above 0.' : problemOf(field, number);
}
