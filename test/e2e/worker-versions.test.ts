import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { missingFrom, violationsIn } from '../../demo/expected-triggers.ts';
import type { EventTrigger } from '../../src/contract/trigger.ts';
import { backfillWorkflowId, jobWorkflowId } from '../../src/domain/names.ts';
import { watchWorkflowId } from '../../src/features/watch/sandbox/ports.ts';
import { Deployment } from '../support/deployment.ts';
import { Lab, NEWS, VIP } from '../support/lab.ts';
import { tempFolder } from '../support/temp-folder.ts';

type Sent = EventTrigger & { readonly at: string };

/** So small that a job overflows into holders after some dozens of triggers. */
const SERVER_LIMITS = { payloadBytes: 128 * 1024, signalsPerRun: 10_000, eventsPerRun: 51_200 };

/** Changes of people's memberships, of each person one after another. */
function changes(count: number): Sent[] {
  return Array.from({ length: count }, (_, i) => ({
    audience: 'vip',
    user: `live ${i % 20}`,
    event: Math.floor(i / 20) % 2 === 0 ? ('enter' as const) : ('exit' as const),
    at: `2026-01-01T00:00:00.${String(i).padStart(9, '0')}Z`,
    profile: { text: 'x'.repeat(300) },
  }));
}

async function pushInParts(lab: Lab, job: string, triggers: readonly Sent[]): Promise<void> {
  for (let i = 0; i < triggers.length; i += 10) await lab.jobs.push(job, triggers.slice(i, i + 10));
}

test.concurrent(
  'a new build takes over jobs and all beside them, in order and once, and drains the old one',
  async () => {
    const folder = tempFolder();
    const members = Array.from({ length: 400 }, (_, i) => `member ${i}`);
    let isRefusing = true;
    const watched = { id: randomUUID().replaceAll('-', ''), slug: 'watched', name: 'Watched' };
    const lab = await Lab.open({
      workers: 0,
      config: { watch: { folder }, serverLimits: SERVER_LIMITS },
      content: {
        audiences: [
          { ...VIP, members },
          { ...NEWS, members: [] },
          { ...watched, members: ['w1'] },
        ],
        profiles: Object.fromEntries([...members, 'w1', 'w2'].map((user) => [user, { user }])),
      },
      receiver: { answer: ({ message }) => ({ status: isRefusing && message?.user === 'refused' ? 422 : 200 }) },
    });
    const deployment = new Deployment(lab.client);
    const { watches } = lab.jobs;
    try {
      const old = await lab.addWorker(deployment.build('old'));
      await deployment.makeCurrent('old');
      const busy = await lab.start({ existingUsers: true, audiences: ['vip'], backfillPerSecond: 5 });
      const paused = await lab.start();
      await lab.jobs.pause(paused);
      const kept = await lab.start();
      await lab.jobs.pause(kept);
      const watching = await lab.start({ audiences: [watched.id] });
      await watches.start([watched.id], { everyMs: 1_000 });

      const waiting = changes(200).map((trigger) => ({ ...trigger, user: `waiting ${trigger.user}` }));
      await pushInParts(lab, paused, waiting);
      expect((await lab.statusWhen(paused, (status) => status.waiting === 200)).overflow).toBeGreaterThan(0);
      await lab.jobs.enter(kept, { audience: 'vip', user: 'kept', profile: {} });
      await lab.jobs.stop(kept, { waiting: 'keep' });
      await lab.statusWhen(kept, ({ state }) => state === 'stopped');
      await lab.jobs.enter(busy, { audience: 'vip', user: 'refused', profile: {} });
      await lab.statusWhen(busy, ({ deadLetters }) => deadLetters === 1);
      const live = changes(120);
      await pushInParts(lab, busy, live.slice(0, 40));
      const child = backfillWorkflowId(jobWorkflowId(busy), 1);
      const pinned = [
        jobWorkflowId(busy),
        jobWorkflowId(paused),
        jobWorkflowId(watching),
        watchWorkflowId(watched.id),
        child,
      ];
      expect(await Promise.all(pinned.map((id) => deployment.buildOf(id)))).toEqual(pinned.map(() => 'old'));

      await lab.addWorker(deployment.build('new'));
      await deployment.makeCurrent('new');
      await pushInParts(lab, busy, live.slice(40, 80));
      await deployment.untilDrained('old', [lab.handle(paused), lab.handle(kept), lab.handle(watching)]);
      await lab.shutdown(old);
      expect((await lab.jobs.status(busy)).backfill?.state).toBe('running');
      await lab.jobs.edit(busy, { backfillPerSecond: null });

      await pushInParts(lab, busy, live.slice(80));
      await lab.jobs.resume(paused);
      await lab.jobs.resume(kept);
      isRefusing = false;
      await lab.jobs.deadLetters.redeliver({ jobId: busy }, { force: true });
      lab.source.enter(watched.id, 'w2');
      for (const user of ['kept', 'refused', 'w2']) await lab.arrives(user);
      await deployment.untilPinned('new', lab.handle(kept));
      await lab.statusWhen(paused, (status) => status.waiting === 0);
      // On a busy machine a page may have to be read again after a minute: these jobs remember but few arrivals.
      await lab.statusWhen(busy, (status) => status.waiting === 0 && status.backfill?.state === 'finished');
      for (const expected of [live, waiting]) {
        expect(violationsIn(lab.receiver.ledger, expected)).toEqual([]);
        expect(missingFrom(lab.receiver.ledger, expected)).toEqual([]);
      }
      expect(lab.receiver.ledger.summary()).toMatchObject({ duplicates: 0, overlaps: 0 });
    } finally {
      await watches.stop(watched.id).catch(() => undefined);
      await lab.close();
    }
  },
);

/** A job that tells of one more person after the other. */
async function tells(lab: Lab, job: string, user: string): Promise<void> {
  await lab.jobs.enter(job, { audience: 'vip', user, profile: {} });
  await lab.arrives(user);
}

test.concurrent('a rollback takes jobs back to the old build, with what is waiting', async () => {
  const lab = await Lab.open({ workers: 0 });
  const deployment = new Deployment(lab.client);
  try {
    await lab.addWorker(deployment.build('old'));
    const bad = await lab.addWorker(deployment.build('new'));
    await deployment.makeCurrent('old');
    const [job, paused] = [await lab.start(), await lab.start()];
    const jobs = [lab.handle(job), lab.handle(paused)];
    await lab.jobs.pause(paused);
    await deployment.makeCurrent('new');
    await deployment.untilDrained('old', jobs);
    await lab.jobs.enter(paused, { audience: 'vip', user: 'waiting', profile: {} });
    await tells(lab, job, 'by the new one');
    await deployment.makeCurrent('old');
    await deployment.untilDrained('new', jobs);
    await lab.shutdown(bad);
    await tells(lab, job, 'by the old one');
    await lab.jobs.resume(paused);
    await lab.arrives('waiting');
    await lab.receiver.ledger.waitFor(({ delivered }) => delivered === 3);
  } finally {
    await lab.close();
  }
});

test.concurrent('jobs go over from unversioned workers to a build, and back', async () => {
  const lab = await Lab.open();
  const deployment = new Deployment(lab.client);
  try {
    const job = await lab.start();
    await tells(lab, job, 'before');
    await lab.addWorker(deployment.build('first'));
    // Until it is current, a versioned worker is given nothing.
    await tells(lab, job, 'meanwhile');
    expect(await deployment.buildOf(jobWorkflowId(job))).toBeUndefined();
    await deployment.makeCurrent('first');
    await deployment.untilPinned('first', lab.handle(job));
    await tells(lab, job, 'by a build');
    await deployment.makeCurrent('');
    await deployment.untilDrained('first', [lab.handle(job)]);
    await tells(lab, job, 'and back');
    expect(await deployment.buildOf(jobWorkflowId(job))).toBeUndefined();
    await lab.receiver.ledger.waitFor(({ delivered }) => delivered === 4);
  } finally {
    await lab.close();
  }
});

test.concurrent(
  'a job whose build is gone continues when freed from it; a terminated one needs a worker of its build',
  async () => {
    const lab = await Lab.open({ workers: 0, config: { requestTimeoutMs: 1000 } });
    const deployment = new Deployment(lab.client);
    try {
      const gone = await lab.addWorker(deployment.build('gone'));
      await deployment.makeCurrent('gone');
      const [job, terminated] = [await lab.start(), await lab.start()];
      await lab.jobs.pause(terminated);
      await lab.jobs.enter(terminated, { audience: 'vip', user: 'terminated', profile: {} });
      await lab.statusWhen(terminated, ({ waiting }) => waiting === 1);
      await lab.shutdown(gone);
      await lab.addWorker(deployment.build('new'));
      await deployment.makeCurrent('new');
      await lab.jobs.enter(job, { audience: 'vip', user: 'waits', profile: {} });
      await lab.handle(terminated).terminate();
      await deployment.free(jobWorkflowId(job));
      await lab.arrives('waits');
      // What has ended cannot be freed: its own build says what it came to.
      await lab.addWorker(deployment.build('gone'));
      await lab.jobs.recover(terminated);
      expect(await deployment.buildOf(jobWorkflowId(terminated))).toBe('new');
      await lab.jobs.resume(terminated);
      await lab.arrives('terminated');
      await lab.receiver.ledger.waitFor(({ delivered }) => delivered === 2);
    } finally {
      await lab.close();
    }
  },
);
