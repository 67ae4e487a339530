import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { httpSource } from '../../src/config/http-source-config.ts';

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

test('a private address may be named, by http, and little has to be said', () => {
  expect(problemOf({})).toBe('');
});

test.each<[what: string, changes: object, message: RegExp]>([
  [
    'a placeholder that is not known',
    { members: { url: '/{audience}/{page}' } },
    /Known are: \{audience\}, \{cursor\}, \{limit\}/,
  ],
  [
    'one that is known elsewhere',
    { member: { url: '/{audience}/{user}/{cursor}' } },
    /Known are: \{audience\}, \{user\}/,
  ],
  ['no place for the audience', { members: { url: '/people' } }, /has to say \{audience\}/],
  ['a brace alone', { members: { url: '/{audience}/{' } }, /A brace belongs to a placeholder/],
  ['another host', { members: { url: 'https://else.example/{audience}' } }, /begins with a slash/],
  ['a cursor from nowhere', { members: { url: '/{audience}?a={cursor}' } }, /where \{cursor\} comes from/],
  ['two ways on', { members: { url: '/{audience}', next: 'a', nextLink: true } }, /Either "next" or "nextLink"/],
  ['nobody to ask for', { profiles: { url: '/people', id: 'id' } }, /who is asked for/],
  ['people in two places', { profiles: { url: '/p?i={users}', id: 'id', body: ['{users}'] } }, /who is asked for/],
  ['rows without an id', { profiles: { url: '/p?i={users}' } }, /"id" has to say whose a row is/],
  ['rows for one person', { profiles: { url: '/p/{user}', items: 'data' } }, /the answer is one person/],
  [
    'a path with an empty name',
    { members: { url: '/{audience}', items: 'data..rows' } },
    /names with dots between them/,
  ],
  ['a token in the URL', { url: 'https://u:s3cret@people.example.com' }, /no user name, password/],
  ['a header that is none', { headers: { 'authorization: Bearer s3cret': 'x' } }, /a name that none can have/],
  ['no audiences', { audiences: [] }, /"audiences" is a list of|at audiences/],
  ['an unknown setting', { pages: 3 }, /"pages"/],
])('%s is refused with what is right, without repeating a secret', (_, changes, message) => {
  expect(problemOf(changes)).toMatch(message);
  expect(problemOf(changes)).not.toContain('s3cret');
});
