import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { writeSampleSource } from '../../demo/sample-data.ts';
import { SAMPLE_AUDIENCES, samplePeople } from '../../demo/sample-people.ts';
import { stringifyJson, utf8Bytes } from '../../src/domain/json.ts';
import { openFileSource } from '../../src/sources/file.ts';
import { profileFields } from '../support/profile-fields.ts';

// Every key of `data` in the two examples of the page that this project follows, but for those that the payload adds.
const KEYS_OF_THE_PAGE = [
  '_created,_cust_sz,_internal_sz,_modified,_num_aliases,_num_conflicts,_num_days,_num_events,_num_streams,_split',
  '_streamnames,_total_sz,channels,email,first_name,firstvisit_ts,hourly,hourofweek,is_bot,is_mobile,last_active_ts',
  'last_channel_activities,last_name,lastvisit_ts,name,score_frequency,score_intensity,score_momentum',
  'score_propensity,score_quantity,score_recency,user_agent,user_attributes',
].flatMap((line) => line.split(','));

const folders: string[] = [];

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sample-'));
  folders.push(folder);
  return folder;
}

async function digest(folder: string): Promise<string> {
  const hash = createHash('sha256');
  for (const name of (await readdir(folder, { recursive: true })).sort())
    if (name.endsWith('.ndjson')) hash.update(name).update(await readFile(join(folder, name)));
  return hash.digest('hex');
}

test('the same seed writes the same bytes, another seed other people', async () => {
  const [one, same, other] = [await newFolder(), await newFolder(), await newFolder()];
  const first = await writeSampleSource(one, { people: 300, seed: 7 });
  expect(await writeSampleSource(same, { people: 300, seed: 7 })).toEqual(first);
  await writeSampleSource(other, { people: 300, seed: 8 });
  expect(await digest(same)).toBe(await digest(one));
  expect(await digest(other)).not.toBe(await digest(one));
});

test('what is written is a file source without a problem, of the sizes that were told', async () => {
  const folder = await newFolder();
  const written = await writeSampleSource(folder);
  const problems: string[] = [];
  const source = await openFileSource(folder, { onProblem: (text) => problems.push(text) });
  expect(await source.audiences()).toEqual(written.audiences);
  expect(written.people).toBe(1000);
  const people = [...samplePeople()];
  for (const { id, slug, size } of written.audiences) {
    const { ids, next } = await source.members(id, undefined, 1000);
    expect(ids).toEqual(people.filter(({ audiences }) => audiences.includes(slug)).map(({ user }) => user));
    expect([ids.length, next]).toEqual([size, undefined]);
    expect(size).toBeGreaterThan(50);
  }
  const profiles = await profileFields(
    source,
    people.map(({ user }) => user),
  );
  for (const { user, profile } of people) expect(profiles.get(user)).toEqual(profile);
  await source.close();
  expect(problems).toEqual([]);
  expect((await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.partial'))).toEqual([]);
});

test('people are as rich as those of the page, invented, and all different', () => {
  const people = [...samplePeople({ people: 2000 })];
  for (const { user, profile } of people) {
    expect(Object.keys(profile)).toEqual(expect.arrayContaining(KEYS_OF_THE_PAGE));
    expect(user).toMatch(/^\d{19,20}$/);
    expect(Number.isSafeInteger(Number(user))).toBe(false);
    expect(profile['email']).toMatch(/^[a-z]+\.[a-z]+\.\d+@example\.com$/);
    expect(profile['_created']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}-07:00$/);
  }
  expect(new Set(people.map(({ user }) => user)).size).toBe(2000);
  expect(new Set(people.map(({ profile }) => profile['email'])).size).toBe(2000);
  const bytes = people.map(({ profile }) => utf8Bytes(stringifyJson(profile)));
  const average = bytes.reduce((sum, each) => sum + each, 0) / bytes.length;
  expect(average).toBeGreaterThan(1100);
  expect(average).toBeLessThan(1400);
});

test('some profiles have a number that a double cannot hold', () => {
  const numbers = [...samplePeople({ people: 500 })].flatMap(({ profile }) => profile['loyalty_number'] ?? []);
  expect(numbers).toHaveLength(5);
  for (const number of numbers) expect(BigInt(Number(number))).not.toBe(number);
});

test('the audiences overlap, and some people are in none', () => {
  const counts = [...samplePeople()].map(({ audiences }) => audiences.length);
  for (const count of [0, 1, 2, SAMPLE_AUDIENCES.length]) expect(counts).toContain(count);
});
