import { expect, test } from '@jest/globals';
import { ingestsSchema } from '../../src/config/ingest-config.ts';
import { problemsOf } from '../../src/config/problems.ts';

const SECRET = 's3cret-value-of-a-sender';

function problemsIn(ingest: object, name = 'one'): string {
  const { error } = ingestsSchema.safeParse({ [name]: ingest });
  return error === undefined ? '' : problemsOf(error, ingestsSchema);
}

test.each<[string, object, RegExp]>([
  [
    'a setting that is not there',
    { preset: 'segment', audience_: 'a' },
    /no setting "audience_"\. Did you mean "audience"/,
  ],
  ['a preset that is not there', { preset: 'segmnt' }, /preset is one of lytics, segment/],
  ['neither', {}, /either a "preset" or "expressions"/],
  ['both', { preset: 'segment', expressions: { user: 'a', event: 'b', audience: 'c' } }, /either a "preset" or/],
  [
    'no JSONata',
    { expressions: { user: 'a.(', event: 'b', audience: 'c' } },
    /not JSONata: something is wrong at char/,
  ],
  [
    'an expression that is not there',
    { expressions: { user: 'a', event: 'b', audiense: 'c' } },
    /Did you mean "audience"/,
  ],
  ['no audience', { expressions: { user: 'a', event: 'b' } }, /"audience" beside "expressions" must say it/],
  [
    'a field beside expressions',
    { userField: 'a', audience: 'x', expressions: { user: 'a', event: 'b' } },
    /for a preset/,
  ],
  ['a sender that is not known to sign', { preset: 'lytics', signature: { secret: SECRET } }, /which header/],
  [
    'an algorithm that has no choice',
    { preset: 'standard', signature: { secret: SECRET, algorithm: 'sha1' } },
    /kind "hmac"/,
  ],
  ['no secret of the standard', { preset: 'standard', signature: { secret: SECRET } }, /"whsec_" and the base64/],
  ['an empty secret', { preset: 'segment', signature: { secret: '' } }, /at least 24/],
  ['a short secret', { preset: 'segment', signature: { secret: 'x'.repeat(23) } }, /at least 24 characters/],
  [
    'a short one of the standard',
    { preset: 'standard', signature: { secret: `whsec_${'A'.repeat(28)}` } },
    /"whsec_" and the base64 of 24/,
  ],
  ['a short header', { preset: 'segment', header: { name: 'a', value: 'x'.repeat(15) } }, /at least 16 characters/],
  ['a short parameter', { preset: 'segment', parameter: { name: 'a', value: '1' } }, /at least 16 characters/],
  ['a short password', { preset: 'segment', basic: { username: 'a', password: '1' } }, /at least 16 characters/],
  ['no job', { preset: 'segment', jobs: [] }, /Leave "jobs" out/],
  [
    'what is signed, of a sender with one way',
    { preset: 'standard', signature: { secret: SECRET, covers: 'first-event' } },
    /kind "hmac"/,
  ],
  ['a header with no name', { preset: 'segment', header: { name: 'a b', value: SECRET } }, /not the name of a header/],
  ['another status', { preset: 'segment', badDataStatus: 500 }, /422 or 200/],
])('%s is refused, and said', (_, ingest, problem) => {
  const said = problemsIn(ingest);
  expect(said).toMatch(problem);
  expect(said).not.toContain(SECRET);
});

test('all problems are said at once, with their places', () => {
  const said = problemsIn({
    preset: 'segment',
    profiles: 'mine',
    badDataStatus: 1,
    signature: { secret: SECRET, hedder: 'x' },
  });
  for (const place of ['one.profiles', 'one.badDataStatus', 'one.signature']) expect(said).toContain(place);
});

test('a name stands in a path', () => {
  expect(problemsIn({ preset: 'segment' }, 'a/b')).toMatch(/letters, digits/);
  expect(problemsIn({ preset: 'segment' }, 'a-b_1')).toBe('');
});
