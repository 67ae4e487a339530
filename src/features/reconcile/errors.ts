import { ProblemsError, TriggersError } from '../../client/calls/errors.ts';
import type { Problem } from '../../contract/export-job.ts';
import { counted } from '../../domain/text.ts';
import type { DifferenceCounts } from './difference.ts';
import { type DifferenceDoubt, doubtInWords } from './doubts.ts';

/** A list of people's ids has lines without one; nothing was compared or sent. */
export class InvalidList extends ProblemsError {
  static override readonly exitCode = 2;
  /** How many lines are wrong; `problems` has the first of them. */
  declare readonly wrong: number;
  constructor(problems: readonly Problem[], wrong: number) {
    const first = wrong > problems.length ? `, the first ${problems.length} here` : '';
    super(`The list cannot be used (${counted(wrong, 'problem')}${first}); nothing was sent.`, problems, { wrong });
  }
}

/** A difference looks like that of a wrong list, or of a half-empty source; nothing was sent. */
export class DifferenceDoubtful extends TriggersError {
  declare readonly doubts: readonly DifferenceDoubt[];
  /** The counts of the difference. */
  declare readonly difference: DifferenceCounts;
  constructor({ theirs, members, both, enters, exits }: DifferenceCounts, doubts: readonly DifferenceDoubt[]) {
    const difference = { theirs, members, both, enters, exits };
    const message = [...doubts.map((doubt) => doubtInWords(doubt, difference)), 'Nothing was sent.'].join(' ');
    super(message, { doubts, difference }, undefined, { action: 'force' });
  }
}
