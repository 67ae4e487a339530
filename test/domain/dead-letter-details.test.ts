import { expect, test } from '@jest/globals';
import { describeDeadLetter } from '../../src/domain/dead-letter.ts';
import { deadLetterDetails } from '../../src/domain/dead-letter-details.ts';
import { aDeadLetter } from './a-dead-letter.ts';

const started = Date.UTC(2026, 10, 25);

test('people read what it is, what the endpoint said and what they can do', () => {
  const details = deadLetterDetails(describeDeadLetter(aDeadLetter(), 'waiting', started, undefined));
  expect(details.split('\n')).toEqual([
    '**enter of 7076027172059065053**',
    '',
    '| | |',
    '|---|---|',
    '| State | Waits for a person. Signal "redeliver" to send it after all (last in its person\'s order, with the same id), or "discard" to drop it. |',
    '| Job | crm |',
    '| Person | 7076027172059065053 |',
    '| Audience | vip (Very important) |',
    '| Event | enter at 2020-10-14T13:27:33.916374949-07:00 |',
    '| Last attempt | 2026-11-25 04:00:00 UTC: HTTP 422 "no such field" |',
    '| Attempts | 1 |',
    '| Given up | 2026-11-25 04:00:01 UTC |',
    '| Kept until | 2026-12-25 00:00:00 UTC |',
  ]);
});

test('why it was not redelivered stands next to its state', () => {
  const details = deadLetterDetails(describeDeadLetter(aDeadLetter(), 'waiting', started, 'The person left.'));
  expect(details.split('\n')[5]).toBe('| Not redelivered | The person left. |');
});

test('what an endpoint answered cannot become markup', () => {
  const failure = { at: '', status: 422, answer: '</td>|[x](http://evil)\n# no' };
  const details = deadLetterDetails(describeDeadLetter(aDeadLetter({ failure }), 'waiting', started, undefined));
  expect(details).toContain('HTTP 422 "\\</td\\>\\|\\[x\\](http://evil) # no"');
});
