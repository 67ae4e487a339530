import { expect, test } from '@jest/globals';
import type { MemberPage } from '../../../src/contract/backfill.ts';
import {
  backfillChildGone,
  backfillObstacle,
  beginBackfill,
  cancelBackfill,
  missBackfill,
  operateBackfill,
  stopJob,
} from '../../../src/domain/job/operating.ts';
import { AJob } from './a-job.ts';
import { AUDIENCES } from './a-record.ts';

const [A, B] = AUDIENCES as [(typeof AUDIENCES)[0], (typeof AUDIENCES)[0]]; // The model has two audiences.

/** A job whose first backfill is over but for one member, who failed and waits. */
function failedMember(): AJob {
  const job = new AJob(1);
  job.backfill(['failing', 'fine']);
  for (job.dispatch(); job.running.length > 0; job.dispatch()) {
    const index = job.running[0]?.triggers.findIndex(({ user }) => user === 'failing') ?? -1;
    job.end(index < 0 ? {} : { [index]: { status: 500 } });
  }
  expect(job.status.backfill).toMatchObject({ n: 1, delivered: 1, waiting: 1 });
  return job;
}

test('a member whose message failed does not stand in the way of the next backfill', () => {
  const job = failedMember();
  expect(backfillObstacle(job.state)).toBeUndefined();
  job.backfill(['other']);
  expect(job.status.backfill).toMatchObject({ n: 2, taken: 1, waiting: 1 });
});

test('no other backfill begins while members are still to be read or sent', () => {
  const job = new AJob(1);
  job.backfill(['1'], { last: false });
  job.send();
  expect(backfillObstacle(job.state)).toMatch(/still running/);
  job.page(2, ['2'], { last: true });
  expect(backfillObstacle(job.state)).toMatch(/still running/);
  job.dispatch();
  expect(backfillObstacle(job.state)).toBeUndefined();
});

test('a live trigger that replaces an enter of an earlier backfill does not change the counts of the present one', () => {
  const job = failedMember();
  job.backfill(['other'], { last: false });
  job.signal('failing', 'exit');
  expect(job.status.backfill).toMatchObject({ n: 2, state: 'running', superseded: 0, waiting: 1 });
});

test('delivering an enter of an earlier backfill does not change the counts of the present one', () => {
  const job = failedMember();
  job.backfill([], { last: false });
  job.now += 24 * 60 * 60 * 1000;
  expect(job.step()).toMatchObject({ kind: 'start-backfill' });
  expect(job.dispatchedMessages()).toEqual(['failing enter a']);
  job.end();
  expect(job.status).toMatchObject({ delivered: 2, backfill: { n: 2, delivered: 0, waiting: 0 } });
});

test('discarding members of an earlier backfill does not change the counts of the present one', () => {
  const job = failedMember();
  job.backfill(['other'], { last: false });
  job.step();
  expect(job.dispatchedMessages()).toEqual(['other enter a']);
  stopJob(job.state, 'discard');
  job.step();
  expect(job.status.backfill).toMatchObject({ n: 2, waiting: 1 });
});

test('a job acknowledges no page while its state is over budget, with spills under way', () => {
  const job = new AJob(1);
  job.backfill([], { last: false });
  for (let i = 0; i < 80; i++) job.signal(`person ${i}`, 'enter', { profile: { text: 'x'.repeat(60_000) } });
  const underWay: number[] = [];
  let step = job.rawStep();
  for (; step.kind !== 'wait'; step = job.rawStep()) {
    expect(step.kind).not.toBe('answer-page');
    if (step.kind === 'spill') underWay.push(step.number);
  }
  expect(job.status.stateBytes).toBeGreaterThan(job.status.stateBudgetBytes);
  for (const number of underWay) job.state.overflow.confirm(number);
  expect(job.status.stateBytes).toBeLessThanOrEqual(job.status.stateBudgetBytes);
  expect(job.step()).toEqual({ kind: 'answer-page', answer: { n: 1, number: 1 } });
});

test.each([
  ['another subscription', { subscriptionId: '6'.repeat(32) }],
  ['a backfill that is not ours', { n: 7 }],
])('a page of %s is answered with gone, once, and its members are none of ours', (_, more) => {
  const job = new AJob(1);
  job.backfill([], { last: false });
  expect([job.step().kind, job.step().kind]).toEqual(['start-backfill', 'answer-page']);
  job.page(2, ['1'], more);
  const { n = 1 } = more as { n?: number };
  expect(job.step()).toEqual({ kind: 'answer-page', answer: { n, number: 2, gone: true } });
  expect(job.step().kind).toBe('wait');
  expect(job.status.backfill).toMatchObject({ taken: 0, waiting: 0 });
});

test('a page that comes to a job without a backfill is answered with gone', () => {
  const job = new AJob(1);
  job.page(3, ['1'], { n: 1 });
  expect(job.step()).toEqual({ kind: 'answer-page', answer: { n: 1, number: 3, gone: true } });
});

test.each(['cancelled', 'lost'] as const)('a page of a backfill that is %s is answered with gone', (end) => {
  const job = new AJob(1);
  job.backfill(['1'], { last: false });
  job.dispatch();
  if (end === 'cancelled') cancelBackfill(job.state);
  else backfillChildGone(job.state, 1);
  if (end === 'cancelled') expect(job.step()).toEqual({ kind: 'cancel-backfill', n: 1 });
  job.page(2, ['2']);
  expect(job.step()).toEqual({ kind: 'answer-page', answer: { n: 1, number: 2, gone: true } });
  expect(job.status).toMatchObject({ waiting: 1, backfill: { state: end, taken: 1 } });
});

test('a page of a finished backfill is acknowledged again, and its child is not sent away unmatched', () => {
  const job = new AJob(1);
  job.backfill(['1']);
  job.send();
  job.page(1, ['1']);
  expect(job.step()).toEqual({ kind: 'answer-page', answer: { n: 1, number: 1 } });
  expect(job.step().kind).toBe('wait');
});

/** Members of audience a that an edit left out. */
const leftOut = (members: number) => [{ audience: 'a', members }];

/** An edit that leaves only audience b. */
function takeOutA(job: AJob): void {
  job.edit({}, { audiences: [B], formerAudiences: [A] });
}

test('an edit that takes an audience out drops its members that wait, and those of later pages', () => {
  const job = new AJob(1);
  beginBackfill(job.state, [A.id, B.id], job.now);
  job.page(1, ['1', '2'], { last: false });
  job.page(2, ['3'], { last: false, audience: B.id });
  takeOutA(job);
  expect(job.status.backfill).toMatchObject({ taken: 3, superseded: 0, leftOut: leftOut(2), waiting: 1 });
  job.page(3, ['4', '5'], { last: true });
  expect(job.status.backfill).toMatchObject({ taken: 5, superseded: 0, leftOut: leftOut(4), waiting: 1 });
  expect(job.dispatchedMessages()).toEqual(['3 enter b']);
  job.end();
  const { backfill } = job.status;
  expect(backfill).toMatchObject({ state: 'finished', delivered: 1, superseded: 0, leftOut: leftOut(4), waiting: 0 });
  expect(backfill?.notice).toBe(
    'While backfill 1 ran, an edit removed a: 4 members were left out. The job no longer subscribes to it.',
  );
});

test('an audience that returns during a backfill is reported as incomplete, with what is missing and how to send it', () => {
  const job = new AJob(1);
  beginBackfill(job.state, [A.id], job.now);
  job.page(1, ['1'], { last: false });
  takeOutA(job);
  job.edit({}, { audiences: AUDIENCES, formerAudiences: [] });
  job.nextRun();
  job.page(2, ['2']);
  expect(job.dispatchedMessages()).toEqual(['2 enter a']);
  job.end();
  job.dispatch();
  const notice =
    'While backfill 1 ran, an edit removed a: 1 member was left out. To send everybody who is in it now, start a backfill of a.';
  expect(job.status.backfill).toMatchObject({ state: 'finished', delivered: 1, leftOut: leftOut(1), notice });
  expect(job.alerts.at(-1)).toMatchObject({
    kind: 'backfill-finished',
    text: `Backfill 1 is finished: 1 person was sent. ${notice}`,
  });
});

test('live triggers that wait are still sent though their audience is taken out', () => {
  const job = new AJob(1);
  job.backfill(['1']);
  job.signal('2', 'exit');
  takeOutA(job);
  expect(job.dispatch().flatMap(({ triggers }) => triggers)).toMatchObject([
    { user: '2', event: 'exit', audience: A.id },
  ]);
  expect(job.status.backfill).toMatchObject({ state: 'finished', leftOut: leftOut(1), waiting: 0 });
});

test('a backfill does not count members dropped by a stop with discard as waiting', () => {
  const job = new AJob(2);
  job.backfill(['1', '2', '3']);
  job.fail({ status: 500 });
  expect(job.status.backfill?.waiting).toBeGreaterThan(0);
  stopJob(job.state, 'discard');
  job.step();
  expect(job.status).toMatchObject({ waiting: 0, backfill: { waiting: 0 } });
});

test('a stop that delivers may still change to discard', () => {
  const job = new AJob(1).signals('1');
  stopJob(job.state, 'deliver');
  stopJob(job.state, 'discard');
  expect(job.step()).toEqual({ kind: 'finish' });
});

test('a member that the source shows on two pages, or twice, is sent once', () => {
  const job = new AJob(1);
  job.backfill(['1', '2'], { last: false });
  job.page(2, ['2', '3', '3'], { last: false });
  const sent = job.dispatchedMessages();
  job.page(3, ['1', '4']);
  job.endAll();
  expect([...sent, ...job.sendAll()]).toEqual(['1 enter a', '2 enter a', '3 enter a', '4 enter a']);
  expect(job.status.backfill).toMatchObject({ state: 'finished', delivered: 4, superseded: 3, taken: 7 });
});

/** A job whose backfill lost its child after a page of two. */
function lostBackfill(more: Partial<MemberPage> = {}): AJob {
  const job = new AJob(1);
  job.backfill(['1', '2'], { last: false, expected: 4, ...more });
  expect(job.step().kind).toBe('start-backfill');
  backfillChildGone(job.state, 1);
  return job;
}

test('a lost backfill shows in the state of the job, and no other begins before a person has decided', () => {
  const job = lostBackfill();
  expect(job.status).toMatchObject({
    state: 'running',
    reason: expect.stringMatching(/^Backfill 1 was lost after 2 of 4 members were read.*A person has to decide/),
    backfill: { state: 'lost', waiting: 2 },
  });
  expect(backfillObstacle(job.state)).toMatch(/Resume it .* cancel it/);
  expect(operateBackfill(job.state, 'pause')).toMatch(/Resume it/);
  expect(job.dispatchedMessages()).toEqual(['1 enter a', '2 enter a']);
});

test('a lost backfill goes on where it was: nobody is sent twice, and nobody is missed', () => {
  const job = lostBackfill({ next: { page: 2, audience: 0, after: '2' } });
  expect(operateBackfill(job.state, 'resume')).toBeUndefined();
  expect(job.step()).toMatchObject({
    kind: 'start-backfill',
    n: 1,
    from: { page: 2, audience: 0, after: '2' },
    restarts: 1,
  });
  job.page(2, ['of the child before']);
  job.page(2, ['3', '4'], { restarts: 1 });
  expect(job.sendAll()).toEqual(['1 enter a', '2 enter a', '3 enter a', '4 enter a']);
  expect(job.status).toMatchObject({ state: 'running', backfill: { state: 'finished', taken: 4, delivered: 4 } });
  expect(job.status).not.toHaveProperty('reason');
});

test('a lost backfill that is given up sends nobody further, and another may begin', () => {
  const job = lostBackfill();
  expect(operateBackfill(job.state, 'cancel')).toBeUndefined();
  expect(job.status.backfill).toMatchObject({ state: 'cancelled', waiting: 0 });
  expect(job.dispatchedMessages()).toEqual([]);
  expect(backfillObstacle(job.state)).toBeUndefined();
});

test('a child that is gone after its last page is no loss: the members that were read are sent', () => {
  const job = lostBackfill({ last: true });
  expect(job.dispatchedMessages()).toEqual(['1 enter a', '2 enter a']);
  job.end();
  expect(job.status.backfill).toMatchObject({ state: 'finished', delivered: 2 });
});

test('a child that could not be signalled is looked for at once', () => {
  const job = new AJob(1);
  job.backfill(['1'], { last: false });
  job.dispatch();
  missBackfill(job.state, 1);
  expect(job.step()).toEqual({ kind: 'look-for-backfill', n: 1 });
});

test('a child that will not send a missing page again is replaced by one that begins with that page', () => {
  const job = new AJob(1);
  job.backfill(['1'], { last: false });
  job.dispatch();
  // As after a reset of the workflow without its signals.
  job.page(3, ['3']);
  expect(job.step()).toMatchObject({ kind: 'start-backfill', n: 1, restarts: 1 });
  expect(job.status.backfill).toMatchObject({ state: 'running', taken: 1 });
  job.page(2, ['2'], { last: false, restarts: 1 });
  job.page(3, ['3'], { restarts: 1 });
  expect(job.status.backfill).toMatchObject({ taken: 3 });
});
