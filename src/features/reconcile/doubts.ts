import { isTooLarge } from '../../snapshots/comparing.ts';
import type { DifferenceCounts } from './difference.ts';
import { shownCount } from '../../domain/text.ts';

/** The largest share of the people on the list, in percent, that may exit without a confirmation. */
const LARGEST_EXIT_PERCENT = 20;
/** The largest share of the members, in percent, that may be missing from the list without a confirmation. */
const LARGEST_ENTER_PERCENT = 80;

/** Why a difference may come from a wrong list, or from a source that is half empty. */
export type DifferenceDoubt = 'empty' | 'no-match' | 'exits' | 'enters';

/** Returns why a difference must not be sent unless a person confirms it. */
export function doubtsAbout({ theirs, members, both, enters, exits }: DifferenceCounts): DifferenceDoubt[] {
  if (theirs === 0) return enters === 0 ? [] : ['empty'];
  if (both === 0 && exits > 0) return [members === 0 ? 'exits' : 'no-match'];
  return [
    ...(isTooLarge(exits, theirs, LARGEST_EXIT_PERCENT) ? ['exits' as const] : []),
    ...(isTooLarge(enters, members, LARGEST_ENTER_PERCENT) ? ['enters' as const] : []),
  ];
}

/** Why it is not sent, as a sentence. */
export function doubtInWords(doubt: DifferenceDoubt, { theirs, members, enters, exits }: DifferenceCounts): string {
  switch (doubt) {
    case 'empty':
      return `The list is empty, so all ${shownCount(members)} members would enter. Use a backfill instead.`;
    case 'no-match':
      return `None of the ${shownCount(theirs)} people on the list is a member. Most likely these are other ids, or another column.`;
    case 'exits':
      return `${shownCount(exits)} of the ${shownCount(theirs)} people on the list would exit, more than ${LARGEST_EXIT_PERCENT} %. Most likely the list is for another audience, or the source is half empty.`;
    case 'enters':
      return `${shownCount(enters)} of the ${shownCount(members)} members would enter, more than ${LARGEST_ENTER_PERCENT} %. Most likely the list is incomplete.`;
  }
}
