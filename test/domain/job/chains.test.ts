import { expect, test } from '@jest/globals';
import { AudienceTable, type QueuedTrigger } from '../../../src/domain/job/queue/chain.ts';
import { Chains } from '../../../src/domain/job/queue/chains.ts';

const A = 'a'.repeat(32);
const B = 'b'.repeat(32);

const live = (at: string, audience = A): QueuedTrigger => ({ audience, event: 'enter', at });
const member = (at: string, audience = A): QueuedTrigger => ({ ...live(at, audience), backfill: 1 });
const times = (chains: Chains, user: string) => chains.get(user)?.triggers.map(({ at }) => at);

function chainsOf(...users: string[]): Chains {
  const chains = new Chains();
  for (const user of users) chains.addLive(user, live(user));
  return chains;
}

/** The chain that goes next, of whatever kind. */
const firstReady = ({ live: lane, later }: Chains) => lane.first() ?? later.first();

/** Takes the first ready chain into a slice with all it has. */
function run(chains: Chains) {
  const chain = firstReady(chains);
  if (chain === undefined) throw new Error('No chain is ready.');
  chains.startRunning(chain, chain.triggers.length);
  return chain;
}

test('people come out in the order in which they came, each with all of their triggers', () => {
  const chains = chainsOf('1', '2');
  chains.addLive('1', live('again'));
  expect(times(chains, '1')).toEqual(['1', 'again']);
  expect([run(chains).user, run(chains).user, firstReady(chains)]).toEqual(['1', '2', undefined]);
});

test('a person who is in a slice is not ready, even if more triggers come for them', () => {
  const chains = chainsOf('1');
  run(chains);
  chains.addLive('1', live('later'));
  expect([chains.readyCount, chains.triggers]).toEqual([0, 2]);
});

test('a person whom a slice gives back goes before people who were never dispatched', () => {
  const chains = chainsOf('1', '2', '3');
  const first = run(chains);
  chains.stopRunning(first);
  expect(firstReady(chains)).toBe(first);
});

test('a chain with everything settled is gone', () => {
  const chains = chainsOf('1');
  const chain = run(chains);
  chains.settleHead(chain);
  chains.stopRunning(chain);
  expect([chains.get('1'), chains.triggers, chains.bytes, chains.readyCount]).toEqual([undefined, 0, 0, 0]);
});

test('delayed chains become ready when their time has come, in its order', () => {
  const chains = chainsOf('1', '2', '3');
  for (const notBefore of [300, 100, 200]) chains.delay(run(chains), notBefore);
  expect([chains.nextDue, chains.delayedCount, chains.readyCount]).toEqual([100, 3, 0]);
  chains.promoteDue(200);
  expect([chains.nextDue, chains.delayedCount]).toEqual([300, 1]);
  expect([run(chains).user, run(chains).user]).toEqual(['2', '3']);
});

test('a live trigger goes before members of a backfill that are not in a slice', () => {
  const chains = new Chains();
  chains.addFromBackfill('1', member('old', B));
  chains.addLive('1', live('new'));
  expect(times(chains, '1')).toEqual(['new', 'old']);
});

test('a live trigger stays behind what is in a slice already', () => {
  const chains = new Chains();
  chains.addFromBackfill('1', member('old', B));
  run(chains);
  chains.addLive('1', live('new'));
  expect(times(chains, '1')).toEqual(['old', 'new']);
});

test('a live trigger at the head of a delayed chain does not wait for the failures of another', () => {
  const chains = new Chains();
  chains.addFromBackfill('1', member('old', B));
  const chain = run(chains);
  chain.failures = 5;
  chains.delay(chain, 1_000_000);
  chains.addLive('1', live('new'));
  expect([chains.readyCount, chains.delayedCount, chains.get('1')?.failures]).toEqual([1, 0, 0]);
});

test('a live trigger at the head of a ready chain does not inherit failures of another trigger', () => {
  const chains = new Chains();
  chains.addFromBackfill('1', member('old', B));
  const chain = run(chains);
  Object.assign(chain, { failures: 5, profileTries: 2 });
  chains.stopRunning(chain);
  chains.addLive('1', live('new'));
  expect(chain).toMatchObject({ place: 'ready', failures: 0, profileTries: 0 });
});

test("a member who is first because another was dropped does not inherit the other's failures", () => {
  const chains = new Chains();
  chains.addFromBackfill('1', member('a', A));
  chains.addFromBackfill('1', member('b', B));
  const chain = run(chains);
  Object.assign(chain, { failures: 5, profileTries: 2 });
  chains.stopRunning(chain);
  chains.dropFromBackfill('1', A);
  expect(chain).toMatchObject({ place: 'ready', failures: 0, profileTries: 0 });
});

test('newer triggers drop members of the same audience, and not of another', () => {
  const chains = new Chains();
  chains.addFromBackfill('1', member('a', A));
  chains.addFromBackfill('1', member('b', B));
  expect(chains.dropFromBackfill('1', A)).toHaveLength(1);
  expect(times(chains, '1')).toEqual(['b']);
  expect(chains.dropFromBackfill('1', B)).toHaveLength(1);
  expect([chains.get('1'), chains.bytes]).toEqual([undefined, 0]);
  expect(chains.dropFromBackfill('nobody', A)).toHaveLength(0);
});

test('a member in a slice is on its way, and not dropped', () => {
  const chains = new Chains();
  chains.addFromBackfill('1', member('a', A));
  run(chains);
  expect(chains.dropFromBackfill('1', A)).toHaveLength(0);
});

test('a probe finds somebody who never failed', () => {
  const chains = chainsOf('1', '2');
  const failed = run(chains);
  failed.failures = 1;
  chains.stopRunning(failed);
  expect([firstReady(chains)?.user, chains.live.firstFresh()?.user]).toEqual(['1', '2']);
});

test('discarding leaves only what is in slices', () => {
  const chains = chainsOf('1', '2', '3');
  const running = run(chains);
  chains.delay(run(chains), 100);
  chains.addLive('1', live('behind'));
  expect(chains.discard()).toHaveLength(3);
  expect([chains.triggers, chains.delayedCount, chains.readyCount]).toEqual([1, 0, 0]);
  expect(times(chains, '1')).toEqual(['1']);
  chains.settleHead(running);
  chains.stopRunning(running);
  expect(chains.bytes).toBe(0);
});

test('chains are restored in the same order, place and number of failures', () => {
  const chains = chainsOf('1', '2', '3');
  const delayed = run(chains);
  delayed.failures = 2;
  delayed.profileTries = 1;
  chains.delay(delayed, 500);
  const back = run(chains);
  chains.stopRunning(back);
  const again = new Chains();
  const table = new AudienceTable();
  const carried = structuredClone(chains.carry(table));
  again.restore(carried, table.ids);
  expect([again.triggers, again.bytes, again.delayedCount, again.nextDue]).toEqual([3, chains.bytes, 1, 500]);
  expect(again.get('1')).toMatchObject({ place: 'delayed', failures: 2, profileTries: 1 });
  expect([run(again).user, run(again).user]).toEqual(['2', '3']);
});

test('chains never count fewer bytes than they carry', () => {
  const chains = new Chains();
  const profile = JSON.stringify({ name: 'Linnéa', note: 'x'.repeat(500) });
  const profileBytes = Buffer.byteLength(JSON.stringify(profile));
  for (let i = 0; i < 100; i++) {
    chains.addLive('ü'.repeat(i + 1), { ...live('2026-01-01T00:00:00.000000001+00:00'), profile, profileBytes });
  }
  expect(chains.bytes).toBeGreaterThanOrEqual(Buffer.byteLength(JSON.stringify(chains.carry(new AudienceTable()))) - 2);
});

test('members whom a slice gave back never go before somebody with a live trigger', () => {
  const chains = new Chains();
  for (const user of ['1', '2']) chains.addFromBackfill(user, member(user, A));
  chains.stopRunning(run(chains));
  chains.addLive('3', live('3'));
  expect(firstReady(chains)?.user).toBe('3');
  chains.addLive('2', live('2'));
  chains.startRunning(firstReady(chains) ?? fail(), 1);
  expect([firstReady(chains)?.user, chains.live.size, chains.later.size]).toEqual(['2', 1, 1]);
});

function fail(): never {
  throw new Error('nobody is ready');
}
