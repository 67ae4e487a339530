import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { MemorySource } from '../../support/memory-source.ts';
import { VIP, WatchLab } from './a-watch.ts';

const numbered = (count: number) => Array.from({ length: count }, (_, i) => String(i));

/** A source whose pages leave these out, though they are members. */
function leavingOut(count: number, left: ReadonlySet<string>): MemorySource {
  const source = new MemorySource({ audiences: [{ ...VIP, members: numbered(count) }] });
  const members = source.members.bind(source);
  source.members = async (id, after, limit) => {
    const page = await members(id, after, limit);
    return { ...page, ids: page.ids.filter((user) => !left.has(user)) };
  };
  return source;
}

test('who is a member by the word of the source has not left, and is not told of when a page has them again', async () => {
  const left = new Set<string>();
  const source = leavingOut(10, left);
  const lab = new WatchLab(source);
  await lab.round();
  left.add('3').add('4');
  source.exit(VIP.id, '4');
  const { scanId } = await lab.scan();
  for (let times = 1; times <= 2; times++)
    expect(await lab.confirm(scanId)).toEqual({ enters: 0, exits: 1, stayed: 1 });
  await lab.emit(scanId);
  expect(lab.told()).toEqual(['exit 4']);
  lab.base = scanId;
  left.clear();
  expect(await lab.round()).toEqual([]);
});

test('a source that fails meanwhile tells nobody anything; again, it is as if nothing had been', async () => {
  const left = new Set<string>();
  const source = leavingOut(3000, left);
  const lab = new WatchLab(source);
  await lab.round();
  for (const user of numbered(2000)) left.add(user);
  for (const user of numbered(1500)) source.exit(VIP.id, user);
  source.enter(VIP.id, 'new');
  const { scanId } = await lab.scan();
  const isMember = source.isMember.bind(source);
  let asked = 0;
  source.isMember = async (id, user) => {
    if (++asked > 1700) throw new Error('down');
    return await isMember(id, user);
  };
  await expect(lab.confirm(scanId)).rejects.toThrow('down');
  await expect(lab.emit(scanId)).rejects.toMatchObject({ type: 'SnapshotNotHere' });
  expect(lab.told()).toEqual([]);
  source.isMember = isMember;
  expect(await lab.confirm(scanId)).toEqual({ enters: 1, exits: 1500, stayed: 500 });
  await lab.emit(scanId);
  expect(new Set(lab.told()).size).toBe(1501);
  expect(lab.told()).toHaveLength(1501);
  lab.base = scanId;
  left.clear();
  expect(await lab.round()).toEqual([]);
});

test('each look-up is a sign of life, since a source may have to look long', async () => {
  const source = leavingOut(200, new Set());
  const lab = new WatchLab(source);
  await lab.round();
  for (const user of numbered(100)) source.exit(VIP.id, user);
  const { scanId } = await lab.scan();
  const before = lab.heartbeats;
  await lab.confirm(scanId);
  expect(lab.heartbeats - before).toBeGreaterThanOrEqual(100);
});

test('exits that lost their end in a crash of the machine are not taken for all', async () => {
  const source = leavingOut(10, new Set());
  const lab = new WatchLab(source);
  await lab.round();
  for (const user of numbered(5)) source.exit(VIP.id, user);
  const { scanId } = await lab.scan();
  truncateSync(join(lab.folder, scanId, 'exits'), 4);
  await expect(lab.confirm(scanId)).rejects.toMatchObject({ type: 'SnapshotNotHere' });
});
