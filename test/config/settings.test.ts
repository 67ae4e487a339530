import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { fileSource } from '../../src/config/file-source.ts';
import { httpSource } from '../../src/features/source-http/config.ts';
import { lyticsSource } from '../../src/features/source-lytics/config.ts';
import { postgresSource } from '../../src/features/source-postgres/config.ts';
import { ingestsSchema } from '../../src/features/ingests/config.ts';
import { keysAt, problemsOf, VARIABLES } from '../../src/config/problems.ts';
import { authorizationSchema } from '../../src/authorizations/authorization-config.ts';
import { SETTINGS } from '../../src/config/core-config.ts';
import { configSchema } from '../../src/app/config.ts';
import { kafkaSchema, outboxSchema } from '../../src/features/consumers/config.ts';
import { tracingSchema } from '../../src/features/spans/config.ts';
import { namesUnder } from '../docs/pages.ts';

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
  ['a preset that is not there', { preset: 'nobody' }, /must be one of lytics, segment/],
  ['a misspelt preset', { preset: 'segmnt' }, /Did you mean "segment"\?/],
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

const page = (name: string): string => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');

/** Every key that may stand at this place or below, with what leads to it: `members.url`. */
function settingsIn(schema: Parameters<typeof keysAt>[0], path: readonly string[] = []): string[] {
  return keysAt(schema, path).flatMap((key) => {
    const here = [...path, key];
    return [here.join('.'), ...settingsIn(schema, here)];
  });
}

const CONFIGURATION = page('docs/configuration.md');

test('the table of docs/configuration.md has every setting, and no other', () => {
  expect(namesUnder(CONFIGURATION, /\| setting +\| what it is.*\|/).toSorted()).toEqual(SETTINGS.toSorted());
  expect(Object.keys(configSchema.shape).toSorted()).toEqual(SETTINGS.toSorted());
  const ofNetwork = settingsIn(configSchema, ['network']).map((setting) => setting.replace('network.', ''));
  expect(namesUnder(CONFIGURATION, /\| part of `network` +\|.*\|/).toSorted()).toEqual(ofNetwork.toSorted());
});

test.each<[string, Parameters<typeof keysAt>[0], string, string]>([
  ['authorizations', authorizationSchema, 'docs/authorizations.md', 'origins'],
  ['the source postgres', postgresSource, 'docs/sources/postgres.md', 'kind'],
  ['the source lytics', lyticsSource, 'docs/sources/lytics.md', 'kind'],
  ['the source http', httpSource, 'docs/sources/http.md', 'kind'],
  ['the source file', fileSource, 'docs/sources/file.md', 'kind'],
  ['the outbox', outboxSchema, 'docs/consumers.md', 'url'],
  ['Kafka', kafkaSchema, 'docs/consumers.md#Topics of Apache Kafka', 'brokers'],
  ['traces', tracingSchema, 'docs/tracing.md', ''],
])('every setting of %s is on its page, and every setting that the page lists is accepted', (_, schema, name) => {
  const [file = '', heading] = name.split('#');
  const text = heading === undefined ? page(file) : page(file).slice(page(file).indexOf(`\n## ${heading}\n`));
  const settings = settingsIn(schema);
  expect(settings.length).toBeGreaterThan(2);
  const missing = settings.filter((setting) => !new RegExp(`\\b${setting.split('.').at(-1)}\\b`).test(text));
  expect(missing).toEqual([]);
  const listed = namesUnder(text, /\| (?:setting|it carries|part) +\|.*\|/);
  expect(listed.filter((setting) => !settings.includes(setting))).toEqual([]);
});

test('every setting below these is named there or on a page', () => {
  const pages = [
    'alerts',
    'metrics',
    'operating',
    'watch',
    'encryption',
    'tracing',
    'authorizations',
    'setup',
    'consumers',
  ];
  const all = [CONFIGURATION, ...pages.map((name) => page(`docs/${name}.md`))].join('\n');
  const own = SETTINGS.filter((setting) => setting !== 'source').flatMap((setting) => [
    setting,
    ...settingsIn(configSchema, [setting]),
  ]);
  const missing = own.filter((setting) => !new RegExp(`\\b${setting.split('.').at(-1)}\\b`).test(all));
  expect(missing).toEqual([]);
});

test('every variable that is read is documented, and every one that is documented is known', () => {
  const pages = [
    'docs/configuration.md',
    '.env.example',
    'docker-compose.yml',
    'docs/encryption.md',
    'docs/tracing.md',
    'docs/operating.md',
  ];
  const named = pages.flatMap((name) => page(name).match(/\bTRIGGERS_[A-Z][A-Z_]*[A-Z]\b/g) ?? []);
  // docker-compose.yml hands on that of 0.1.0 for programs to refuse.
  const known = [...VARIABLES, 'TRIGGERS_CONFIG_FILE'];
  expect([...new Set(named)].toSorted()).toEqual(known.toSorted());
});
