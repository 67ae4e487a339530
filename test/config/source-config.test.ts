import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { httpSource } from '../../src/config/source-config.ts';

const GOOD = {
  kind: 'http',
  url: 'http://10.0.0.5:8080/api',
  audiences: [{ id: '7' }],
  members: { url: '/lists/{audience}/people?after={cursor}', next: 'paging.next' },
};

/** What is wrong with a configuration; empty when nothing is. */
function problemOf(changes: object): string {
  const { error } = httpSource.safeParse({ ...GOOD, ...changes });
  return error === undefined ? '' : z.prettifyError(error);
}

test('a private address may be named, even by http, and few settings are required', () => {
  expect(problemOf({})).toBe('');
});

test.each<[what: string, changes: object, message: RegExp]>([
  [
    'an unknown placeholder',
    { members: { url: '/{audience}/{page}' } },
    /Known here: \{audience\}, \{cursor\}, \{limit\}/,
  ],
  [
    'a placeholder that is known in other places',
    { member: { url: '/{audience}/{user}/{cursor}' } },
    /Known here: \{audience\}, \{user\}/,
  ],
  ['no place for the audience', { members: { url: '/people' } }, /must contain \{audience\}/],
  ['a brace alone', { members: { url: '/{audience}/{' } }, /A brace must belong to a placeholder/],
  ['another host', { members: { url: 'https://else.example/{audience}' } }, /path that begins with a slash/],
  ['a cursor from nowhere', { members: { url: '/{audience}?a={cursor}' } }, /where \{cursor\} comes from/],
  [
    'two ways to the next page',
    { members: { url: '/{audience}', next: 'a', nextLink: true } },
    /either "next" or "nextLink"/,
  ],
  ['no place for people', { profiles: { url: '/people', id: 'id' } }, /exactly one place/],
  ['people in two places', { profiles: { url: '/p?i={users}', id: 'id', body: ['{users}'] } }, /exactly one place/],
  ['rows without an id', { profiles: { url: '/p?i={users}' } }, /"id" must say where the person's id is/],
  ['rows for one person', { profiles: { url: '/p/{user}', items: 'data' } }, /the answer is one person/],
  [
    'a path with an empty name',
    { members: { url: '/{audience}', items: 'data..rows' } },
    /names with dots between them/,
  ],
  ['a token in the URL', { url: 'https://u:s3cret@people.example.com' }, /must have no user name, password/],
  [
    'an impossible header',
    { headers: { 'authorization: Bearer s3cret': 'x' } },
    /The name of header number 1 is not valid/,
  ],
  ['no audiences', { audiences: [] }, /"audiences" must be a list of|at audiences/],
  ['an unknown setting', { pages: 3 }, /"pages"/],
])('%s is refused with a hint at what is right, without repeating a secret', (_, changes, message) => {
  expect(problemOf(changes)).toMatch(message);
  expect(problemOf(changes)).not.toContain('s3cret');
});
