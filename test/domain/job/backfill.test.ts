import { expect, test } from '@jest/globals';
import type { MemberPage } from '../../../src/contract/backfill.ts';
import { describeBackfill } from '../../../src/domain/job/describing-backfills.ts';
import { BackfillIntake, READ_AGAIN_AT_ONCE } from '../../../src/domain/job/backfill.ts';

const A = 'a'.repeat(32);
const NOBODY = () => false;

const begin = () => BackfillIntake.begin({ n: 1, audiences: [A], at: '2026-01-01T00:00:00.000000000Z', now: 0 });

function page(number: number, ids: string[], more: Partial<MemberPage> = {}): MemberPage {
  return { subscriptionId: 's', n: 1, number, audience: A, readAt: 0, ids, last: false, ...more };
}

const take = (intake: BackfillIntake, what: MemberPage, isSuperseded: (user: string) => boolean = NOBODY) =>
  intake.take(what, 1, ({ user }) => isSuperseded(user), true);

const status = (intake: BackfillIntake) => describeBackfill(intake, { audiences: [], formerAudiences: [] }, 0);

/** Hands out and delivers what waits. */
function sendAll(intake: BackfillIntake): string[] {
  const users: string[] = [];
  for (let member = intake.shift(undefined, 0); member !== undefined; member = intake.shift(undefined, 0))
    users.push(member.user);
  intake.settled(users.length, 'delivered');
  return users;
}

test('pages are taken in order, once', () => {
  const intake = begin();
  expect(take(intake, page(2, ['x']))).toBe('ignored');
  expect(take(intake, page(1, ['1', '2']))).toBe('taken');
  expect(take(intake, page(1, ['1', '2']))).toBe('ignored');
  expect(take(intake, page(2, ['3'], { last: true }))).toBe('taken');
  expect(sendAll(intake)).toEqual(['1', '2', '3']);
  expect(status(intake)).toMatchObject({ state: 'finished', taken: 3, delivered: 3, waiting: 0 });
});

test('exits of a page are handed out as exits, also by the next run', () => {
  const intake = begin();
  take(intake, page(1, ['in'], { exits: ['out', 'gone'], outdated: 3 }));
  take(intake, page(2, ['in too'], { last: true }), (user) => user === 'in too');
  const carried = intake.carry();
  expect(carried.pages).toEqual([
    { number: 1, audience: A, ids: ['out', 'gone'], isOfExits: true },
    { number: 1, audience: A, ids: ['in'] },
  ]);
  const restored = new BackfillIntake(carried);
  const handed = [1, 2, 3, 4].map(() => restored.shift(undefined, 0));
  expect(handed).toEqual([
    { user: 'out', audience: A, event: 'exit' },
    { user: 'gone', audience: A, event: 'exit' },
    { user: 'in', audience: A, event: 'enter' },
    undefined,
  ]);
  restored.settled(3, 'delivered');
  expect(status(restored)).toMatchObject({ state: 'finished', taken: 7, delivered: 3, superseded: 4 });
});

test('a live trigger replaces an exit that waits, and an edit that removes the audience leaves it out', () => {
  const intake = begin();
  take(intake, page(1, [], { exits: ['out', 'gone'] }));
  intake.supersede('out', A);
  expect(intake.waitingInPages).toBe(1);
  intake.dropAudience(A);
  take(intake, page(2, [], { exits: ['more'], last: true }));
  expect(status(intake)).toMatchObject({ superseded: 1, leftOut: [{ audience: A, members: 1 }] });
  const removed = begin();
  removed.take(page(1, ['in'], { exits: ['out'], last: true }), 1, NOBODY, true, () => true);
  expect(status(removed)).toMatchObject({ state: 'finished', leftOut: [{ audience: A, members: 2 }] });
});

test('nothing comes after the last page', () => {
  const intake = begin();
  take(intake, page(1, ['1'], { last: true }));
  expect(take(intake, page(2, ['2']))).toBe('ignored');
});

test('a page is answered when all of it was handed out', () => {
  const intake = begin();
  take(intake, page(1, ['1', '2']));
  intake.shift(undefined, 0);
  expect(intake.owedAcknowledgement).toBeUndefined();
  intake.shift(undefined, 0);
  expect(intake.owedAcknowledgement).toBe(1);
  intake.acknowledge(1);
  expect(intake.owedAcknowledgement).toBeUndefined();
});

test('an empty page is answered at once, and an empty last page ends the backfill', () => {
  const intake = begin();
  take(intake, page(1, []));
  expect(intake.owedAcknowledgement).toBe(1);
  take(intake, page(2, [], { last: true }));
  expect(intake.state).toBe('finished');
  expect(intake.owedAcknowledgement).toBe(2);
});

test('a person with a live trigger since the page was read is left out', () => {
  const intake = begin();
  take(intake, page(1, ['1', '2', '3'], { last: true }), (user) => user === '2');
  expect(sendAll(intake)).toEqual(['1', '3']);
  expect(status(intake)).toMatchObject({ taken: 3, delivered: 2, superseded: 1 });
});

test('a person with a live trigger while the page waits is left out, too', () => {
  const intake = begin();
  take(intake, page(1, ['1', '2'], { last: true }));
  intake.supersede('1', 'b'.repeat(32));
  intake.supersede('2', A);
  intake.supersede('nobody', A);
  expect(sendAll(intake)).toEqual(['1']);
  expect(status(intake)).toMatchObject({ state: 'finished', superseded: 1 });
});

test('a page that reaches back further than the memory is read again, and after some times waits for calm', () => {
  const intake = begin();
  for (let i = 0; i < READ_AGAIN_AT_ONCE; i++) expect(intake.take(page(1, ['1']), 1, NOBODY, false)).toBe('read-again');
  expect([intake.waitsForCalm, status(intake).notice]).toEqual([false, undefined]);
  intake.take(page(1, ['1']), 1, NOBODY, false);
  expect(intake.waitsForCalm).toBe(true);
  expect(status(intake).notice).toMatch(/waits for calmer traffic/);
  expect(take(intake, page(1, ['1']))).toBe('taken');
  expect(intake.waitsForCalm).toBe(false);
});

test('a cancelled backfill hands out nothing more, and still counts what is on its way', () => {
  const intake = begin();
  take(intake, page(1, ['1', '2']));
  intake.shift(undefined, 0);
  intake.cancel();
  expect([intake.state, intake.shift(undefined, 0), intake.needsChild]).toEqual(['cancelled', undefined, false]);
  expect(take(intake, page(2, ['3']))).toBe('ignored');
  intake.settled(1, 'delivered');
  expect(status(intake)).toMatchObject({ state: 'cancelled', delivered: 1, waiting: 0 });
});

test('a child that is gone after its last page was taken is no loss', () => {
  const intake = begin();
  take(intake, page(1, ['1'], { last: true }));
  intake.lose();
  expect(intake.state).toBe('running');
});

test('a backfill needs its child until the child knows that the last page was taken', () => {
  const intake = begin();
  expect(intake.needsChild).toBe(true);
  take(intake, page(1, ['1'], { last: true }));
  expect(intake.needsChild).toBe(true);
  intake.shift(undefined, 0);
  intake.acknowledge(1);
  expect(intake.needsChild).toBe(false);
});

test('a carried backfill continues where it was', () => {
  const intake = begin();
  take(intake, page(1, ['1', '2', '3']));
  intake.shift(undefined, 0);
  const again = new BackfillIntake(structuredClone(intake.carry()));
  expect(again.carry()).toEqual(intake.carry());
  expect([again.waitingInPages, again.shift(undefined, 0)?.user]).toEqual([2, '2']);
  expect(take(again, page(2, ['4'], { last: true }))).toBe('taken');
});
