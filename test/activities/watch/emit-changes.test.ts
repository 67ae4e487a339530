import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { withOffset } from '../../../src/domain/instant.ts';
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

test.each(['exits', 'changes'])('%s that were damaged, even at the same length, are told to nobody', async (name) => {
  const source = leavingOut(10, new Set());
  const lab = new WatchLab(source);
  await lab.round();
  for (const user of numbered(5)) source.exit(VIP.id, user);
  const { scanId } = await lab.scan();
  if (name === 'changes') await lab.confirm(scanId);
  const path = join(lab.folder, scanId, name);
  writeFileSync(path, readFileSync(path, 'utf8').replace('"3"', '"7"'));
  const next = name === 'exits' ? lab.confirm(scanId) : lab.emit(scanId);
  await expect(next).rejects.toMatchObject({ type: 'SnapshotNotHere', message: expect.stringContaining(name) });
  expect(lab.told()).toEqual([]);
});

const AT = '2026-11-25T08:30:00.000000001Z';

/** A round that is confirmed and not told yet: 20 enters and 3 exits. */
async function confirmed(): Promise<{ lab: WatchLab; scanId: string }> {
  const source = new MemorySource({ audiences: [{ ...VIP, members: ['a', 'b', 'c', 'd'] }] });
  const lab = new WatchLab(source);
  await lab.round();
  for (const user of ['a', 'b', 'c']) source.exit(VIP.id, user);
  for (let i = 0; i < 20; i++) source.enter(VIP.id, String(i));
  const { scanId } = await lab.scan();
  await lab.confirm(scanId);
  return { lab, scanId };
}

test('every job that listens is told all of it, by the id of the audience, at the time of the round', async () => {
  const { lab, scanId } = await confirmed();
  lab.subscribers.jobIds = ['crm', 'ads'];
  expect(await lab.emit(scanId, AT)).toEqual({ jobs: 2, unreadable: [] });
  expect(lab.subscribers.told.get('crm')).toContainEqual({
    audience: VIP.id,
    user: 'a',
    event: 'exit',
    at: withOffset(AT),
  });
  expect(lab.told('crm')).toHaveLength(23);
  expect(lab.told('ads')).toEqual(lab.told('crm'));
});

test('one that cannot be told keeps no other from it, and gets the rest, and only that, when it can', async () => {
  const { lab, scanId } = await confirmed();
  lab.subscribers.jobIds = ['ads', 'crm'];
  lab.subscribers.failing = { jobId: 'ads', after: 7 };
  await expect(lab.emit(scanId)).rejects.toMatchObject({
    type: 'JobsNotTold',
    message: 'Some jobs could not be reached and are tried again; all others have the changes. ads: ads takes no more',
  });
  expect([lab.told('crm').length, lab.told('ads').length]).toEqual([23, 7]);
  lab.subscribers.failing = undefined;
  await lab.emit(scanId);
  expect(lab.told('crm')).toHaveLength(23);
  expect(lab.told('ads')).toEqual(lab.told('crm'));
});

test.each([
  ['broken off', () => '{"crm": 2'],
  ['damaged', (text: string) => text.replace('3', '9')],
])('how far it was is only a hint: if it is %s all is told again, the same at the same time', async (_, damaged) => {
  const { lab, scanId } = await confirmed();
  await lab.emit(scanId);
  const first = lab.subscribers.told.get('crm')?.slice() ?? [];
  const path = join(lab.folder, scanId, 'told.json');
  writeFileSync(path, damaged(readFileSync(path, 'utf8')));
  await lab.emit(scanId);
  expect(lab.subscribers.told.get('crm')?.slice(first.length)).toEqual(first);
});

test('a worker that stood still tells no more: what it has may be old news by now', async () => {
  const { lab, scanId } = await confirmed();
  lab.hasStalled = true;
  await expect(lab.emit(scanId)).rejects.toThrow(/was frozen/);
  expect(lab.told()).toEqual([]);
});

test('what is not confirmed is not told', async () => {
  const lab = new WatchLab(new MemorySource({ audiences: [{ ...VIP, members: ['a'] }] }));
  const { scanId } = await lab.scan({ emitExisting: true });
  await expect(lab.emit(scanId)).rejects.toMatchObject({ type: 'SnapshotNotHere' });
});

test('a job that was started in the place of one that ends in a round is told what that one has not taken', async () => {
  const { lab, scanId } = await confirmed();
  const { subscribers } = lab;
  subscribers.ending.set('crm', 5);
  const of = subscribers.of.bind(subscribers);
  let lists = 0;
  subscribers.of = async () =>
    lists++ === 0 ? await of() : { jobIds: ['crm', 'crm-2'], stopping: [], unreadable: [] };
  expect(await lab.emit(scanId, AT)).toMatchObject({ jobs: 2 });
  expect(lab.told('crm')).toHaveLength(5);
  expect(new Set([...lab.told('crm'), ...lab.told('crm-2')]).size).toBe(23);
  expect(lab.told('crm-2')).toHaveLength(18);
});
