import type { LogGap } from '../contract/delivery.ts';
import { shownCount } from './shown.ts';

/** Says to people that rows may be missing, by the first of the gaps; undefined: there is none. */
export function gapsInWords([first, ...others]: readonly LogGap[]): string | undefined {
  if (first === undefined) return undefined;
  const { worker, from, until, dropped = 0 } = first;
  const words =
    until === undefined
      ? `was last seen at ${from}, and was killed or cannot reach the log`
      : `dropped ${dropped === 0 ? 'some' : shownCount(dropped)} between ${from} and ${until}`;
  const more = others.length === 0 ? '' : ` There are further gaps in that time: ${shownCount(others.length)}.`;
  return `Rows may be missing: ${worker === undefined ? 'a worker' : `the worker ${worker}`} ${words}.${more}`;
}
