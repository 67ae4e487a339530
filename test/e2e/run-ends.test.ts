import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { JobStatus } from '../../src/client/export-jobs.ts';
import { jobWorkflowId } from '../../src/domain/names.ts';
import { Lab } from '../support/lab.ts';

/** So small that a run ends after some signals. */
const SERVER_LIMITS = { payloadBytes: 2 * 1024 * 1024, signalsPerRun: 50, eventsPerRun: 51_200 };

let lab: Lab;
beforeAll(async () => {
  lab = await Lab.open({
    config: { serverLimits: SERVER_LIMITS },
    receiver: { answer: () => ({ status: 429, headers: { 'retry-after': 'Sun, 06 Nov 1994 08:49:37 GMT' } }) },
  });
});
afterAll(async () => lab.close());

/** The status after the next answer. */
async function afterAnother(jobId: string, { lastFailure }: JobStatus): Promise<JobStatus> {
  return lab.statusWhen(
    jobId,
    (status) => status.throttledUntil !== undefined && status.lastFailure?.at !== lastFailure?.at,
  );
}

/** Pauses nothing: the run ends after some signals, and the job goes on. Gives the run that has ended. */
async function untilNextRun(jobId: string): Promise<string> {
  const handle = lab.handle(jobId);
  const { runId } = await handle.describe();
  while ((await handle.describe()).runId === runId) await handle.signal('triggers', []);
  return runId;
}

/** Timers of a run that neither fired nor were cancelled, and how many there were. */
async function timersOf(jobId: string, runId: string): Promise<{ readonly started: number; readonly left: number }> {
  const { events } = await lab.client.workflow.getHandle(jobWorkflowId(jobId), runId).fetchHistory();
  const count = (kind: 'timerStarted' | 'timerFired' | 'timerCanceled'): number =>
    (events ?? []).filter((event) => event[`${kind}EventAttributes`] != null).length;
  const started = count('timerStarted');
  return { started, left: started - count('timerFired') - count('timerCanceled') };
}

test('a run that ends leaves no timer behind: the server would refuse its end if that had just fired', async () => {
  const job = await lab.start();
  await lab.jobs.enter(job, { audience: 'vip', user: 'three', profile: {} });
  await lab.statusWhen(job, ({ throttledUntil }) => throttledUntil !== undefined);
  const continued = await timersOf(job, await untilNextRun(job));
  await afterAnother(job, await lab.jobs.status(job));
  const { runId } = await lab.handle(job).describe();
  await lab.jobs.stop(job, { waiting: 'discard' });
  await lab.handle(job).result();
  for (const { started, left } of [continued, await timersOf(job, runId)]) {
    expect(started).toBeGreaterThan(0);
    expect(left).toBe(0);
  }
});
