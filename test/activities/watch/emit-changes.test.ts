import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { MemorySource } from '../../support/memory-source.ts';
import { VIP, WatchLab } from './a-watch.ts';

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
  lab.listeners.jobIds = ['crm', 'ads'];
  expect(await lab.emit(scanId, AT)).toEqual({ jobs: 2, unreadable: [] });
  expect(lab.listeners.told.get('crm')).toContainEqual({ audience: VIP.id, user: 'a', event: 'exit', at: AT });
  expect(lab.told('crm')).toHaveLength(23);
  expect(lab.told('ads')).toEqual(lab.told('crm'));
});

test('one that cannot be told keeps no other from it, and gets the rest, and only that, when it can', async () => {
  const { lab, scanId } = await confirmed();
  lab.listeners.jobIds = ['ads', 'crm'];
  lab.listeners.failing = { jobId: 'ads', after: 7 };
  await expect(lab.emit(scanId)).rejects.toMatchObject({
    type: 'JobsNotTold',
    message: 'Some jobs could not be told; all others were, and these are tried again. ads: ads takes no more',
  });
  expect([lab.told('crm').length, lab.told('ads').length]).toEqual([23, 7]);
  lab.listeners.failing = undefined;
  await lab.emit(scanId);
  expect(lab.told('crm')).toHaveLength(23);
  expect(lab.told('ads')).toEqual(lab.told('crm'));
});

test('how far it was is only a hint: without it all is told again, the same at the same time', async () => {
  const { lab, scanId } = await confirmed();
  await lab.emit(scanId);
  const first = lab.listeners.told.get('crm')?.slice() ?? [];
  writeFileSync(join(lab.folder, scanId, 'told.json'), '{"crm": 2');
  await lab.emit(scanId);
  expect(lab.listeners.told.get('crm')?.slice(first.length)).toEqual(first);
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
