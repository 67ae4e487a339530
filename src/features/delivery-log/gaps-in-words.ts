import type { LogGap } from './delivery.ts';
import { shownCount } from '../../domain/text.ts';

/** The longest, in ms, that a person who counts waits for workers that have not written everything, and a replay or an export. */
export const COUNT_WAIT_MS = 3_000;
export const EXPORT_WAIT_MS = 15_000;

/** Says to people that rows may be missing, by the first gap of each kind; undefined: there is none. */
export function gapsInWords(gaps: readonly LogGap[]): string | undefined {
  const told = gaps.filter(({ why }, i) => gaps.findIndex((one) => one.why === why) === i);
  const more = gaps.length - told.length;
  const words = told.map(gapInWords);
  if (more > 0) words.push(`There are further gaps in that time: ${shownCount(more)}.`);
  return words.length === 0 ? undefined : words.join(' ');
}

function gapInWords({ why, worker, from, until, dropped = 0 }: LogGap): string {
  if (why === 'begins') return `The log begins at ${until}.`;
  const words = {
    dropped: `dropped ${dropped === 0 ? 'some' : shownCount(dropped)} between ${from} and ${until}`,
    behind: `has written only up to ${from}: it is slow, cannot reach the log, or was killed`,
    unheard: `has worked since ${from}, and never wrote to the log`,
  }[why];
  return `Rows may be missing: ${worker === undefined ? 'a worker' : `the worker ${worker}`} ${words}.`;
}
