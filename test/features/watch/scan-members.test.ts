import { appendFileSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createPrepareWatch } from '../../../src/features/watch/scan-members.ts';
import type { AudienceSource, MembersPage } from '../../../src/activities/audience-source.ts';
import { MemorySource } from '../../support/memory-source.ts';
import { VIP, WatchLab } from './a-watch.ts';
import { always, anyText } from '../../support/properties.ts';

const source = new MemorySource({ audiences: [{ ...VIP, members: ['1'] }] });

test('audiences are resolved by slug and id, each once', async () => {
  const prepare = createPrepareWatch({ source, watchFolder: '/somewhere' });
  expect(await prepare(['vip', VIP.id])).toEqual({ ok: true, audiences: [{ ...VIP, size: 1 }] });
});

test('a worker without a folder cannot watch, and says so with everything else that is wrong', async () => {
  const prepared = await createPrepareWatch({ source, watchFolder: undefined })(['vips', 'vip']);
  expect(prepared).toMatchObject({
    ok: false,
    problems: [
      { field: 'watch.folder', message: expect.stringContaining('TRIGGERS_WATCH_FOLDER') },
      { field: 'audiences[0]', message: expect.stringContaining('Did you mean "vip"?') },
    ],
  });
});

const sourceOf = (members: readonly string[]) => new MemorySource({ audiences: [{ ...VIP, members }] });
const numbered = (count: number) => Array.from({ length: count }, (_, i) => String(i));

/** A source whose pages a test makes. */
function pages(members: (after: string | undefined) => MembersPage): AudienceSource {
  const source = sourceOf([]);
  source.members = async (_, after) => members(after);
  return source;
}

test('a round publishes exactly the difference of two sets of members, whatever the ids are', async () => {
  const user = fc.oneof(
    anyText({ minLength: 1, maxLength: 20 }),
    fc.constantFrom('a\nb', '\u2028', '"', '\\', '😀', 'é', 'e\u0301', '__proto__', ' '),
    fc.integer({ min: 0, max: 30 }).map(String),
  );
  const set = fc.uniqueArray(user, { maxLength: 60 });
  await always(
    fc.asyncProperty(fc.array(set, { minLength: 2, maxLength: 4 }), async (states) => {
      const source = sourceOf(states[0] ?? []);
      const lab = new WatchLab(source);
      expect(await lab.round()).toEqual([]);
      for (const [i, now] of states.slice(1).entries()) {
        const before = states[i] ?? [];
        const [enters, exits] = [
          now.filter((one) => !before.includes(one)),
          before.filter((one) => !now.includes(one)),
        ];
        for (const one of enters) source.enter(VIP.id, one);
        for (const one of exits) source.exit(VIP.id, one);
        const told = await lab.round();
        expect(told.sort()).toEqual(
          [...enters.map((one) => `enter ${one}`), ...exits.map((one) => `exit ${one}`)].sort(),
        );
      }
    }),
    6,
  );
});

test('the first scan counts and reports nothing, unless existing members are to be sent', async () => {
  const lab = new WatchLab(sourceOf(numbered(5000)));
  expect(await lab.scan()).toMatchObject({ members: 5000, enters: 0, exits: 0 });
  expect(await lab.scan({ existingUsers: true })).toMatchObject({ members: 5000, enters: 5000, exits: 0 });
});

test('a member on two pages counts once', async () => {
  const lab = new WatchLab(
    pages((after) => (after === undefined ? { ids: ['1', '2'], next: 'b' } : { ids: ['2', '3'] })),
  );
  expect(await lab.scan({ existingUsers: true })).toMatchObject({ members: 3, enters: 3 });
});

test('ids that no trigger may have are left out', async () => {
  const lab = new WatchLab(sourceOf(['1', '', 'x'.repeat(256), 'half \ud800']));
  expect(await lab.scan()).toMatchObject({ members: 1 });
});

test('a scan that fails on its last page leaves nothing that counts as a snapshot', async () => {
  const source = sourceOf(numbered(10));
  const lab = new WatchLab(source);
  await lab.round();
  const whole = source.members.bind(source);
  source.members = async (_, after) => {
    if (after === undefined) return { ids: ['0'], next: '1' };
    throw new Error('the last page is not to be had');
  };
  const scanId = '0'.repeat(36);
  await expect(lab.scan({ scanId })).rejects.toThrow('the last page');
  await expect(lab.confirm(scanId)).rejects.toMatchObject({ type: 'SnapshotNotHere' });
  await expect(lab.scan({ base: scanId })).rejects.toMatchObject({ type: 'SnapshotNotHere' });
  source.members = whole;
  expect(await lab.round()).toEqual([]);
});

test('a source that leads in a circle fails the scan', async () => {
  const members = (after?: string) => ({ ids: ['1'], next: after === 'a' ? 'b' : 'a' });
  await expect(new WatchLab(pages(members)).scan()).rejects.toThrow(/circular/);
});

test('a snapshot that lost a file, or the end of one, is not a snapshot', async () => {
  const lab = new WatchLab(sourceOf(numbered(1000)));
  await lab.round();
  const folder = join(lab.folder, lab.base ?? '');
  const [bucket = ''] = readdirSync(folder).filter((name) => name.startsWith('members-'));
  appendFileSync(join(folder, bucket), '"1"');
  await expect(lab.scan()).rejects.toMatchObject({ type: 'SnapshotNotHere' });
  rmSync(join(folder, bucket));
  await expect(lab.scan()).rejects.toMatchObject({ type: 'SnapshotNotHere' });
});

/** Changes one character of a file, and not its length. */
function damage(path: string, from: string, to: string): void {
  const text = readFileSync(path, 'utf8');
  expect(text).toContain(from);
  writeFileSync(path, text.replace(from, to));
}

test('a snapshot whose files were damaged, even at the same length, is not a snapshot: nothing is sent', async () => {
  const lab = new WatchLab(sourceOf(numbered(1000)));
  await lab.round();
  const folder = join(lab.folder, lab.base ?? '');
  const [bucket = ''] = readdirSync(folder).filter((name) => name.startsWith('members-'));
  const before = readFileSync(join(folder, bucket), 'utf8');
  writeFileSync(join(folder, bucket), before.replace(/"\d/, '"x'));
  await expect(lab.scan()).rejects.toMatchObject({
    type: 'SnapshotNotHere',
    message: expect.stringContaining('is damaged'),
  });
  writeFileSync(join(folder, bucket), before);
  expect(await lab.scan()).toMatchObject({ enters: 0, exits: 0 });
  damage(join(folder, 'snapshot.json'), '"members"', '"nembers"');
  await expect(lab.scan()).rejects.toMatchObject({ type: 'SnapshotNotHere' });
});

test('people whom the source confirmed are remembered when the name of their list is damaged', async () => {
  const source = sourceOf(numbered(20));
  const lab = new WatchLab(source);
  await lab.round();
  const members = source.members.bind(source);
  source.members = async () => ({ ids: numbered(15) });
  await lab.round();
  source.members = members;
  damage(join(lab.folder, lab.base ?? '', 'snapshot.json'), '"stayed"', '"stazed"');
  await expect(lab.scan()).rejects.toMatchObject({ type: 'SnapshotNotHere' });
});

test('a damaged scan that was held is as good as none: the last snapshot still counts', async () => {
  const source = sourceOf(numbered(100));
  const lab = new WatchLab(source);
  await lab.round();
  for (const user of numbered(50)) source.exit(VIP.id, user);
  const { scanId: held } = await lab.scan();
  const [bucket = ''] = readdirSync(join(lab.folder, held)).filter((name) => name.startsWith('members-'));
  damage(join(lab.folder, held, bucket), '"', 'x');
  expect(await lab.scan({ held })).toMatchObject({ exits: 50, back: 0, gone: 0, heldFound: false });
});

test('a scan says how many of its exits a held scan lacked, and how many people came back', async () => {
  const source = sourceOf(numbered(100));
  const lab = new WatchLab(source);
  await lab.round();
  for (const user of numbered(50)) source.exit(VIP.id, user);
  const { scanId: held } = await lab.scan();
  expect(await lab.scan({ held })).toMatchObject({ exits: 50, back: 0, gone: 0, heldFound: true });
  source.enter(VIP.id, '3');
  source.exit(VIP.id, '70');
  source.exit(VIP.id, '71');
  expect(await lab.scan({ held })).toMatchObject({ exits: 51, back: 1, gone: 2, heldFound: true });
  expect(await lab.scan({ held: '0'.repeat(36) })).toMatchObject({ exits: 51, heldFound: false });
});

test('a scan removes obsolete snapshots and nothing else; only the worker can read the folders', async () => {
  const lab = new WatchLab(sourceOf(['1']));
  const [one, two] = [await lab.scan(), await lab.scan()];
  expect(lab.snapshots().sort()).toEqual([one.scanId, two.scanId].sort());
  const three = await lab.scan({ obsolete: [one.scanId] });
  expect(lab.snapshots().sort()).toEqual([two.scanId, three.scanId].sort());
  const four = await lab.scan({ obsolete: 'all' });
  expect(lab.snapshots()).toEqual([four.scanId]);
  expect(statSync(join(lab.folder, four.scanId)).mode & 0o077).toBe(0);
});

test('names that are not ids reach no folder', async () => {
  const lab = new WatchLab(sourceOf(['1']));
  await expect(lab.scan({ audience: '../../etc' })).rejects.toThrow(/32 hex digits/);
  await expect(lab.scan({ scanId: '../x' })).rejects.toThrow(/UUID/);
  await expect(lab.scan({ obsolete: ['../x'] })).rejects.toThrow(/UUID/);
});

test('each page is a sign of life', async () => {
  const lab = new WatchLab(sourceOf(numbered(5000)));
  await lab.scan();
  expect(lab.heartbeats).toBeGreaterThanOrEqual(3);
});
