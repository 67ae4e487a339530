import { expect, test } from '@jest/globals';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { backfillWorkflowId, jobWorkflowId } from '../../src/domain/names.ts';
import type { Lab } from '../support/lab.ts';
import { labOfTest, NEWS, VIP } from '../support/lab.ts';
import { record, recordings } from '../support/recordings.ts';
import { replay } from '../support/replay.ts';

/** A job that meets about everything once: a backfill, live triggers, retries, garbage, a pause, an edit, a stop. */
async function eventfulJob(lab: Lab): Promise<string> {
  const job = await lab.start({ existingUsers: true });
  await lab.jobs.push(job, [
    { audience: 'vip', user: 'm3', event: 'exit' },
    { audience: 'vip', user: 'flaky', event: 'enter', profile: { id: 9007199254740993n } },
    { audience: 'vip', user: 'flaky', event: 'exit' },
  ]);
  await lab.handle(job).signal('enter', 'garbage');
  await lab.handle(job).signal('nonsense');
  await lab.jobs.pause(job);
  await lab.jobs.enter(job, { audience: 'news', user: 'patient' });
  await lab.jobs.resume(job);
  await lab.jobs.edit(job, { label: 'Edited', parallelRequestCount: 3 });
  await lab.statusWhen(job, ({ waiting, backfill }) => waiting === 0 && backfill?.state === 'finished');
  await lab.jobs.stop(job);
  await lab.handle(job).result();
  return job;
}

test('histories recorded today replay: a job with everything that may happen to it, and its backfill', async () => {
  let fails = 1;
  const members = Array.from({ length: 1100 }, (_, i) => `m${i}`);
  const profiles = Object.fromEntries([...members, 'patient'].map((user) => [user, { user }]));
  const lab = await labOfTest({
    content: {
      audiences: [
        { ...VIP, members },
        { ...NEWS, members: [] },
      ],
      profiles,
    },
    receiver: { answer: ({ message }) => (message?.user === 'flaky' && fails-- > 0 ? { status: 500 } : undefined) },
  });
  const job = await eventfulJob(lab);
  for (const [name, workflowId] of [
    ['export-job', jobWorkflowId(job)],
    ['backfill', backfillWorkflowId(jobWorkflowId(job), 1)],
  ] as const) {
    const history = await lab.client.workflow.getHandle(workflowId).fetchHistory();
    expect(history.events?.length).toBeGreaterThan(10);
    await replay(history, workflowId);
    record('histories', name, historyToJSON(history));
  }
});

test.each(recordings('histories'))('the history $name that $release recorded replays', async ({ text }) => {
  const history: { events: { workflowExecutionStartedEventAttributes?: { workflowId: string } }[] } = JSON.parse(text);
  // A job names its children after itself.
  await replay(history, history.events[0]?.workflowExecutionStartedEventAttributes?.workflowId ?? '');
});
