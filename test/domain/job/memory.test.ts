import { expect, test } from '@jest/globals';
import { RecentMemory } from '../../../src/domain/job/queue/memory.ts';
import { REMEMBERED_ARRIVALS, REMEMBERED_CHANGES, REMEMBERED_DELIVERIES } from '../../../src/domain/limits.ts';
import { carryJob, restoreJob } from '../../../src/domain/job/carrying.ts';
import { AJob } from './a-job.ts';
import { jobRecord } from './a-record.ts';

test('the memory knows whether an entry came at or after a time', () => {
  const memory = new RecentMemory(REMEMBERED_ARRIVALS);
  memory.remember('a', 100);
  expect([memory.knows('a', 99), memory.knows('a', 100), memory.knows('a', 101), memory.knows('b', 0)]).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

test('the memory forgets the oldest first, and says up to when it may have forgotten', () => {
  const memory = new RecentMemory(REMEMBERED_ARRIVALS);
  for (let i = 1; i <= REMEMBERED_ARRIVALS; i++) memory.remember(`person ${i}`, i);
  expect(memory.forgottenUntil).toBe(0);
  memory.remember('person 1', 9999); // Came again: now the youngest.
  memory.remember('one more', 10_000);
  expect(memory.size).toBe(REMEMBERED_ARRIVALS);
  expect([memory.knows('person 1', 0), memory.knows('person 2', 0), memory.knows('person 3', 0)]).toEqual([
    true,
    false,
    true,
  ]);
  expect(memory.forgottenUntil).toBe(2);
});

test('removing old entries also moves the time up to which the memory may have forgotten', () => {
  const memory = new RecentMemory(REMEMBERED_ARRIVALS);
  for (const at of [10, 20, 30]) memory.remember(`at ${at}`, at);
  memory.forgetBefore(30);
  expect([memory.size, memory.forgottenUntil, memory.knows('at 30', 0)]).toEqual([1, 20, true]);
});

test('a restored memory knows the same as the carried one', () => {
  const memory = new RecentMemory(10, [], 7);
  memory.remember('a', 100);
  const again = new RecentMemory(10, memory.carry(), memory.forgottenUntil);
  expect([again.knows('a', 100), again.knows('b', 0), again.forgottenUntil]).toEqual([true, false, 7]);
});

test('the memory forgets carried entries before newer ones', () => {
  const before = new RecentMemory(3);
  for (const at of [1, 2]) before.remember(`then ${at}`, at);
  const memory = new RecentMemory(3, before.carry());
  for (const at of [3, 4]) memory.remember(`now ${at}`, at);
  expect(['then 1', 'then 2', 'now 3', 'now 4'].map((text) => memory.knows(text, 0))).toEqual([
    false,
    true,
    true,
    true,
  ]);
  expect([memory.size, memory.forgottenUntil]).toEqual([3, 1]);
});

test('a carried memory takes few bytes, and is the same when carried again', () => {
  const memory = new RecentMemory(10);
  memory.remember('a long text of a delivery', 5);
  const carried = memory.carry();
  expect(carried).toEqual([[expect.stringMatching(/^[0-9a-f]{18}$/), 5]]);
  expect(memory.carryKeys()).toEqual([carried[0]?.[0]]);
  const again = new RecentMemory(10, carried);
  expect([again.knows('a long text of a delivery'), again.knows('another')]).toEqual([true, false]);
  expect(again.carry()).toEqual(carried);
});

test('an entry that comes again is the youngest', () => {
  const memory = new RecentMemory(3);
  for (const text of ['1', '2', '3', '2', '4', '5']) memory.remember(text);
  expect(['1', '2', '3', '4', '5'].map((text) => memory.knows(text))).toEqual([false, true, false, true, true]);
  expect(memory.size).toBe(3);
});

const AT = { at: '2026-01-01T01:00:00.000000001+01:00' };
/** The same instant. */
const SPELT_OTHERWISE = { at: '2026-01-01T00:00:00.000000001Z' };

test('a trigger signalled again while the first waits is sent once', () => {
  const job = new AJob(1);
  job.signal('1', 'enter', AT);
  job.signal('1', 'enter', SPELT_OTHERWISE);
  expect(job.dispatchedMessages()).toEqual(['1 enter a']);
  job.signal('1', 'enter', AT);
  job.end();
  expect(job.status).toMatchObject({ received: 3, repeated: 2, delivered: 1, waiting: 0 });
});

test('a trigger signalled again soon after it was delivered is not sent again, in this run or the next', () => {
  const job = new AJob(1);
  job.signal('1', 'enter', AT);
  job.send();
  job.signal('1', 'enter', SPELT_OTHERWISE);
  expect(job.dispatch()).toEqual([]);
  expect(job.status).toMatchObject({ repeated: 1, delivered: 1 });
});

test(`"soon" is ${REMEMBERED_DELIVERIES} deliveries`, () => {
  const job = new AJob(100);
  job.signal('1', 'enter', AT);
  job.send();
  for (let i = 0; i < REMEMBERED_DELIVERIES; i++) job.signal(`other ${i}`);
  job.sendAll();
  job.signal('1', 'enter', AT);
  expect(job.dispatchedMessages()).toEqual(['1 enter a']);
});

test.each([
  ['another time', 'enter', { at: '2026-01-01T00:00:00.000000002Z' }],
  ['the other event', 'exit', AT],
  ['another audience', 'enter', { ...AT, audience: 'b' }],
  ['no time', 'enter', {}],
] as const)('a trigger with %s is another trigger', (_, event, more) => {
  const job = new AJob(1);
  job.signal('1', 'enter', AT);
  job.signal('1', event, more);
  expect(job.status).toMatchObject({ repeated: 0, waiting: 2 });
});

test('two triggers without a time are two triggers', () => {
  const job = new AJob(1).signals('1', '1');
  expect(job.status).toMatchObject({ repeated: 0, waiting: 2 });
});

test('a job tells thousands of triggers of one person apart in no time', () => {
  const job = new AJob(1);
  const from = process.cpuUsage();
  for (let i = 0; i < 4500; i++)
    job.signal('1', 'enter', { at: `2026-01-01T00:00:00.${String(i).padStart(9, '0')}-07:00` });
  job.signal('1', 'enter', { at: '2026-01-01T07:00:00.000000007Z' });
  expect(job.status).toMatchObject({ repeated: 1, waiting: 4500 });
  // A workflow has five seconds for all that an activation brings. Of the processor's time, since other tests run beside this one.
  expect(process.cpuUsage(from).user / 1000).toBeLessThan(3000);
});

/** A job that drops what comes late, with an exit at ten o'clock. */
function afterAnExit(more: object = {}): AJob {
  const job = new AJob(5, { definition: { ...jobRecord(5).definition, stale: 'drop' } });
  job.signal('1', 'exit', { at: '2026-01-01T10:00:00.000000005Z', ...more });
  return job;
}

const EARLIER = { at: '2026-01-01T10:00:00.000000004Z' };

test('a change that comes after a newer one of that person and audience is dropped, and counted', () => {
  const job = afterAnExit();
  expect(job.signal('1', 'enter', EARLIER)).toBeUndefined();
  expect(job.dispatchedMessages()).toEqual(['1 exit a']);
  job.end();
  job.signal('1', 'enter', { at: '2026-01-01T10:30:00+01:00' });
  expect(job.status).toMatchObject({ received: 3, staleDropped: 2, delivered: 1, waiting: 0, rejected: 0 });
});

test.each([
  ['at the same instant', '1', { at: '2026-01-01T11:00:00.000000005+01:00' }],
  ['of another audience', '1', { ...EARLIER, audience: 'b' }],
  ['of another person', '2', EARLIER],
  ['without a time', '1', {}],
])('a change %s is sent', (_, user, more) => {
  const job = afterAnExit();
  job.signal(user, 'enter', more);
  expect(job.status).toMatchObject({ waiting: 2 });
  expect(job.status).not.toHaveProperty('staleDropped');
});

test('a job that does not drop what comes late sends it, and remembers nothing for that', () => {
  const job = new AJob(5);
  job.signal('1', 'exit', { at: '2026-01-01T10:00:00.000000005Z' });
  job.signal('1', 'enter', EARLIER);
  expect(job.dispatchedMessages()).toEqual(['1 exit a', '1 enter a']);
  expect(carryJob(job.state)).not.toHaveProperty('newest');
  const edited = afterAnExit();
  edited.edit({ stale: 'send' });
  expect(carryJob(edited.state)).not.toHaveProperty('newest');
});

test('the next run, too, knows the newest change to the nanosecond, and drops older ones', () => {
  const job = afterAnExit();
  job.send();
  const carried = structuredClone(carryJob(job.state));
  expect(carried.newest).toEqual([[expect.stringMatching(/^[0-9a-f]{18}$/), '2026-01-01T10:00:00.000000005Z']]);
  job.state = restoreJob(carried);
  job.signal('1', 'enter', EARLIER);
  job.signal('1', 'enter', { at: '2026-01-01T10:00:00.000000006Z' });
  expect(job.dispatchedMessages()).toEqual(['1 enter a']);
  expect(job.status).toMatchObject({ staleDropped: 1 });
});

test('a change that the job leaves out makes older ones late all the same', () => {
  const job = afterAnExit();
  job.edit({ events: ['enter'] });
  job.signal('2', 'exit', { at: '2026-01-01T10:00:00.000000005Z' });
  job.signal('2', 'enter', EARLIER);
  expect(job.status).toMatchObject({ filtered: 1, staleDropped: 1 });
});

test('a waiting trigger makes older ones late, even if it came before an edit made the job drop late changes', () => {
  const job = new AJob(5);
  job.signal('1', 'exit', { at: '2026-01-01T10:00:00.000000005Z' });
  job.edit({ stale: 'drop' });
  job.signal('1', 'enter', EARLIER);
  expect(job.status).toMatchObject({ waiting: 1, staleDropped: 1 });
  job.edit({ stale: 'send' });
  job.signal('1', 'enter', EARLIER);
  expect(job.status).toMatchObject({ waiting: 2, staleDropped: 1 });
});

test('a dead letter that somebody redelivers is sent, however old it is', () => {
  const job = afterAnExit();
  job.redeliver({ audience: 'a'.repeat(32), event: 'enter', at: '2025-01-01T00:00:00Z', redelivery: 1 });
  expect(job.status).toMatchObject({ waiting: 2 });
  expect(job.dispatchedMessages()).toEqual(['1 exit a', '1 enter a']);
});

test('a member whom a backfill finds is sent, and makes nothing late', () => {
  const job = afterAnExit({ at: '2027-01-01T00:00:00Z' });
  job.send();
  job.backfill(['1', '2']);
  job.dispatch();
  job.signal('2', 'exit', EARLIER);
  job.endAll();
  expect(job.dispatchedMessages()).toEqual(['2 exit a']);
  expect(job.status).toMatchObject({ delivered: 3 });
  expect(job.status).not.toHaveProperty('staleDropped');
});

test(`the last ${REMEMBERED_CHANGES} changes are remembered`, () => {
  const job = afterAnExit();
  job.send();
  for (let i = 1; i < REMEMBERED_CHANGES; i++) job.signal(`other ${i}`);
  job.signal('1', 'enter', EARLIER);
  expect(job.status).toMatchObject({ staleDropped: 1 });
  job.signal('one more');
  job.signal('1', 'enter', EARLIER);
  expect(job.status).toMatchObject({ staleDropped: 1 });
  expect(job.state.newest.size).toBe(REMEMBERED_CHANGES);
});
