import type { Problem } from '../contract/export-job.ts';
import { isRecord } from './json.ts';
import { DIFFERENCE_ID } from './names.ts';

/** A kind of value that a program or a person gives under a key. */
export interface Kind {
  /** Completes "This must be". */
  readonly what: string;
  readonly isRight: (value: unknown) => boolean;
}

export type Kinds = Readonly<Record<string, Kind>>;

/** Longest name of a person, an audience, a job or a request. */
export const MOST_NAME = 255;

const isText = (value: unknown): value is string => typeof value === 'string' && value.trim() !== '';

export const flag: Kind = { what: 'true or false', isRight: (value) => typeof value === 'boolean' };
export const text: Kind = { what: 'text, not empty', isRight: isText };
export const name: Kind = {
  what: `text of 1 to ${MOST_NAME} characters`,
  isRight: (value) => isText(value) && value.length <= MOST_NAME,
};
export const texts: Kind = { what: 'a list of texts', isRight: (value) => Array.isArray(value) && value.every(isText) };
export const names: Kind = {
  what: 'a list of slugs or ids, not empty',
  isRight: (value) => Array.isArray(value) && value.length > 0 && value.every(isText),
};
export const record: Kind = { what: 'an object', isRight: isRecord };
export const differenceId: Kind = {
  what: 'the id of a difference',
  isRight: (value) => typeof value === 'string' && DIFFERENCE_ID.test(value),
};

export function oneOf(...values: readonly string[]): Kind {
  const all = values.map((value) => `"${value}"`);
  return {
    what: `${all.slice(0, -1).join(', ')} or ${all.at(-1)}`,
    isRight: (value) => typeof value === 'string' && values.includes(value),
  };
}

/** A whole number from `least` on, or to `most`, inclusive. */
export function whole(least: number, most?: number): Kind {
  return {
    what: most === undefined ? `a whole number, ${least} or more` : `a whole number from ${least} to ${most}`,
    isRight: (value) => Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= (most ?? Infinity),
  };
}

/** The problems of the values that are given; an undefined one counts as left out. */
export function wrongValues(values: Readonly<Record<string, unknown>>, kinds: Kinds): Problem[] {
  return Object.entries(kinds)
    .filter(([field, { isRight }]) => values[field] !== undefined && !isRight(values[field]))
    .map(([field, { what }]) => ({ field, message: `This must be ${what}.` }));
}
