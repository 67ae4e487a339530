import { randomUUID } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createDifferences } from '../../../src/features/reconcile/activities.ts';
import type { DifferencePage } from '../../../src/contract/backfill.ts';
import type { ComparedMembers, Comparison } from '../../../src/features/reconcile/difference.ts';
import { PAGE_IDS } from '../../../src/domain/limits.ts';
import { MemorySource } from '../../support/memory-source.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const VIP = { id: 'a'.repeat(32), slug: 'vip', name: 'VIP' };
const people = (count: number, from = 0) => Array.from({ length: count }, (_, i) => `p${from + i}`);

let root: string;
let source: MemorySource;
let id: string;

beforeEach(() => {
  root = tempFolder();
  source = new MemorySource({ audiences: [{ ...VIP, members: people(100) }] });
  id = randomUUID();
});

const activities = (watchFolder: string | undefined = root) => createDifferences({ source, watchFolder });
const folder = () => join(root, 'differences', id);

async function compare(parts: readonly string[][], more: Partial<Comparison> = {}): Promise<ComparedMembers> {
  const { keepTheirMembers, compareMembers } = activities();
  for (const [part, ids] of parts.entries()) await keepTheirMembers({ differenceId: id, part, ids });
  const comparison: Comparison = {
    differenceId: id,
    parts: parts.length,
    audience: VIP.id,
    events: ['enter', 'exit'],
    ...more,
  };
  return await new MockActivityEnvironment().run<[Comparison], ComparedMembers, typeof compareMembers>(
    compareMembers,
    comparison,
  );
}

/** A page of the difference, as an activity of its own lists it. */
async function pageOf(audience: string, after: string | null, maxBytes = 10_000): Promise<DifferencePage> {
  const { listDifference } = activities();
  type Asked = Parameters<typeof listDifference>;
  const activity = new MockActivityEnvironment();
  return await activity.run<Asked, DifferencePage, typeof listDifference>(
    listDifference,
    id,
    audience,
    after,
    maxBytes,
  );
}

async function pages(maxBytes?: number): Promise<DifferencePage[]> {
  const all: DifferencePage[] = [];
  for (let after: string | null = null; ;) {
    const page = await pageOf(VIP.id, after, maxBytes);
    all.push(page);
    if (page.next === undefined) return all;
    after = page.next;
  }
}

const all = (found: readonly DifferencePage[], of: 'ids' | 'exits') => found.flatMap((page) => page[of]).sort();

test('a list in several parts is compared, each person once', async () => {
  const compared = await compare([people(60), ['p5', 'stranger', 'p6'], people(10, 60)]);
  expect(compared).toMatchObject({ theirs: 71, members: 100, both: 70, enters: 30, exits: 1 });
  expect(compared.first.exits).toEqual(['stranger']);
  expect(compared.first.enters).toHaveLength(5);
  const found = await pages();
  expect(all(found, 'ids')).toEqual(people(30, 70).sort());
  expect(all(found, 'exits')).toEqual(['stranger']);
});

test('pages have at most so many bytes, leave nobody out, and take any id', async () => {
  const odd = ['"', '\\', '\n', '\u2028', 'ü'.repeat(255), '👍', 'x'.repeat(255)];
  for (const user of odd) source.enter(VIP.id, user);
  await compare([[...people(500, 1000), ...people(1)]]);
  const found = await pages(1024);
  expect(found.length).toBeGreaterThan(10);
  for (const { ids, exits } of found.slice(0, -1))
    expect(ids.length === 1 || Buffer.byteLength(JSON.stringify([...ids, ...exits])) <= 1024).toBe(true);
  expect(all(found, 'ids')).toEqual([...people(99, 1), ...odd].sort());
  expect(all(found, 'exits')).toEqual(people(500, 1000).sort());
});

test('a page has no more people than a page of members', async () => {
  await compare([people(3000, 1000)]);
  const [first] = await pages(1_000_000);
  expect((first?.ids.length ?? 0) + (first?.exits.length ?? 0)).toBe(PAGE_IDS);
});

test('a person whose membership has changed by now is counted and not returned', async () => {
  await compare([[...people(50), 'a', 'b']]);
  source.enter(VIP.id, 'a');
  source.exit(VIP.id, 'p70');
  const found = await pages();
  expect(found.reduce((sum, { outdated }) => sum + outdated, 0)).toBe(2);
  expect(all(found, 'ids')).toEqual(
    people(50, 50)
      .filter((user) => user !== 'p70')
      .sort(),
  );
  expect(all(found, 'exits')).toEqual(['b']);
});

test('a source that cannot say in which audiences people are is asked one by one', async () => {
  Object.defineProperty(source, 'memberships', { value: undefined });
  await compare([[...people(50), 'a', 'b']]);
  source.enter(VIP.id, 'a');
  expect(all(await pages(), 'exits')).toEqual(['b']);
  expect(source.calls.isMember).toBe(52);
});

test('a difference leaves out changes that the job does not send', async () => {
  expect(await compare([[...people(50), 'a']], { events: ['exit'] })).toMatchObject({ enters: 0, exits: 1, both: 50 });
  expect(all(await pages(), 'ids')).toEqual([]);
});

test('a try that failed in the middle leaves nothing that counts; the next one finds the same', async () => {
  source.failure = new Error('down');
  await expect(compare([people(50)])).rejects.toThrow('down');
  source.failure = undefined;
  expect(readdirSync(folder())).toEqual(['part-0']);
  expect(await compare([people(50)])).toMatchObject({ theirs: 50, enters: 50 });
  expect(all(await pages(), 'ids')).toHaveLength(50);
});

test('a part that is missing or damaged is not taken for an empty one', async () => {
  await expect(compare([people(50)], { parts: 2 })).rejects.toMatchObject({ type: 'DifferenceNotHere' });
  const { keepTheirMembers } = activities();
  await keepTheirMembers({ differenceId: id, part: 1, ids: ['x'] });
  truncateSync(join(folder(), 'part-1'), 3);
  await expect(compare([people(50)], { parts: 2 })).rejects.toMatchObject({ type: 'DifferenceNotHere' });
});

test('a difference that is damaged, or of another audience, or gone, is not sent', async () => {
  await compare([people(50)]);
  await expect(pageOf('b'.repeat(32), null)).rejects.toMatchObject({ type: 'DifferenceNotHere' });
  const changes = readdirSync(folder()).find((name) => name.startsWith('changes-')) ?? '';
  // At the same length.
  const whole = readFileSync(join(folder(), changes), 'utf8');
  writeFileSync(join(folder(), changes), whole.replace(/(?<=",").(?=[^,]*"\])/, '~'));
  await expect(pages()).rejects.toMatchObject({ type: 'DifferenceNotHere' });
  writeFileSync(join(folder(), changes), whole);
  appendFileSync(join(folder(), changes), '["exit","p1"]\n');
  await expect(pages()).rejects.toMatchObject({ type: 'DifferenceNotHere' });
  await expect(pageOf(VIP.id, '15')).rejects.toMatchObject({ type: 'DifferenceNotHere' });
  await activities().forgetDifference(id);
  await expect(pages()).rejects.toMatchObject({ type: 'DifferenceNotHere' });
});

test('the folder is for the worker alone; what nobody needs any more is removed', async () => {
  await compare([people(50)]);
  expect(statSync(folder()).mode & 0o77).toBe(0);
  expect(readdirSync(folder()).filter((name) => name.startsWith('comparing'))).toEqual([]);
  const before = folder();
  const then = Date.now() / 1000 - 91 * 24 * 3600;
  utimesSync(before, then, then);
  id = randomUUID();
  await compare([people(50)]);
  expect(existsSync(before)).toBe(false);
  await activities().forgetDifference(id);
  expect(readdirSync(join(root, 'differences'))).toEqual([]);
});

test('an id or a part cannot name anything outside of its folder, and nothing is done without a folder', async () => {
  for (const differenceId of ['..', '../../etc', 'x'])
    await expect(activities().keepTheirMembers({ differenceId, part: 0, ids: [] })).rejects.toMatchObject({
      type: 'NoDifferenceId',
      nonRetryable: true,
    });
  for (const part of ['/../../../escaped', '1', -1, 0.5, null])
    await expect(
      activities().keepTheirMembers({ differenceId: id, part: part as number, ids: [] }),
    ).rejects.toMatchObject({ type: 'NoDifferenceId', nonRetryable: true });
  expect(existsSync(join(root, 'escaped'))).toBe(false);
  const { keepTheirMembers } = createDifferences({ source, watchFolder: undefined });
  await expect(keepTheirMembers({ differenceId: id, part: 0, ids: [] })).rejects.toMatchObject({
    type: 'NoWatchFolder',
    nonRetryable: true,
  });
});
