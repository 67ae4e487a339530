import { appendFile, mkdir, open, rename, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterEach, expect, test } from '@jest/globals';
import { createListMembers } from '../../../src/activities/list-members.ts';
import { openFileSource } from '../../../src/sources/file/source.ts';
import type { AudienceSource } from '../../../src/activities/audience-source.ts';
import { VIP, WatchLab } from '../../features/watch/a-watch.ts';
import { until } from '../../support/patience.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const HEADER = JSON.stringify({ audience: { id: VIP.id, name: VIP.name } });
/** Much shorter than a file has to be quiet: five seconds. Longer than it takes to begin reading. */
const PAUSE_MS = 1_000;
const cleanUps: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `person-${i}`);
const textOf = (users: readonly string[]) =>
  [HEADER, ...users.map((user) => JSON.stringify(user))].map((line) => `${line}\n`).join('');
const profilesOf = (users: readonly string[]) =>
  users.map((user) => `${JSON.stringify({ user, profile: { email: `${user}@example.com` } })}\n`).join('');

test('a watch makes nobody leave while the file is written anew in place, with a pause before its last tenth', async () => {
  const users = numbered(1000);
  const { source, path } = await sourceOf(users);
  const lab = new WatchLab(source);
  await lab.round();
  const rewriting = rewrite(path, textOf(users), setTimeout(PAUSE_MS));
  await setTimeout(200);
  expect(await lab.round()).toEqual([]);
  await rewriting;
  expect(await lab.round()).toEqual([]);
});

test('a backfill that meets a file which is being written anew reads everybody, each once', async () => {
  const users = numbered(5000);
  const { source, path } = await sourceOf(users);
  const listMembers = createListMembers(source);
  const first = await listMembers(VIP.id, null, 1000, 100_000);
  const rewriting = rewrite(path, textOf(users), setTimeout(PAUSE_MS), 0.3);
  await setTimeout(200);
  const read = [...first.ids];
  for (let after = first.next; after !== undefined;) {
    const page = await listMembers(VIP.id, after, 1000, 100_000);
    read.push(...page.ids);
    after = page.next;
  }
  await rewriting;
  expect(read).toEqual(users);
});

test('a scan of a file that is replaced between two pages does not count, and the next one does', async () => {
  const users = numbered(5000);
  const { source, path } = await sourceOf(users, 0);
  const lab = new WatchLab(source);
  await lab.round();
  const members = source.members.bind(source);
  let isReplaced = false;
  source.members = async (id, after, limit) => {
    if (after !== undefined && !isReplaced) {
      isReplaced = true;
      // Everybody is still there, in another order.
      await replace(path, textOf([...users].reverse()));
    }
    return await members(id, after, limit);
  };
  await expect(lab.scan()).rejects.toThrow(/changed while its members were read/);
  expect(await lab.round()).toEqual([]);
});

test('a file that only grows is read as it is, without waiting; a scan of it counts', async () => {
  const users = numbered(5000);
  const { source, path } = await sourceOf(users, 600_000);
  const lab = new WatchLab(source);
  await lab.round();
  const members = source.members.bind(source);
  let late = 0;
  source.members = async (id, after, limit) => {
    await appendFile(path, `"late-${late++}"\n`);
    return await members(id, after, limit);
  };
  const told = await lab.round();
  expect(told.length).toBeGreaterThan(0);
  expect(told.filter((one) => !one.startsWith('enter late-'))).toEqual([]);
});

test('a file that is never quiet is not read, and the error says why and what to do', async () => {
  const { source, path } = await sourceOf(numbered(10), 600_000);
  await writeFile(path, textOf(numbered(10)));
  const error = /audiences\/vip\.ndjson changed less than 600 s ago.*rename it over the old one.*"quietMs"/;
  await expect(source.members(VIP.id, undefined, 10)).rejects.toThrow(error);
  await expect(source.isMember(VIP.id, 'person-1')).rejects.toThrow(error);
});

test('a file whose time is in the future is read once it has not changed before our eyes', async () => {
  const { source, path } = await sourceOf(['1', '2'], 300);
  await utimes(path, 4_000_000_000, 4_000_000_000);
  expect((await source.members(VIP.id, undefined, 10)).ids).toEqual(['1', '2']);
});

test.each([
  ['a member', '"person-1'],
  ['a member as an object', '{"user":"person'],
])('a file that ends in the middle of %s is not whole, however old it is', async (_, half) => {
  const { source, path } = await sourceOf(['1']);
  await appendFile(path, half);
  await utimes(path, 1, 1);
  const startedAt = performance.now();
  await expect(source.members(VIP.id, undefined, 10)).rejects.toThrow(/vip\.ndjson ends in the middle of a line/);
  await expect(source.isMember(VIP.id, 'nobody')).rejects.toThrow(/ends in the middle of a line/);
  // A file that may still become whole is waited for, for ten seconds.
  expect(performance.now() - startedAt).toBeLessThan(8_000);
});

test('a file whose lines are all of another form is an error, not an audience without members', async () => {
  const { source, path } = await sourceOf([]);
  await appendFile(path, '7076027172059065053\n7076027172059065054\n');
  await utimes(path, 1, 1);
  await expect(source.members(VIP.id, undefined, 10)).rejects.toThrow(
    /None of the 2 lines of audiences\/vip\.ndjson is a member/,
  );
});

test('members in another order than before are read from the top: nobody is missed', async () => {
  const users = numbered(2000);
  const { source, path } = await sourceOf(users, 0);
  const first = await source.members(VIP.id, undefined, 1000);
  // A dump without an order: every seventh first, and so on.
  const shuffled = users.map((_, i) => users[(i * 7) % users.length] ?? '');
  await replace(path, textOf(shuffled));
  const seen = new Set(first.ids);
  for (let after = first.next; after !== undefined;) {
    const page = await source.members(VIP.id, after, 1000);
    for (const user of page.ids) seen.add(user);
    after = page.next;
  }
  expect(seen.size).toBe(users.length);
});

test('when the last member that was read has left, reading goes on behind those before it: nobody is read twice', async () => {
  const users = numbered(100);
  const { source, path } = await sourceOf(users, 0);
  const { next } = await source.members(VIP.id, undefined, 50);
  await replace(path, textOf(users.filter((user) => user !== 'person-49' && user !== 'person-3')));
  expect((await source.members(VIP.id, next, 100)).ids).toEqual(users.slice(50));
});

test('a person missing from profiles that are being written is waited for, and all others are found', async () => {
  const users = numbered(1000);
  const { source, folder } = await sourceOf([]);
  const path = join(folder, 'profiles.ndjson');
  let goOn = (): void => undefined;
  const rewriting = rewrite(path, profilesOf(users), new Promise<void>((resolve) => (goOn = resolve)));
  await until(async () => (await stat(path)).size > 0);
  expect((await source.profiles(['person-0', 'person-1'])).size).toBe(2);
  await expect(source.profiles(['person-0', 'person-999'])).rejects.toThrow(
    /profiles\.ndjson changed less than 5 s ago/,
  );
  goOn();
  await rewriting;
  expect((await source.profiles(['person-0', 'person-999'])).size).toBe(2);
  await appendFile(path, '{"user":"half');
  await utimes(path, 1, 1);
  await expect(source.profiles(['nobody'])).rejects.toThrow(/profiles\.ndjson ends in the middle of a line/);
});

test('profiles that change again within the precision of their time are found all the same', async () => {
  const { source, folder } = await sourceOf([], 0);
  const path = join(folder, 'profiles.ndjson');
  const at = Math.floor(Date.now() / 1000) - 1;
  await writeFile(path, profilesOf(['a1']));
  await utimes(path, at, at);
  expect((await source.profiles(['a1'])).size).toBe(1);
  await writeFile(path, profilesOf(['b2']));
  await utimes(path, at, at);
  await setTimeout(2_100);
  expect([...(await source.profiles(['b2'])).keys()]).toEqual(['b2']);
});

/** As a program does that opens a file for writing: empty at once, most of it soon, and the rest when it is flushed. */
async function rewrite(path: string, text: string, pause: Promise<void>, firstShare = 0.9): Promise<void> {
  const cut = text.lastIndexOf('\n', Math.floor(text.length * firstShare)) + 1;
  const file = await open(path, 'w');
  await file.write(text.slice(0, cut));
  await pause;
  await file.write(text.slice(cut));
  await file.close();
}

async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

/** A source whose files have long been written. */
async function sourceOf(users: readonly string[], quietMs?: number) {
  const folder = tempFolder();
  await mkdir(join(folder, 'audiences'));
  const path = join(folder, 'audiences', 'vip.ndjson');
  await writeFile(join(folder, 'profiles.ndjson'), '');
  await writeFile(path, textOf(users));
  await utimes(path, 1, 1);
  const source: AudienceSource = await openFileSource(folder, quietMs === undefined ? {} : { quietMs });
  cleanUps.push(() => source.close());
  return { source, folder, path };
}
