import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Difference } from '../../src/client/export-jobs.ts';
import { Lab, type LabOptions, NEWS, VIP } from '../support/lab.ts';

const people = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => `person-${String(from + i).padStart(5, '0')}`);

let folder: string;
let lab: Lab;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'reconcile-'));
});

afterEach(async () => {
  await lab.close();
  rmSync(folder, { recursive: true });
});

async function open(members: string[], options: LabOptions = {}): Promise<Lab> {
  const content = {
    audiences: [
      { ...VIP, members },
      { ...NEWS, members: [] },
    ],
    profiles: Object.fromEntries(members.map((user) => [user, { user }])),
  };
  lab = await Lab.open({ content, ...options, config: { watch: { folder }, ...options.config } });
  return lab;
}

/** What the endpoint was told, without repeats: `enter person-00001`. */
function told(): string[] {
  const all = lab.receiver.ledger.entries.flatMap(({ message }) =>
    message === undefined ? [] : [`${message.event} ${message.user}`],
  );
  return [...new Set(all)].sort();
}

const isSent = (job: string) => lab.statusWhen(job, ({ backfill }) => backfill?.state === 'finished');

test('who is missing there enters, who is there and no member exits, and nobody else is told of', async () => {
  await open(people(3000));
  const job = await lab.start({ parallelRequestCount: 20 });
  const theirs = [...people(2500, 100), ...people(50, 9000), 'person-00100'];
  const difference = await lab.jobs.compare(job, theirs, { audience: 'vip' });
  expect(difference).toMatchObject({ theirs: 2550, members: 3000, both: 2500, enters: 500, exits: 50 });
  expect(difference.first.exits).toHaveLength(5);
  expect(told()).toEqual([]);
  await lab.jobs.reconcile(job, difference);
  const { backfill } = await isSent(job);
  expect(backfill).toMatchObject({
    difference: { enters: 500, exits: 50 },
    audiences: ['vip'],
    taken: 550,
    delivered: 550,
    superseded: 0,
  });
  const enters = [...people(100), ...people(400, 2600)].map((user) => `enter ${user}`);
  expect(told()).toEqual([...enters, ...people(50, 9000).map((user) => `exit ${user}`)].sort());
  expect(new Set(lab.receiver.ledger.entries.map(({ message }) => message?.at)).size).toBe(1);
  // Asked for once more, it starts nothing; what it needed is gone.
  expect(await lab.jobs.reconcile(job, difference)).toMatchObject({ askedBefore: { n: 1, state: 'finished' } });
  expect(readdirSync(join(folder, 'differences'))).toEqual([]);
  const lines = [];
  for await (const line of lab.jobs.trace('person-09000', { jobId: job })) lines.push(line);
  expect(lines).toContainEqual(expect.objectContaining({ kind: 'found', event: 'exit', audience: 'vip', backfill: 1 }));
});

test('what was signalled meanwhile is not contradicted: whoever has changed since is left out', async () => {
  await open(people(3000));
  const job = await lab.start({ parallelRequestCount: 4 });
  const strangers = people(400, 9000);
  const difference = await lab.jobs.compare(job, [...people(2000), ...strangers], { audience: VIP.id });
  await lab.jobs.pause(job);
  await lab.jobs.reconcile(job, difference);
  // Some pages are with the job by now, and others are still to be read.
  await lab.statusWhen(job, ({ backfill }) => (backfill?.taken ?? 0) > 0);
  const leavers = people(1000, 2000).filter((_, i) => i % 2 === 0);
  const joiners = strangers.filter((_, i) => i % 2 === 0);
  for (const user of leavers) lab.source.exit('vip', user);
  for (const user of joiners) lab.source.enter('vip', user);
  await lab.jobs.push(job, [
    ...leavers.map((user) => ({ audience: 'vip', user, event: 'exit' as const })),
    ...joiners.map((user) => ({ audience: 'vip', user, event: 'enter' as const })),
  ]);
  await lab.jobs.resume(job);
  await lab.statusWhen(job, ({ waiting, backfill }) => waiting === 0 && backfill?.state === 'finished');
  const last = new Map<string, string>();
  for (const { message } of lab.receiver.ledger.entries)
    if (message !== undefined) last.set(message.user, message.event);
  expect(leavers.filter((user) => last.get(user) !== 'exit')).toEqual([]);
  expect(joiners.filter((user) => last.get(user) !== 'enter')).toEqual([]);
  expect((await lab.jobs.status(job)).backfill).toMatchObject({ taken: 1400, superseded: 700, delivered: 700 });
  expect(told().filter((one) => one.endsWith('person-02001'))).toEqual(['enter person-02001']);
  expect(told().filter((one) => one.endsWith('person-09001'))).toEqual(['exit person-09001']);
});

test('it is paced as a backfill, can be paused, and goes on after a stop that keeps what waits', async () => {
  await open(people(1500));
  const job = await lab.start({ parallelRequestCount: 4, backfillPerSecond: 500 });
  const difference = await lab.jobs.compare(job, people(1500, 1000), { audience: 'vip' });
  await lab.jobs.reconcile(job, difference, { force: true });
  await lab.statusWhen(job, ({ backfill }) => (backfill?.delivered ?? 0) > 50);
  const paused = await lab.jobs.backfill(job, { action: 'pause' });
  expect(paused.backfill).toMatchObject({ state: 'paused' });
  await lab.jobs.enter(job, { audience: 'news', user: 'live' });
  await lab.arrives('live');
  await lab.jobs.stop(job, { waiting: 'keep' });
  await lab.statusWhen(job, ({ kept }) => kept !== undefined);
  const { delivered } = (await lab.jobs.status(job)).backfill ?? { delivered: 0 };
  expect(delivered).toBeLessThan(2000);
  await lab.jobs.resume(job);
  await lab.jobs.backfill(job, { action: 'resume' });
  const { backfill } = await isSent(job);
  expect(backfill).toMatchObject({ delivered: 2000, difference: { enters: 1000, exits: 1000 } });
  const exits = people(1000, 1500).map((user) => `exit ${user}`);
  expect(told().filter((one) => one.startsWith('exit'))).toEqual(exits);
});

test('of a job that leaves out exits, only what it sends is compared; an equal list starts nothing', async () => {
  await open(people(20));
  const job = await lab.start({ events: ['enter'] });
  const difference = await lab.jobs.compare(job, [...people(19), 'stranger'], { audience: 'vip' });
  expect(difference).toMatchObject({ enters: 1, exits: 0, theirs: 20 });
  await lab.jobs.reconcile(job, difference);
  await isSent(job);
  expect(told()).toEqual(['enter person-00019']);
  const none: Difference = await lab.jobs.compare(job, people(20), { audience: 'vip' });
  expect(await lab.jobs.reconcile(job, none)).toMatchObject({ backfill: { n: 1 } });
  const exits = await lab.jobs.compare(await lab.start(), [...people(20), 'stranger'], { audience: 'vip' });
  await expect(lab.jobs.reconcile(job, exits)).rejects.toThrow(/has exits, and the job leaves them out/);
});

test('without a folder the workers say what to do, nothing is sent, and of a long list only the beginning is read', async () => {
  await open(people(3), { config: { watch: {} } });
  const job = await lab.start();
  let read = 0;
  function* list(): Generator<string> {
    for (const user of people(50_000)) {
      read += 1;
      yield user;
    }
  }
  await expect(lab.jobs.compare(job, list(), { audience: 'vip' })).rejects.toMatchObject({
    name: 'WorkerFailed',
    message: expect.stringContaining('TRIGGERS_WATCH_FOLDER'),
  });
  expect(read).toBeLessThan(10_000);
});
