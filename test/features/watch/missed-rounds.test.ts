import { readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { MissedRounds } from '../../../src/features/watch/missed-rounds.ts';
import { MemorySource } from '../../support/memory-source.ts';
import { VIP, WatchLab } from './a-watch.ts';

const numbered = (count: number) => Array.from({ length: count }, (_, i) => String(i));
const at = (round: number) => `2026-11-25T08:30:0${round}.000000000Z`;

/** A watch of ten members whose base is known. */
async function watching(): Promise<{ lab: WatchLab; source: MemorySource; turn: (round: number) => Promise<unknown> }> {
  const source = new MemorySource({ audiences: [{ ...VIP, members: numbered(10) }] });
  const lab = new WatchLab(source);
  lab.subscribers.jobIds = ['crm', 'ads'];
  await lab.round();
  const turn = async (round: number): Promise<unknown> => {
    const { scanId } = await lab.scan();
    await lab.confirm(scanId);
    const report = await lab.publish(scanId, at(round));
    lab.base = scanId;
    return report;
  };
  return { lab, source, turn };
}

const missedFiles = (lab: WatchLab) => readdirSync(lab.folder).filter((name) => name.startsWith('missed-'));

test('a stopped job gets what it missed once it runs again, in order and with the original times', async () => {
  const { lab, source, turn } = await watching();
  lab.subscribers.jobIds = ['crm'];
  lab.subscribers.keptIds = ['ads'];
  source.exit(VIP.id, '1');
  expect(await turn(1)).toMatchObject({ jobs: 1, behind: ['ads'] });
  source.enter(VIP.id, '1');
  source.exit(VIP.id, '2');
  expect(await turn(2)).toMatchObject({ behind: ['ads'] });
  expect(missedFiles(lab)).toHaveLength(2);
  // It is back in a round that has changes of its own.
  lab.subscribers.jobIds = ['crm', 'ads'];
  lab.subscribers.keptIds = [];
  source.exit(VIP.id, '3');
  expect(await turn(3)).toEqual({ jobs: 2, unreadable: [] });
  expect(lab.told('ads')).toEqual(['exit 1', 'exit 2', 'enter 1', 'exit 3']);
  expect(lab.subscribers.told.get('ads')?.map(({ at: then = '' }) => then.slice(18, 19))).toEqual(['1', '2', '2', '3']);
  expect(lab.told('ads')).toEqual(lab.told('crm'));
  expect(missedFiles(lab)).toEqual([]);
});

test('a job that is stopping beside another misses the round, and is forgotten once it cannot run again', async () => {
  const { lab, source, turn } = await watching();
  lab.subscribers.jobIds = ['crm'];
  lab.subscribers.stoppingIds = ['ads', 'new'];
  source.exit(VIP.id, '1');
  expect(await turn(1)).toMatchObject({ jobs: 1, behind: ['ads', 'new'] });
  lab.subscribers.stoppingIds = [];
  expect(await lab.publishMissed()).toEqual({ jobs: 0, unreadable: [] });
  expect([lab.told('ads'), lab.told('new')]).toEqual([[], []]);
});

test('a round without changes publishes missed rounds, too, and does so once', async () => {
  const { lab, source, turn } = await watching();
  lab.subscribers.jobIds = ['crm'];
  lab.subscribers.keptIds = ['ads'];
  source.exit(VIP.id, '1');
  await turn(1);
  expect(await lab.publishMissed()).toEqual({ jobs: 0, unreadable: [], behind: ['ads'] });
  lab.subscribers.jobIds = ['ads'];
  expect(await lab.publishMissed()).toEqual({ jobs: 1, unreadable: [] });
  expect(await lab.publishMissed()).toEqual({ jobs: 0, unreadable: [] });
  expect(lab.told('ads')).toEqual(['exit 1']);
});

test('a job that is stopped in the middle of a round gets the rest of it later', async () => {
  const { lab, source, turn } = await watching();
  lab.subscribers.ending.set('ads', 2);
  for (const user of ['1', '2', '3', '4']) source.exit(VIP.id, user);
  lab.subscribers.keptIds = ['ads'];
  expect(await turn(1)).toMatchObject({ behind: ['ads'] });
  expect(lab.told('ads')).toHaveLength(2);
  lab.subscribers.ending.clear();
  await lab.publishMissed();
  expect(lab.told('ads')).toEqual(lab.told('crm'));
});

test('a terminated job may be recovered and gets the rounds it missed; a job that cannot run again does not', async () => {
  const { lab, source, turn } = await watching();
  source.exit(VIP.id, '1');
  await turn(1);
  lab.subscribers.jobIds = ['crm'];
  // It is not kept, but can be recovered.
  lab.subscribers.recoverable = ['ads'];
  source.exit(VIP.id, '2');
  expect(await turn(2)).toMatchObject({ behind: ['ads'] });
  lab.subscribers.recoverable = [];
  expect(await lab.publishMissed()).toEqual({ jobs: 0, unreadable: [] });
  expect(missedFiles(lab)).toEqual([]);
  lab.subscribers.jobIds = ['ads'];
  await lab.publishMissed();
  expect(lab.told('ads')).toEqual(['exit 1']);
});

test('a damaged round is not published in part: the report says which rounds a job has lost', async () => {
  const { lab, source, turn } = await watching();
  lab.subscribers.jobIds = ['crm'];
  lab.subscribers.keptIds = ['ads'];
  for (const round of [1, 2]) {
    source.exit(VIP.id, String(round));
    await turn(round);
  }
  writeFileSync(join(lab.folder, missedFiles(lab)[0] ?? ''), 'damaged');
  writeFileSync(join(lab.folder, missedFiles(lab)[1] ?? ''), 'damaged');
  lab.subscribers.jobIds = ['crm', 'ads'];
  const lost = [{ jobId: 'ads', from: at(1), to: at(2) }];
  expect(await lab.publishMissed()).toEqual({ jobs: 1, unreadable: [], lost });
  expect(lab.told('ads')).toEqual([]);
  // The report keeps saying so.
  expect(await lab.publishMissed()).toMatchObject({ lost });
});

test('after 500 rounds the oldest is lost, with everything that its jobs have missed', async () => {
  const { lab } = await watching();
  const rounds = await MissedRounds.open(lab.folder);
  const changes = join(lab.folder, 'changes');
  writeFileSync(changes, '["exit","1"]\n');
  for (let round = 0; round < 500; round++) {
    const one = { scanId: `scan-${round}`, at: at(1), changes };
    await rounds.miss('late', one, 0);
    if (round === 0) await rounds.miss('early', one, 0);
  }
  expect(rounds.behind).toEqual(['early', 'late']);
  await rounds.miss('late', { scanId: 'more', at: at(2), changes }, 0);
  expect(rounds.behind).toEqual([]);
  expect(rounds.lost.map(({ jobId }) => jobId).sort()).toEqual(['early', 'late']);
  await rounds.save();
  await rounds.tidy();
  expect(missedFiles(lab)).toEqual([]);
});

test('beyond 256 MiB of changes the oldest rounds are lost, too', async () => {
  const { lab } = await watching();
  const rounds = await MissedRounds.open(lab.folder);
  const changes = join(lab.folder, 'changes');
  writeFileSync(changes, '');
  truncateSync(changes, 100 * 1024 * 1024);
  for (const round of [1, 2]) await rounds.miss('early', { scanId: `scan-${round}`, at: at(round), changes }, 0);
  await rounds.miss('late', { scanId: 'scan-2', at: at(2), changes }, 0);
  expect(rounds.behind).toEqual(['early', 'late']);
  await rounds.miss('last', { scanId: 'scan-3', at: at(3), changes }, 0);
  expect(rounds.behind).toEqual(['last', 'late']);
  expect(rounds.lost).toEqual([{ jobId: 'early', from: at(1), to: at(2) }]);
  await rounds.tidy();
  expect(missedFiles(lab).sort()).toEqual(['missed-scan-2', 'missed-scan-3']);
});

test('after a failed attempt that reached some jobs, each job gets the round once', async () => {
  const { lab, source } = await watching();
  lab.subscribers.jobIds = ['crm'];
  lab.subscribers.keptIds = ['ads'];
  source.exit(VIP.id, '1');
  const { scanId } = await lab.scan();
  await lab.confirm(scanId);
  lab.subscribers.failing = { jobId: 'crm', after: 0 };
  await expect(lab.publish(scanId, at(1))).rejects.toMatchObject({ type: 'JobsNotReached' });
  lab.subscribers.failing = undefined;
  // It is back before the round is told again.
  lab.subscribers.jobIds = ['crm', 'ads'];
  expect(await lab.publish(scanId, at(1))).toEqual({ jobs: 2, unreadable: [] });
  expect(lab.told('ads')).toEqual(['exit 1']);
  expect(lab.told('crm')).toEqual(['exit 1']);
});
