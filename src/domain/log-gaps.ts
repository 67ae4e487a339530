import type { LogGap } from '../contract/delivery.ts';
import { shownCount } from './shown.ts';

/** Says to people that rows may be missing, by the first of the gaps; undefined: there is none. */
export function gapsInWords([first, ...others]: readonly LogGap[]): string | undefined {
  if (first === undefined) return undefined;
  const { worker, from, until, dropped } = first;
  const words =
    until === undefined
      ? `the worker ${worker} was last seen at ${shownTime(from)}, and was killed or cannot reach the log`
      : `the worker ${worker} dropped ${shownCount(dropped)} between ${shownTime(from)} and ${shownTime(until)}`;
  const more = others.length === 0 ? '' : ` There are further gaps in that time: ${shownCount(others.length)}.`;
  return `Rows may be missing: ${words}.${more}`;
}

function shownTime(at: string): string {
  return `${at.slice(0, 19).replace('T', ' ')} UTC`;
}
