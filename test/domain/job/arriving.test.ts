import { expect, test } from '@jest/globals';
import type { TriggerEvent } from '../../../src/contract/trigger.ts';
import { beginBackfill, stopJob } from '../../../src/domain/job/operating.ts';
import { recoverJob } from '../../../src/client/jobs/recovering.ts';
import { carryJob } from '../../../src/domain/job/carrying.ts';
import { AJob } from './a-job.ts';
import { jobRecord } from './a-record.ts';

const DEAD = { audience: 'a'.repeat(32), event: 'enter', at: '2026-01-01T00:00:00Z', redelivery: 1 };
const asking = (question: number, runId = 'a run') => ({ workflowId: 'dead-letter-1', runId, question });

/** What dead letters are told, once the job has done all there is to do. */
function answersOf(job: AJob): string[] {
  job.dispatch();
  return job.answered.map(
    ({ workflowId, answer: { question, refusal = 'taken' } }) => `${workflowId} ${question} ${refusal}`,
  );
}

test('a dead letter that asks hears that it was taken', () => {
  const job = new AJob(1);
  job.redeliver(DEAD);
  expect(job.status).toMatchObject({ waiting: 1, rejected: 0 });
  expect(answersOf(job)).toEqual(['dead-letter-1 1 taken']);
});

test('a dead letter that asks again gets the same answer, and is not sent twice, also by a later run', () => {
  const job = new AJob(5);
  job.redeliver(DEAD);
  job.redeliver(DEAD, { asking: asking(2) });
  expect(job.status.waiting).toBe(1);
  job.send();
  job.nextRun();
  job.redeliver(DEAD, { asking: asking(3) });
  // The same trigger, signalled anew, died anew: a decision of its own.
  job.redeliver(DEAD, { asking: asking(1, 'another run') });
  expect(answersOf(job)).toEqual([1, 2, 3, 1].map((question) => `dead-letter-1 ${question} taken`));
  expect(job.running).toMatchObject([{ triggers: [{ redelivery: 1 }] }]);
});

test('a dead letter of an earlier job with this id is refused as such, and cannot be forced', () => {
  const job = new AJob(1);
  const subscriptionId = '6'.repeat(32);
  for (const force of [false, true]) job.redeliver(DEAD, { subscriptionId, force });
  expect(answersOf(job)).toEqual(Array(2).fill('dead-letter-1 1 other-subscription'));
  expect(job.status).toMatchObject({ waiting: 0, rejected: 2 });
});

test('a dead letter about a former audience of the job is taken only when forced', () => {
  const job = new AJob(1);
  const former = { ...DEAD, audience: 'f'.repeat(32) };
  job.redeliver(former, { force: 'yes' });
  expect(job.status).toMatchObject({ waiting: 0, rejected: 0 });
  job.redeliver(former, { asking: asking(2), force: true });
  expect(answersOf(job)).toEqual(['dead-letter-1 1 audience-left', 'dead-letter-1 2 taken']);
});

test('a job that discards its triggers takes no dead letter, which outlives it', () => {
  const job = new AJob(1);
  job.dispatchEach(['busy']);
  stopJob(job.state, 'discard');
  job.redeliver(DEAD);
  expect(job.step()).toEqual({ kind: 'wait' });
  expect(job.answered).toMatchObject([{ answer: { refusal: 'discarding' } }]);
});

test('a dead letter that was discarded meanwhile is not taken; one taken before hears so', () => {
  const job = new AJob(1);
  job.redeliver(DEAD, { isWithdrawn: true });
  expect(job.status.waiting).toBe(0);
  job.redeliver(DEAD, { asking: asking(2) });
  job.redeliver(DEAD, { asking: asking(3), isWithdrawn: true });
  expect(answersOf(job)).toEqual(['dead-letter-1 1 withdrawn', 'dead-letter-1 2 taken', 'dead-letter-1 3 taken']);
  expect(job.running).toMatchObject([{ triggers: [{ redelivery: 1 }] }]);
});

test('a dead letter that the job cannot read hears so', () => {
  const job = new AJob(1);
  job.redeliver({ ...DEAD, at: 5 });
  expect(answersOf(job)).toEqual(['dead-letter-1 1 unreadable']);
});

test.each([
  undefined,
  null,
  'dead-letter-1',
  {},
  { ...asking(0) },
  { ...asking(1), runId: '' },
  { ...asking(1), workflowId: 7 },
])('a question by %j names no dead letter, and is rejected', (who) => {
  const job = new AJob(1);
  expect(job.redeliver(DEAD, { asking: who })).toContain('"asking" must name the workflow of a dead letter');
  expect(answersOf(job)).toEqual([]);
  expect(job.status).toMatchObject({ waiting: 0, rejected: 1 });
});

test('no run ends before every dead letter that asked has its answer', () => {
  const job = new AJob(1);
  stopJob(job.state, 'keep');
  job.redeliver(DEAD);
  const step = job.rawStep();
  expect(step).toMatchObject({ kind: 'answer-letters' });
  job.redeliver(DEAD, { asking: asking(2) });
  // One step at a time; while it is under way the workflow is busy.
  job.facts({ busy: true, continueSuggested: true, signals: 10_000 });
  expect(job.rawStep()).toMatchObject({ kind: 'wait' });
});

/** A job that sends these events. */
function sending(events: readonly TriggerEvent[]): AJob {
  return new AJob(1, { definition: { ...jobRecord(1).definition, events } });
}

test('a job counts triggers that it does not send as filtered, and sends the others in order', () => {
  const job = sending(['exit']);
  const accepted = (['enter', 'exit', 'enter', 'exit'] as const).map((event, n) =>
    job.signal('1', event, { at: `2026-01-01T00:00:0${n}Z` }),
  );
  expect(accepted).toEqual(Array(4).fill(undefined));
  expect(job.status).toMatchObject({ received: 4, filtered: 2, rejected: 0, waiting: 2 });
  const sent = job.dispatch().flatMap(({ triggers }) => triggers.map(({ event, at }) => `${event} ${at}`));
  expect(sent).toEqual(['exit 2026-01-01T00:00:01Z', 'exit 2026-01-01T00:00:03Z']);
  expect(new AJob(1).status).not.toHaveProperty('filtered');
});

test('a member who leaves is not sent by a backfill, also where exits are left out', () => {
  const job = sending(['enter']);
  beginBackfill(job.state, ['a'.repeat(32)], job.now);
  job.signal('early', 'exit');
  job.page(1, ['early', 'late', 'stays'], { readAt: job.now });
  job.signal('late', 'exit');
  const sent = job.dispatch().flatMap(({ triggers }) => triggers.map(({ user }) => user));
  expect(sent).toEqual(['stays']);
  expect(job.status).toMatchObject({ filtered: 2, backfill: { superseded: 2 } });
});

test('an edit that leaves out an event drops neither triggers accepted before nor redelivered dead letters', () => {
  const job = new AJob(1);
  job.signal('1', 'exit');
  job.edit({ events: ['enter'] });
  job.redeliver({ ...DEAD, event: 'exit' });
  expect(job.status).toMatchObject({ waiting: 2 });
});

test('a recovered job leaves out dead letters that the ended run had not taken, since these ask again', () => {
  const job = new AJob(1);
  const raw = { subscriptionId: job.state.job.subscriptionId, asking: asking(1), user: '1', trigger: DEAD };
  const arrivals = [{ arrival: { kind: 'redelivery' as const, raw }, at: job.now }];
  job.state = recoverJob({ carried: carryJob(job.state), ends: [], arrivals }, false, job.now);
  expect(job.status.waiting).toBe(0);
});
