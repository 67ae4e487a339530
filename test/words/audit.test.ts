import { expect, test } from '@jest/globals';
import { deedInWords } from '../../src/words/audit.ts';

const until = '2026-12-01T08:00:00.000Z';

test('the history says what a replay sends again, as far as it was limited', () => {
  expect(deedInWords({ action: 'replay', replay: { until, enters: 2, exits: 1 } })).toBe(
    `replay started: 2 enters and 1 exit, told before ${until}`,
  );
  const since = '2026-11-30T08:00:00.000Z';
  const limited = { since, until, enters: 1, exits: 0, onlyLast: true, newIds: true, isOfOnePerson: true } as const;
  expect(deedInWords({ action: 'replay', replay: limited })).toBe(
    `replay started: 1 enter and 0 exits of one person, told from ${since} until ${until}, only what each was told last, with new ids`,
  );
  // 0.1.0 did not keep it.
  expect(deedInWords({ action: 'replay' })).toBe('replay started');
});
