import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { withOffset } from '../../../src/domain/instant.ts';
import { MemorySource } from '../../support/memory-source.ts';
import { VIP, WatchLab } from './a-watch.ts';
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { always } from '../../support/properties.ts';

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

test('a person confirmed as a member has not left, and is not sent when a page lists them again', async () => {
  const left = new Set<string>();
  const source = leavingOut(10, left);
  const lab = new WatchLab(source);
  await lab.round();
  left.add('3').add('4');
  source.exit(VIP.id, '4');
  const { scanId } = await lab.scan();
  for (let times = 1; times <= 2; times++)
    expect(await lab.confirm(scanId)).toEqual({ enters: 0, exits: 1, stayed: 1 });
  await lab.publish(scanId);
  expect(lab.told()).toEqual(['exit 4']);
  lab.base = scanId;
  left.clear();
  expect(await lab.round()).toEqual([]);
});

test('a source that fails during confirmation publishes nothing, and a retry starts from the same state', async () => {
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
  await expect(lab.publish(scanId)).rejects.toMatchObject({ type: 'SnapshotNotHere' });
  expect(lab.told()).toEqual([]);
  source.isMember = isMember;
  expect(await lab.confirm(scanId)).toEqual({ enters: 1, exits: 1500, stayed: 500 });
  await lab.publish(scanId);
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

test.each(['exits', 'changes'])('%s that were damaged, even at the same length, reach no job', async (name) => {
  const source = leavingOut(10, new Set());
  const lab = new WatchLab(source);
  await lab.round();
  for (const user of numbered(5)) source.exit(VIP.id, user);
  const { scanId } = await lab.scan();
  if (name === 'changes') await lab.confirm(scanId);
  const path = join(lab.folder, scanId, name);
  writeFileSync(path, readFileSync(path, 'utf8').replace('"3"', '"7"'));
  const next = name === 'exits' ? lab.confirm(scanId) : lab.publish(scanId);
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

test('every subscribing job gets all of it, by the id of the audience, at the time of the round', async () => {
  const { lab, scanId } = await confirmed();
  lab.subscribers.jobIds = ['crm', 'ads'];
  expect(await lab.publish(scanId, AT)).toEqual({ jobs: 2, unreadable: [] });
  expect(lab.subscribers.told.get('crm')).toContainEqual({
    audience: VIP.id,
    user: 'a',
    event: 'exit',
    at: withOffset(AT),
  });
  expect(lab.told('crm')).toHaveLength(23);
  expect(lab.told('ads')).toEqual(lab.told('crm'));
});

test('a job that cannot be reached holds up no other, and later gets only the rest', async () => {
  const { lab, scanId } = await confirmed();
  lab.subscribers.jobIds = ['ads', 'crm'];
  lab.subscribers.failing = { jobId: 'ads', after: 7 };
  await expect(lab.publish(scanId)).rejects.toMatchObject({
    type: 'JobsNotReached',
    message: 'Some jobs could not be reached; retrying. All other jobs have the changes. ads: ads takes no more',
  });
  expect([lab.told('crm').length, lab.told('ads').length]).toEqual([23, 7]);
  lab.subscribers.failing = undefined;
  await lab.publish(scanId);
  expect(lab.told('crm')).toHaveLength(23);
  expect(lab.told('ads')).toEqual(lab.told('crm'));
});

test.each([
  ['broken off', () => '{"crm": 2'],
  ['damaged', (text: string) => text.replace('3', '9')],
])('progress is only a hint: if it is %s, all changes are published again with the same times', async (_, damaged) => {
  const { lab, scanId } = await confirmed();
  await lab.publish(scanId);
  const first = lab.subscribers.told.get('crm')?.slice() ?? [];
  const path = join(lab.folder, scanId, 'progress.json');
  writeFileSync(path, damaged(readFileSync(path, 'utf8')));
  await lab.publish(scanId);
  expect(lab.subscribers.told.get('crm')?.slice(first.length)).toEqual(first);
});

test('a worker that was frozen publishes nothing more, since its changes may be outdated', async () => {
  const { lab, scanId } = await confirmed();
  lab.hasStalled = true;
  await expect(lab.publish(scanId)).rejects.toThrow(/was frozen/);
  expect(lab.told()).toEqual([]);
});

test('an unconfirmed scan is not published', async () => {
  const lab = new WatchLab(new MemorySource({ audiences: [{ ...VIP, members: ['a'] }] }));
  const { scanId } = await lab.scan({ existingUsers: true });
  await expect(lab.publish(scanId)).rejects.toMatchObject({ type: 'SnapshotNotHere' });
});

test('a job that replaces one ending in a round gets the changes that the old one did not take', async () => {
  const { lab, scanId } = await confirmed();
  const { subscribers } = lab;
  subscribers.ending.set('crm', 5);
  const of = subscribers.of.bind(subscribers);
  let lists = 0;
  subscribers.of = async () =>
    lists++ === 0 ? await of() : { jobIds: ['crm', 'crm-2'], stopping: [], unreadable: [] };
  expect(await lab.publish(scanId, AT)).toMatchObject({ jobs: 2 });
  expect(lab.told('crm')).toHaveLength(5);
  expect(new Set([...lab.told('crm'), ...lab.told('crm-2')]).size).toBe(23);
  expect(lab.told('crm-2')).toHaveLength(18);
});

describe('rounds that are cut off', () => {
  /** Where a round is cut off, once: by a page, a look-up, a job, or a crash behind a step that was done. */
  const fault = fc.record({
    at: fc.constantFrom('page', 'look-up', 'job', 'scanned', 'confirmed', 'told', 'nowhere'),
    after: fc.integer({ min: 0, max: 12 }),
  });
  const users = fc.uniqueArray(
    fc.integer({ min: 0, max: 25 }).map((n) => `user ${n}`),
    { maxLength: 20 },
  );
  const rounds = fc.array(fc.record({ members: users, hidden: users, faults: fc.array(fault, { maxLength: 3 }) }), {
    minLength: 2,
    maxLength: 6,
  });

  type Fault = { readonly at: string; readonly after: number };
  const CRASH = 'crashed here';

  /** Watches as the workflow does: what is pending is told, else a scan is begun; what fails is begun anew, by the same rules. */
  class Rounds {
    readonly source = new MemorySource({ audiences: [{ ...VIP, members: [] }] });
    readonly lab = new WatchLab(this.source);
    hidden = new Set<string>();
    #fault: Fault = { at: 'nowhere', after: 0 };
    #pending: { scanId: string; at: string } | undefined;
    #number = 0;

    constructor() {
      this.lab.subscribers.jobIds = ['crm', 'ads'];
      const members = this.source.members.bind(this.source);
      const isMember = this.source.isMember.bind(this.source);
      let pages = 0;
      let lookUps = 0;
      this.source.members = async (id, after) => {
        if (after === undefined) pages = 0;
        if (this.#fault.at === 'page' && pages++ === this.#fault.after) throw new Error(CRASH);
        const page = await members(id, after, 5);
        return { ...page, ids: page.ids.filter((user) => !this.hidden.has(user)) };
      };
      this.source.isMember = async (id, user) => {
        if (this.#fault.at === 'look-up' && lookUps++ >= this.#fault.after) throw new Error(CRASH);
        return await isMember(id, user);
      };
    }

    async until(faults: readonly Fault[]): Promise<void> {
      for (const one of [...faults, { at: 'nowhere', after: 0 }]) {
        this.#fault = one;
        this.lab.subscribers.failing = one.at === 'job' ? { jobId: 'ads', after: one.after } : undefined;
        const isDone = await this.#turn().then(
          () => true,
          (error: Error) => {
            if (!error.message.includes(CRASH) && !error.message.includes('takes no more')) throw error;
            return false;
          },
        );
        if (isDone) return;
      }
    }

    async #turn(): Promise<void> {
      this.#pending ??= await this.#scan();
      await this.lab.publish(this.#pending.scanId, this.#pending.at);
      this.#crash('told');
      this.lab.base = this.#pending.scanId;
      this.#pending = undefined;
    }

    async #scan(): Promise<{ scanId: string; at: string }> {
      const at = `2026-11-25T08:30:00.${String(++this.#number).padStart(9, '0')}Z`;
      const { scanId } = await this.lab.scan({ scanId: randomUUID() });
      this.#crash('scanned');
      await this.lab.confirm(scanId);
      this.#crash('confirmed');
      return { scanId, at };
    }

    #crash(at: string): void {
      if (this.#fault.at === at) throw new Error(CRASH);
    }
  }

  test('each job gets every change at least once, and no false one, wherever rounds are cut off', async () => {
    await always(
      fc.asyncProperty(rounds, async (states) => {
        const run = new Rounds();
        const expected = new Map<string, string[]>();
        let before = new Set<string>();
        for (const [i, { members, hidden, faults }] of states.entries()) {
          const now = new Set(members);
          for (const user of before) if (!now.has(user)) run.source.exit(VIP.id, user);
          for (const user of now) if (!before.has(user)) run.source.enter(VIP.id, user);
          // Pages may leave out who was a member before; who is new is seen.
          run.hidden = new Set(hidden.filter((user) => before.has(user)));
          await run.until(faults);
          if (i > 0)
            for (const user of new Set([...before, ...now])) {
              if (before.has(user) === now.has(user)) continue;
              expected.set(user, [...(expected.get(user) ?? []), now.has(user) ? 'enter' : 'exit']);
            }
          before = now;
        }
        for (const jobId of ['crm', 'ads']) {
          const heard = new Map<string, string[]>();
          const known = new Set<string>();
          for (const { user, event, at = '' } of run.lab.subscribers.told.get(jobId) ?? []) {
            if (known.has(`${user} ${event} ${at}`)) continue;
            known.add(`${user} ${event} ${at}`);
            heard.set(user, [...(heard.get(user) ?? []), event]);
          }
          expect(heard).toEqual(expected);
        }
      }),
      4,
    );
  });
});
