import { VERDICTS } from '../../domain/verdict.ts';

/** Verdicts that are no failures: nothing was to be sent, or not yet, or not any more. Counts and searches for failures leave them out. */
export const NO_FAILURES = [
  ...Object.entries(VERDICTS).flatMap(([verdict, { isShown }]) => (isShown ? [] : [verdict])),
  'superseded',
];

/** The verdicts by which deliveries are searched; `failed`: all failures. */
export const SEARCHED_VERDICTS = ['delivered', 'failed', ...Object.keys(VERDICTS), 'superseded'] as const;

/** A failure by its status or its code, as counts name it: `503`, `ECONNREFUSED`. */
export function failureNamed(name: string): { readonly status: number } | { readonly code: string } {
  return /^\d+$/.test(name) ? { status: Number(name) } : { code: name };
}
