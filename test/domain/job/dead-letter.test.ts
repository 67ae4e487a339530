import { expect, test } from '@jest/globals';
import {
  deadLetterPresentation,
  describeDeadLetter,
  membershipObstacle,
  redeliveryOf,
  refusalText,
  unaskableText,
} from '../../../src/domain/job/dead-letter.ts';
import { aDeadLetter } from './a-dead-letter.ts';

const at = '2026-11-25T04:00:00.000Z';

test.each([
  ['enter', true],
  ['exit', false],
] as const)('an %s may be sent while membership is %s', (event, isMember) => {
  expect(membershipObstacle(event, isMember)).toBeUndefined();
});

test.each([
  ['enter', false, 'is not in the audience today, so this enter would be wrong'],
  ['exit', true, 'is in the audience today, so this exit would be wrong'],
] as const)('an %s is refused while membership is %s, with the way around', (event, isMember, why) => {
  expect(membershipObstacle(event, isMember)).toContain(why);
  expect(membershipObstacle(event, isMember)).toContain('redeliver it with force');
});

test.each([
  [{ at, status: 422, code: 'IGNORED' }, 'HTTP 422', 'HTTP 422'],
  [{ at, code: 'ECONNREFUSED' }, 'ECONNREFUSED', 'connection refused'],
  [{ at }, 'NO_ANSWER', 'no answer'],
])('%j is searched for as %s and read as "%s"', (failure, attribute, words) => {
  const { attributes, memo, summary } = deadLetterPresentation(aDeadLetter({ failure }));
  expect(attributes.find(({ key }) => key.name === 'ExportFailure')?.value).toBe(attribute);
  expect(memo.failure).toBe(words);
  expect(summary).toContain(words);
});

test('a dead letter is found by job, person and audience, and kept even where the namespace cannot do that', () => {
  const { attributes } = deadLetterPresentation(aDeadLetter());
  expect(attributes).toContainEqual({ key: { name: 'ExportJobId', type: 'KEYWORD' }, value: 'crm' });
  expect(attributes).toContainEqual({ key: { name: 'ExportPerson', type: 'KEYWORD' }, value: '7076027172059065053' });
  expect(attributes).toContainEqual({
    key: { name: 'ExportAudiences', type: 'KEYWORD_LIST' },
    value: ['ab'.repeat(8)],
  });
  expect(deadLetterPresentation(aDeadLetter({ hasSearchAttributes: false })).attributes).toEqual([]);
});

test('a person with the longest id has a summary that the server takes', () => {
  const { summary } = deadLetterPresentation(aDeadLetter({ user: '顧'.repeat(255) }));
  expect(Buffer.byteLength(summary)).toBeLessThan(310);
});

const ASKED = { asking: { workflowId: 'dead-letter-1', runId: 'run', question: 1 }, force: false, isWithdrawn: false };

test('the job is given the trigger as it was, which redelivery this is, and how many attempts were made', () => {
  expect(redeliveryOf(aDeadLetter(), ASKED)).toEqual({
    subscriptionId: '5b'.repeat(16),
    ...ASKED,
    user: '7076027172059065053',
    trigger: {
      audience: 'ab'.repeat(16),
      event: 'enter',
      at: '2020-10-14T13:27:33.916374949-07:00',
      attempts: 1,
      redelivery: 1,
    },
  });
  const profile = { id: 9007199254740993n };
  expect(redeliveryOf(aDeadLetter({ profile, profileBytes: 25, redeliveries: 4 }), ASKED).trigger).toMatchObject({
    profile,
    profileBytes: 25,
    redelivery: 5,
  });
});

test('its status says until when it waits, and why it was not redelivered', () => {
  const started = Date.UTC(2026, 10, 25);
  const status = describeDeadLetter(aDeadLetter(), 'waiting', started, undefined);
  expect(status).toMatchObject({ v: 1, state: 'waiting', jobId: 'crm', expiresAt: '2026-12-25T00:00:00.000000000Z' });
  expect(status).not.toHaveProperty('notice');
  const unforced = describeDeadLetter(aDeadLetter(), 'waiting', started, { text: 'why', isForceable: false });
  expect(unforced.notice).toBe('why');
  expect(unforced).not.toHaveProperty('forceable');
  const forced = describeDeadLetter(aDeadLetter(), 'waiting', started, { text: 'why', isForceable: true });
  expect(forced).toMatchObject({ notice: 'why', forceable: true });
});

test('a refused redelivery tells people what to do, and when force does not help', () => {
  expect(refusalText(aDeadLetter(), 'other-subscription')).toContain('an earlier job crm');
  expect(refusalText(aDeadLetter(), 'other-subscription')).toContain('force does not change that');
  expect(refusalText(aDeadLetter(), 'audience-left')).toContain('no longer subscribes to vip');
  expect(refusalText(aDeadLetter(), 'audience-left')).toContain('redeliver it with force');
  expect(unaskableText(aDeadLetter(), 'not-running')).toContain('it is not running. If it can be resumed or recovered');
});
