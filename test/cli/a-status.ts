import type { BackfillStatus, JobStatus } from '../../src/contract/job-status.ts';
import { editableOf, FORM_DEFAULTS } from '../../src/domain/form.ts';

/** A running backfill that has done nothing yet, with some of it changed. */
export function aBackfill(changed: Partial<BackfillStatus> = {}): BackfillStatus {
  return {
    n: 1,
    state: 'running',
    at: '2026-11-25T11:00:00Z',
    audiences: ['vip'],
    taken: 0,
    delivered: 0,
    superseded: 0,
    deadLetters: 0,
    waiting: 0,
    ratePerSecond: 0,
    ...changed,
  };
}

/** The status of a job that does well, with some of it changed. */
export function aStatus(changed: Partial<JobStatus> = {}): JobStatus {
  return {
    v: 1,
    jobId: 'vip-to-crm',
    subscriptionId: '36e243f8fd8f4530bbd330fa7fb1a685',
    state: 'running',
    ...editableOf(FORM_DEFAULTS),
    label: 'VIP to CRM',
    audiences: [{ id: '42976a269a5e6b9d06c681b1c27292df', slug: 'vip', name: 'VIP' }],
    webhookUrl: 'https://example.com/hook',
    authorization: null,
    parallelRequestCount: 20,
    revision: 0,
    received: 12_345,
    delivered: 12_300,
    ratePerSecond: { oneMinute: 0, fiveMinutes: 0 },
    retried: 0,
    rejected: 0,
    repeated: 0,
    deadLetters: 0,
    waits: {},
    overflow: 0,
    waiting: 45,
    delayed: 0,
    inFlight: 3,
    rejects: [],
    notices: [],
    stateBytes: 1000,
    stateBudgetBytes: 1_000_000,
    ...changed,
  };
}
