import { expect, test } from '@jest/globals';
import { refuseEdit } from '../../../src/domain/job/operating.ts';
import { carriedBytes, carryJob } from '../../../src/domain/job/carrying.ts';
import { AJob } from './a-job.ts';
import { jobRecord } from './a-record.ts';

test('the reason why an edit did not take effect is kept as it is, unless it is long', () => {
  const job = new AJob(1);
  refuseEdit(job.state, 'label: must not be empty.');
  expect(job.status.notices).toEqual(['The last edit did not take effect: label: must not be empty.']);
  refuseEdit(job.state, 'x'.repeat(3_000_000));
  expect(job.status.notices[0]?.length).toBeLessThan(1100);
  expect(JSON.stringify(carryJob(job.state)).length).toBeLessThan(10_000);
});

test.each([1000, 4000])(
  'after %i signals, a state that the server would refuse is not carried, however small its estimate is',
  (signals) => {
    const job = new AJob(1);
    // Nothing that the estimate knows of.
    job.state.editProblem = 'x'.repeat(job.state.budgets.carryBytes);
    job.facts({ signals });
    expect(job.status.stateBytes).toBeLessThan(20_000);
    expect(job.step().kind).toBe('wait');
    job.signal('1');
    expect(job.step().kind).toBe('deliver');
    job.end();
    job.state.editProblem = undefined;
    expect(job.step()).toEqual({ kind: 'continue-as-new' });
  },
);

test.each([16, 64, 128, 2048])(
  'under a payload limit of %i KiB a backfill gets on, however many live triggers come meanwhile',
  (kib) => {
    const serverLimits = { payloadBytes: kib * 1024, signalsPerRun: 10_000, eventsPerRun: 51_200 };
    // It remembers all that a job can.
    const job = new AJob(1, { serverLimits, definition: { ...jobRecord(1).definition, stale: 'drop' } });
    job.backfill([], { last: false });
    expect([job.step().kind, job.step().kind]).toEqual(['start-backfill', 'answer-page']);
    // All are delivered, but remembered while pages are to come.
    for (let i = 0; i < 5000; i++) {
      job.signal(`person ${i}`);
      job.send();
    }
    job.now += 60_000;
    job.page(2, [], { last: false });
    expect(job.step()).toEqual({ kind: 'answer-page', answer: { n: 1, number: 2 } });
    expect(job.status.notices).toEqual([]);
    expect(carriedBytes(carryJob(job.state))).toBeLessThan(job.status.stateBytes);
    expect(job.status.stateBytes).toBeLessThan(job.status.stateBudgetBytes);
    expect(job.facts({ signals: 1000 }).step()).toEqual({ kind: 'continue-as-new' });
  },
);
