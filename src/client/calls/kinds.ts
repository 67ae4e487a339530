import { type Kind, MOST_NAME, record, text, whole } from '../../domain/kinds.ts';
import { MOST_REASON } from '../../domain/requests.ts';

// Kinds of options that only a program in this process can give, and those that many methods take.

export const anything: Kind = { what: '', isRight: () => true };
/** The filter's own check gives better reasons for other mistakes. */
export const anyText: Kind = {
  what: `text of at most ${MOST_NAME} characters`,
  isRight: (value) => typeof value === 'string' && value.length <= MOST_NAME,
};
export const count = whole(0);
export const rate: Kind = {
  what: 'a number above 0',
  isRight: (value) => typeof value === 'number' && value > 0,
};
export const ms: Kind = {
  what: 'a number of milliseconds, 0 or more',
  isRight: (value) => typeof value === 'number' && value >= 0,
};
export const time: Kind = {
  what: 'a valid Date',
  isRight: (value) => value instanceof Date && !Number.isNaN(value.getTime()),
};
export const call: Kind = { what: 'a function', isRight: (value) => typeof value === 'function' };
export const signal: Kind = { what: 'an AbortSignal', isRight: (value) => value instanceof AbortSignal };

export const line = (most: number): Kind => ({
  what: `text of 1 to ${most} characters`,
  isRight: (value) => text.isRight(value) && String(value).length <= most,
});
/** Every change takes these (`DeedOptions`). */
export const deed = { by: record, reason: line(MOST_REASON) };
