import { appendFile, mkdir, rename, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { stringifyJson } from '../../../src/domain/json.ts';
import { type FileSourceOptions, openFileSource } from '../../../src/sources/file/source.ts';
import type { AudienceSource } from '../../../src/activities/audience-source.ts';
import type { SourceContent } from '../../support/memory-source.ts';
import { profileFields } from '../../support/profile-fields.ts';
import { conformsToAudienceSource } from '../source-conformance.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { fieldsOf } from '../../../src/domain/message.ts';
import { readProfileLine } from '../../../src/sources/file/profiles.ts';

const VIP = 'a'.repeat(32);
const cleanUps: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

conformsToAudienceSource('the file source', async ({ audiences, profiles }: SourceContent) => {
  const folder = await newFolder();
  for (const { slug, members, ...header } of audiences) {
    const lines = members.map((user, i) => JSON.stringify(i % 2 === 0 ? user : { user }));
    await writeFile(audiencePath(folder, slug), [JSON.stringify({ audience: header }), ...lines].join('\n'));
  }
  const lines = Object.entries(profiles).map(([user, profile]) => `${stringifyJson({ user, profile })}\n`);
  await writeFile(profilesPath(folder), lines.join(''));
  return openFileSource(folder, { quietMs: 0 });
});

test('a folder that is not a source is refused, with what it should contain', async () => {
  const folder = tempFolder();
  await expect(openFileSource(folder)).rejects.toThrow(/audiences is not a folder.*<slug>\.ndjson/);
  await mkdir(join(folder, 'audiences'));
  await expect(openFileSource(folder)).rejects.toThrow(/profiles\.ndjson is not a file.*empty file means/);
});

test('a broken profile line costs no other profile, and is reported with its line', async () => {
  const problems: string[] = [];
  const source = await sourceWith(
    {
      profiles: [
        '{"user":"1","profile":{"n":1}}',
        '{"user":"2","profile":{"n":2}',
        '{"user":3,"profile":{}}',
        '',
        '{"user":"4","profile":{"n":}}',
        '{"user":"5"}',
        '{"user":"","profile":{}}',
        '[]',
        '{"user":"6","profile":{"n":6}}',
      ],
    },
    { onProblem: (text) => problems.push(text) },
  );
  expect([...(await profileFields(source, ['1', '2', '3', '4', '5', '6']))]).toEqual([
    ['1', { n: 1 }],
    ['6', { n: 6 }],
  ]);
  expect(problems).toEqual([
    expect.stringMatching(/^profiles\.ndjson, line 2: this is not JSON/),
    expect.stringMatching(/^profiles\.ndjson, line 3: the id must be a JSON string, in quotes/),
    expect.stringMatching(/^profiles\.ndjson, line 6: there is no object under "profile"/),
    expect.stringMatching(/^profiles\.ndjson, line 7: the id must have 1 to 255 characters/),
    expect.stringMatching(/^profiles\.ndjson, line 8: a line must be/),
    expect.stringMatching(/^profiles\.ndjson, line 5: this is not JSON/),
  ]);
});

test('a profile line over 1 MiB is reported as too long, and one of exactly 1 MiB is read', async () => {
  const problems: string[] = [];
  const line = (user: string, bytes: number): string => {
    const [before, after] = [`{"user":"${user}","profile":{"n":"`, '"}}'];
    return before + 'x'.repeat(bytes - before.length - after.length) + after;
  };
  const profiles = [line('1', 100), line('2', 1024 * 1024), line('3', 1024 * 1024 + 1), line('4', 100)];
  const source = await sourceWith({ profiles }, { onProblem: (text) => problems.push(text) });
  const found = await profileFields(source, ['1', '2', '3', '4']);
  expect([...found.keys()]).toEqual(['1', '2', '4']);
  expect(problems).toEqual(['profiles.ndjson, line 3: the line is longer than 1 MiB']);
});

test('a file that is wrong all over is reported at most 20 times, and again once it has changed', async () => {
  const problems: string[] = [];
  const folder = await newFolder();
  await writeFile(profilesPath(folder), 'x\n'.repeat(100));
  const source = await opened(folder, { onProblem: (text) => problems.push(text) });
  await source.profiles(['1']);
  await source.profiles(['1']);
  expect(problems).toHaveLength(21);
  expect(problems.at(-1)).toMatch(/more problems than these 20/);
  await writeFile(profilesPath(folder), 'y\n');
  await source.profiles(['1']);
  expect(problems).toHaveLength(22);
});

test('reads what other programs write: spaces, other key order, escapes, CRLF, a byte order mark, no last newline', async () => {
  const source = await sourceWith({
    profiles: [
      '\uFEFF{ "user" : "1", "profile" : { "n": 1 } }\r',
      '{"profile":{"n":2},"user":"2"}\r',
      '{"user":"\\u0033","profile":{"n":3}}',
      `{"user":"4","profile":{"n":"${'é'.repeat(700_000)}"}}`,
      '{"user":"5","more":true,"profile":{"n":5}}',
    ],
    audience: ['\uFEFF{"audience":{"id":"' + VIP + '","name":"VIP"}}\r', '"1"\r', '{"user" : "2"}\r', '', '"\\u0033"'],
  });
  const found = await profileFields(source, ['1', '2', '3', '5']);
  expect([...found.values()]).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }, { n: 5 }]);
  expect((await source.members(VIP, undefined, 10)).ids).toEqual(['1', '2', '3']);
  for (const user of ['1', '2', '3']) expect([user, await source.isMember(VIP, user)]).toEqual([user, true]);
});

test('only the id of a line makes somebody a member, and a broken line makes nobody one', async () => {
  const source = await sourceWith({
    audience: [
      JSON.stringify({ audience: { id: VIP, name: 'VIP' } }),
      '{"user":"1","friend":"2"}',
      '{"user":"3"',
      '4 "5"',
      '{"user":"6"}',
    ],
  });
  const users = ['1', '2', '3', '4', '5', '6', 'VIP', VIP];
  const members = await Promise.all(users.map((user) => source.isMember(VIP, user)));
  expect(users.filter((_, i) => members[i])).toEqual(['1', '6']);
});

test('the later of two lines for one person counts', async () => {
  const source = await sourceWith({
    profiles: [profileLine('1', 'old'), profileLine('2', 'x'), profileLine('1', 'new')],
  });
  expect((await profileFields(source, ['1'])).get('1')).toEqual({ v: 'new' });
});

test('ids with the same hash stay apart', async () => {
  const [first, second] = ['costarring', 'liquid']; // One 32-bit FNV-1a, so one hash in the index.
  const source = await sourceWith({ profiles: [profileLine(first, 'first')] });
  expect((await source.profiles([second])).size).toBe(0);
  const both = await sourceWith({ profiles: [profileLine(first, 'first'), profileLine(second, 'second')] });
  const found = await profileFields(both, [second, first]);
  expect([found.get(first), found.get(second)]).toEqual([{ v: 'first' }, { v: 'second' }]);
});

test('a replaced file is seen at the next call', async () => {
  const folder = await newFolder();
  await writeFile(profilesPath(folder), `${profileLine('1', 'old')}\n`);
  const source = await opened(folder);
  expect((await profileFields(source, ['1'])).get('1')).toEqual({ v: 'old' });
  await replace(profilesPath(folder), `${profileLine('2', 'more')}\n${profileLine('1', 'new')}\n`);
  expect((await source.profiles(['1', '2'])).size).toBe(2);
  await appendFile(profilesPath(folder), profileLine('3', 'appended'));
  expect((await profileFields(source, ['3'])).get('3')).toEqual({ v: 'appended' });
  await truncate(profilesPath(folder));
  expect((await source.profiles(['1', '3'])).size).toBe(0);
});

test('calls during replacements get the old or the new profiles, never a mixture or a neighbour', async () => {
  const folder = await newFolder();
  const people = Array.from({ length: 1000 }, (_, i) => String(i));
  // Lengths differ, so that a place of one version is the middle of a line in another.
  const write = (version: number) =>
    replace(
      profilesPath(folder),
      people
        .map((user) => `${profileLine(user, `${version}:${'x'.repeat((Number(user) * version) % 50)}`)}\n`)
        .join(''),
    );
  await write(0);
  const source = await opened(folder);
  const last = 10;
  let version = 0;
  const readers = Array.from({ length: 4 }, async () => {
    for (let oldest = 0; oldest < last;) {
      oldest = version;
      const found = await profileFields(source, people);
      const seen = new Set([...found.values()].map(({ v }) => (typeof v === 'string' ? Number.parseInt(v, 10) : -1)));
      expect([found.size, seen.size]).toEqual([people.length, 1]);
      expect([...seen][0]).toBeGreaterThanOrEqual(oldest);
    }
  });
  for (let next = 1; next <= last; next++) {
    await write(next);
    version = next;
  }
  await Promise.all(readers);
});

test('a call that is reading keeps the old file to its end, while another one already has the new', async () => {
  const folder = await newFolder();
  const people = Array.from({ length: 20_000 }, (_, i) => String(i));
  await writeFile(profilesPath(folder), people.map((user) => `${profileLine(user, 'old')}\n`).join(''));
  const source = await opened(folder);
  await source.profiles(['1']);
  const ended: string[] = [];
  const slow = profileFields(source, people).then((found) => (ended.push('slow'), found));
  await replace(profilesPath(folder), profileLine('1', 'new'));
  expect((await profileFields(source, ['1'])).get('1')).toEqual({ v: 'new' });
  ended.push('quick');
  expect(new Set([...(await slow).values()].map(({ v }) => v))).toEqual(new Set(['old']));
  expect([(await slow).size, ended]).toEqual([20_000, ['quick', 'slow']]);
});

test('a call that comes while an older file is being indexed waits for the new one', async () => {
  const folder = await newFolder();
  // Spelt so that each line is parsed, which takes its time.
  const slow = Array.from({ length: 20_000 }, (_, i) => `{ "user": "${i}", "profile": { "v": "old" } }\n`);
  await writeFile(profilesPath(folder), slow.join(''));
  const source = await opened(folder);
  const first = source.profiles(['1']);
  await replace(profilesPath(folder), profileLine('1', 'new'));
  expect((await profileFields(source, ['1'])).get('1')).toEqual({ v: 'new' });
  await first;
});

test('the rest of an over-long line is not taken for a line of its own', async () => {
  const problems: string[] = [];
  const source = await sourceWith(
    { profiles: ['x'.repeat(1024 * 1024) + profileLine('1', 'smuggled'), profileLine('2', 'x'), 'y', ''] },
    { onProblem: (text) => problems.push(text) },
  );
  expect([...(await source.profiles(['1', '2'])).keys()]).toEqual(['2']);
  expect(problems).toEqual([
    expect.stringMatching(/line 1: the line is longer than 1 MiB/),
    expect.stringMatching(/line 3: /),
  ]);
});

test('a missing profile file rejects, and serves again when it is back', async () => {
  const folder = await newFolder();
  const source = await opened(folder);
  await rm(profilesPath(folder));
  await expect(source.profiles(['1'])).rejects.toThrow(/profiles\.ndjson cannot be read/);
  await writeFile(profilesPath(folder), profileLine('1', 'x'));
  expect((await source.profiles(['1'])).size).toBe(1);
});

test('a closed source says so', async () => {
  const source = await sourceWith({ profiles: [profileLine('1', 'x')] });
  await source.profiles(['1']);
  await source.close();
  await expect(source.profiles(['1'])).rejects.toThrow(/after its source was closed/);
});

test.each([
  [
    '{"audience":{"id":"42","name":"VIP"}}',
    /audiences\/vip\.ndjson, line 1: .*"id" must be 32 hex digits in lower case, or be left out; it is "42"/,
  ],
  [`{"audience":{"id":"${'A'.repeat(32)}","name":"VIP"}}`, /"id" must be 32 hex digits in lower case/],
  [`{"audience":{"Id":"${VIP}","name":"VIP"}}`, /audiences\/vip\.ndjson, line 1: .*"Id".*Did you mean "id"/],
  [`{"audience":{"id":"${VIP}"}}`, /audiences\/vip\.ndjson, line 1: .*"name"/],
  [`{"audience":{"id":"${VIP}","name":"VIP","windowMinutes":"15"}}`, /"windowMinutes" must be a number/],
  ['"1"', /audiences\/vip\.ndjson, line 1: the first line must say which audience this is/],
])('an audience file that begins with %j is an error that names it', async (header, message) => {
  const source = await sourceWith({ audience: [header, '"1"'] });
  await expect(source.audiences()).rejects.toThrow(message);
  await expect(source.members(VIP, undefined, 10)).rejects.toThrow(message);
});

test('an audience without an id gets one from its slug, always the same, by which its members are found', async () => {
  const source = await sourceWith({ audience: ['{"audience":{"name":"VIP"}}', '"1"'] });
  const [audience] = await source.audiences();
  // The first half of the SHA-256 of "vip", as PostgreSQL's audiences get theirs.
  expect(audience).toEqual({ id: 'f9505a739a8fb8e851942c3f973d4bbb', slug: 'vip', name: 'VIP', size: 1 });
  expect((await source.members('f9505a739a8fb8e851942c3f973d4bbb', undefined, 10)).ids).toEqual(['1']);
});

test('two files with one audience id are an error that names both; other audiences are not concerned', async () => {
  const folder = await newFolder();
  await writeFile(audiencePath(folder, 'one'), header(VIP));
  await writeFile(audiencePath(folder, 'two'), header(VIP));
  await writeFile(audiencePath(folder, 'fine'), `${header('b'.repeat(32))}\n"1"`);
  const source = await opened(folder);
  const both = /audiences\/one\.ndjson and audiences\/two\.ndjson have the same audience id/;
  await expect(source.audiences()).rejects.toThrow(both);
  await expect(source.members(VIP, undefined, 10)).rejects.toThrow(both);
  expect((await source.members('b'.repeat(32), undefined, 10)).ids).toEqual(['1']);
});

test('a file named like an id is refused: nobody could tell that slug from an id', async () => {
  const folder = await newFolder();
  await writeFile(audiencePath(folder, 'c'.repeat(32)), header(VIP));
  await expect((await opened(folder)).audiences()).rejects.toThrow(/named like an id/);
});

test('a renamed audience file is another slug of the same audience', async () => {
  const folder = await newFolder();
  await writeFile(audiencePath(folder, 'vip'), `${header(VIP)}\n"1"`);
  const source = await opened(folder);
  expect((await source.members(VIP, undefined, 10)).ids).toEqual(['1']);
  await rename(audiencePath(folder, 'vip'), audiencePath(folder, 'gold'));
  expect((await source.members(VIP, undefined, 10)).ids).toEqual(['1']);
  expect(await source.audiences()).toEqual([{ id: VIP, slug: 'gold', name: 'VIP', size: 1 }]);
});

test('members that cannot be read are skipped and reported with their line, on any page', async () => {
  const problems: string[] = [];
  const source = await sourceWith(
    { audience: [header(VIP), '"1"', '7076027172059065053', '"2"', 'oops', '"3"', '{"id":"4"}'] },
    { onProblem: (text) => problems.push(text) },
  );
  const first = await source.members(VIP, undefined, 1);
  const second = await source.members(VIP, first.next, 1);
  const third = await source.members(VIP, second.next, 1);
  expect([...first.ids, ...second.ids, ...third.ids]).toEqual(['1', '2', '3']);
  expect(problems).toEqual([
    expect.stringMatching(/^audiences\/vip\.ndjson, line 3: the id must be a JSON string, in quotes/),
    expect.stringMatching(/^audiences\/vip\.ndjson, line 5: a member must be a JSON string/),
  ]);
});

test('paging goes on by itself when members are appended', async () => {
  const folder = await newFolder();
  await writeFile(audiencePath(folder, 'vip'), [header(VIP), ...ids(1, 10)].join('\n') + '\n');
  const source = await opened(folder);
  const { next } = await source.members(VIP, undefined, 5);
  await appendFile(audiencePath(folder, 'vip'), ids(11, 12).join('\n'));
  expect((await source.members(VIP, next, 100)).ids).toEqual(['6', '7', '8', '9', '10', '11', '12']);
});

test('a cursor of a replaced file continues after the last member read, wherever that is now', async () => {
  const folder = await newFolder();
  await writeFile(audiencePath(folder, 'vip'), [header(VIP), ...ids(1, 100)].join('\n'));
  const source = await opened(folder);
  const { ids: read, next } = await source.members(VIP, undefined, 50);
  expect(read.at(-1)).toBe('50');
  const members = [...ids(101, 130), ...ids(3, 100)];
  await replace(audiencePath(folder, 'vip'), [header(VIP), ...members].join('\n'));
  expect((await source.members(VIP, next, 100)).ids).toEqual(ids(51, 100).map((id) => JSON.parse(id)));
});

test('a cursor of a replaced file that no longer has the last member begins at the top: nobody is missed', async () => {
  const problems: string[] = [];
  const folder = await newFolder();
  await writeFile(audiencePath(folder, 'vip'), [header(VIP), ...ids(1, 10)].join('\n'));
  const source = await opened(folder, { onProblem: (text) => problems.push(text) });
  const { next } = await source.members(VIP, undefined, 5);
  await replace(audiencePath(folder, 'vip'), [header(VIP), ...ids(6, 12)].join('\n'));
  expect((await source.members(VIP, next, 100)).ids).toEqual(['6', '7', '8', '9', '10', '11', '12']);
  expect(problems).toEqual([expect.stringMatching(/^audiences\/vip\.ndjson, .*rewritten.*"5".*from the top/)]);
});

test('no cursor comes twice in one reading, however often the file is rewritten and read from the top', async () => {
  const folder = await newFolder();
  const path = audiencePath(folder, 'vip');
  const source = await opened(folder);
  const places: string[] = [];
  let after: string | undefined;
  for (let round = 0; round < 4; round++) {
    // The same members in turn, so the same bytes before the same places; those who were read last are gone.
    for (let page = 0; page < 2; page++) {
      await replace(path, [header(VIP), ...(page === 0 ? ids(1, 4) : ids(5, 8))].join('\n'));
      const { next } = await source.members(VIP, after, 2);
      if (next === undefined) break;
      places.push((after = next));
    }
  }
  expect(places.length).toBeGreaterThan(4);
  expect(new Set(places).size).toBe(places.length);
});

test('a cursor survives a restart and a touched file', async () => {
  const folder = await newFolder();
  await writeFile(audiencePath(folder, 'vip'), [header(VIP), ...ids(1, 10)].join('\n'));
  const { next } = await (await opened(folder)).members(VIP, undefined, 5);
  await utimes(audiencePath(folder, 'vip'), 1, 1);
  expect((await (await opened(folder)).members(VIP, next, 2)).ids).toEqual(['6', '7']);
});

test('a text that is not a cursor is refused', async () => {
  const source = await sourceWith({ audience: [header(VIP), '"1"'] });
  await expect(source.members(VIP, 'page-2', 5)).rejects.toThrow(/"page-2" is not a cursor/);
});

async function newFolder(): Promise<string> {
  const folder = tempFolder();
  await mkdir(join(folder, 'audiences'));
  await writeFile(profilesPath(folder), '');
  return folder;
}

async function opened(folder: string, options?: FileSourceOptions): Promise<AudienceSource> {
  const source = await openFileSource(folder, { quietMs: 0, ...options });
  cleanUps.push(() => source.close());
  return source;
}

async function sourceWith(
  files: { profiles?: readonly string[]; audience?: readonly string[] },
  options?: FileSourceOptions,
): Promise<AudienceSource> {
  const folder = await newFolder();
  if (files.profiles !== undefined) await writeFile(profilesPath(folder), files.profiles.join('\n'));
  if (files.audience !== undefined) await writeFile(audiencePath(folder, 'vip'), files.audience.join('\n'));
  return opened(folder, options);
}

async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

function audiencePath(folder: string, slug: string): string {
  return join(folder, 'audiences', `${slug}.ndjson`);
}

function profilesPath(folder: string): string {
  return join(folder, 'profiles.ndjson');
}

function header(id: string): string {
  return JSON.stringify({ audience: { id, name: 'VIP' } });
}

function profileLine(user: string, v: string): string {
  return JSON.stringify({ user, profile: { v } });
}

function ids(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => JSON.stringify(String(from + i)));
}

test('memberships are read again when a file has changed, and not while it is incomplete', async () => {
  const folder = await newFolder();
  const write = async (slug: string, ...lines: string[]) =>
    await writeFile(audiencePath(folder, slug), ['{"audience":{"name":"A"}}', ...lines].join('\n'));
  await writeFile(profilesPath(folder), '');
  await write('b', '"1"', '{"user":"2"}', '"a\\u0062c"', 'no member', '"é"');
  await write('a', '"2"');
  const problems: string[] = [];
  const source = await openFileSource(folder, { quietMs: 0, onProblem: (text) => problems.push(text) });
  const asked = ['1', '2', '3', 'abc', 'é'];
  const slugs = async () => Object.fromEntries((await source.memberships?.(asked)) ?? []);
  expect(await slugs()).toEqual({ '1': ['b'], '2': ['a', 'b'], '3': [], abc: ['b'], é: ['b'] });
  expect(problems).toEqual([expect.stringMatching(/^audiences\/b\.ndjson, line 5: a member must be/)]);
  await write('a', '"3"', '"1"');
  await rm(audiencePath(folder, 'b'));
  expect(await slugs()).toEqual({ '1': ['a'], '2': [], '3': ['a'], abc: [], é: [] });
  await writeFile(audiencePath(folder, 'b'), 'no audience');
  await expect(slugs()).rejects.toThrow(/b\.ndjson, line 1/);
});

test.each([
  ['spelt the usual way', '{"user":"1","profile":{"b":1,"a":9007199254740993}}'],
  ['spelt another way', '{ "profile" : {"b":1,"a":9007199254740993}, "user":"1" }'],
  ['with a key twice', '{"user":"1","profile":{"a":0,"b":1,"a":9007199254740993}}'],
])('a line %s names its person and their fields, also when another person is expected', (_, line) => {
  for (const likely of [undefined, '1', '2']) {
    const reading = readProfileLine(line, likely);
    expect(reading).toMatchObject({ ok: true, user: '1' });
    expect(reading.ok && fieldsOf(reading.profile)).toEqual({ a: 9007199254740993n, b: 1 });
  }
});

test.each([
  '{"user":"1","profile":{"a":1}',
  '{"user":"1","profile":{"a":1}x',
  '{"user":"1","profile":{"a":1},}',
  '{"user":"1","profile":{"a":}}',
  '{"user":"1","profile":{"a":1}}}',
  '{"user":"1","profile":{"a":1}}{}',
])('the line %s is not JSON, no matter which person is expected', (line) => {
  for (const likely of [undefined, '1'])
    expect(readProfileLine(line, likely)).toMatchObject({ ok: false, problem: expect.stringMatching(/not JSON/) });
});

test('a line that is not JSON is not quoted, since it is about somebody', () => {
  expect(readProfileLine('\uFEFF{"user":"1","profile":{"email":linnea}}')).toEqual({
    ok: false,
    problem: 'this is not JSON (something is wrong at character 32)',
  });
});
