import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { writeSampleSource } from '../../demo/sample-data.ts';
import { samplePeople } from '../../demo/sample-people.ts';
import { openFileSource } from '../../src/sources/file/source.ts';
import { profileFields } from '../support/profile-fields.ts';
import { tempFolder } from '../support/temp-folder.ts';

async function digest(folder: string): Promise<string> {
  const hash = createHash('sha256');
  for (const name of (await readdir(folder, { recursive: true })).sort())
    if (name.endsWith('.ndjson')) hash.update(name).update(await readFile(join(folder, name)));
  return hash.digest('hex');
}

test('the same seed writes the same bytes, another seed other people', async () => {
  const [one, same, other] = [tempFolder(), tempFolder(), tempFolder()];
  const first = await writeSampleSource(one, { people: 300, seed: 7 });
  expect(await writeSampleSource(same, { people: 300, seed: 7 })).toEqual(first);
  await writeSampleSource(other, { people: 300, seed: 8 });
  expect(await digest(same)).toBe(await digest(one));
  expect(await digest(other)).not.toBe(await digest(one));
});

test('the demo writes a file source without problems, in the sizes that it reports', async () => {
  const folder = tempFolder();
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

test('some profiles have a number that a double cannot hold', () => {
  const numbers = [...samplePeople({ people: 500 })].flatMap(({ profile }) => profile['loyalty_number'] ?? []);
  expect(numbers).toHaveLength(5);
  for (const number of numbers) expect(BigInt(Number(number))).not.toBe(number);
});
