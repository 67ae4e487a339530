import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { GRPC, grpcCode } from '../src/client/calls/server-errors.ts';
import { Keepsakes } from './keepsakes.ts';
import { findRelease, type Release, ROOT } from './release-build.ts';
import type { Stage } from './stage.ts';

/** How an installation moves between two releases while it works. */
export interface Upgrade {
  readonly workers: number;
  /** Which release a worker starts with. */
  readonly releaseOf: (place: number) => Release;
  /** Before any job is started. */
  readonly begin?: (stage: Stage) => Promise<void>;
  /** One after another, each when so much of the work is done. */
  readonly moves: readonly Move[];
}

interface Move {
  readonly at: number;
  readonly words: string;
  readonly run: (stage: Stage, keepsakes: Keepsakes) => Promise<void>;
}

const LOOK_MS = 50;
const AGAIN_MS = 500;
const DEPLOYMENT = 'chaos';

/** @throws ReleaseNotFound */
export async function planUpgrade(from: string, isVersioned: boolean, say: (text: string) => void): Promise<Upgrade> {
  const versionOf = (buildId: string) => (isVersioned ? { deployment: { name: DEPLOYMENT, buildId } } : {});
  const older = { ...(await findRelease(from, say)), config: versionOf('older') };
  const newer = { lib: join(ROOT, 'lib'), config: versionOf('newer') };
  return isVersioned ? versioned(older, newer) : unversioned(older, newer);
}

const CHANGED: Move = {
  at: 0,
  words: 'a message has ended its workers twice, and waits, as it did not before 0.2.0',
  run: (_, keepsakes) => keepsakes.poison(),
};
const TOLD: Move = {
  at: 0,
  words: 'the same job has more to send',
  run: (_, keepsakes) => keepsakes.tellPoisoned(),
};

/** Without versions: half forward, forward, half back, back, forward. */
function unversioned(older: Release, newer: Release): Upgrade {
  const rolled = (places: readonly number[], release: Release) => (stage: Stage) => stage.fleet.roll(places, release);
  return {
    workers: 3,
    releaseOf: () => older,
    moves: [
      { at: 0.15, words: 'one of three workers is new', run: rolled([0], newer) },
      { at: 0.3, words: 'all workers are new', run: rolled([1, 2], newer) },
      CHANGED,
      { at: 0.5, words: 'two of three workers are old again', run: rolled([0, 1], older) },
      { at: 0.65, words: 'all workers are old again', run: rolled([2], older) },
      TOLD,
      { at: 0.8, words: 'all workers are new again', run: rolled([0, 1, 2], newer) },
    ],
  };
}

/** With versions, two workers of each run all the time: half forward, forward, back, forward. */
function versioned(older: Release, newer: Release): Upgrade {
  return {
    workers: 4,
    releaseOf: (place) => (place < 2 ? older : newer),
    begin: current('older'),
    moves: [
      { at: 0.2, words: 'half of the jobs go to the new build', run: ramping('newer', 50) },
      { at: 0.4, words: 'the new build is current', run: current('newer') },
      CHANGED,
      { at: 0.6, words: 'the old build is current again', run: current('older') },
      TOLD,
      { at: 0.8, words: 'the new build is current again', run: current('newer') },
    ],
  };
}

export interface Upgraded {
  /** How much of what the older release left has not arrived. */
  readonly missingKeepsakes: number;
  /** The runs in which the newer release decided as the older one would not. */
  readonly changedRuns: ReadonlySet<string>;
}

interface UpgradeOptions {
  readonly timeIsUp: AbortSignal;
  readonly say: (text: string) => void;
  /** Called after the last move. */
  readonly moved: () => void;
}

/** Moves as planned: the older release leaves what the newer one takes up. */
export async function runUpgrade(
  { moves }: Upgrade,
  stage: Stage,
  progress: () => number,
  { timeIsUp, say, moved }: UpgradeOptions,
): Promise<Upgraded> {
  const keepsakes = await Keepsakes.open(stage, timeIsUp);
  try {
    await keepsakes.leave();
    say('the older release has left what the newer one takes up');
    for (const { at, words, run } of moves) {
      while (progress() < at && !timeIsUp.aborted) await sleep(LOOK_MS);
      await run(stage, keepsakes);
      say(words);
    }
    moved();
    await keepsakes.takeUp();
    await keepsakes.findChangedRuns();
    return { missingKeepsakes: keepsakes.missing, changedRuns: keepsakes.changedRuns };
  } finally {
    await keepsakes.close();
  }
}

function current(buildId: string): (stage: Stage) => Promise<void> {
  return async ({ connected: { client } }) => {
    const { namespace } = client.options;
    const wish = { namespace, deploymentName: DEPLOYMENT, buildId, identity: 'chaos', ignoreMissingTaskQueues: true };
    await onceKnown(() => client.workflowService.setWorkerDeploymentCurrentVersion(wish));
    await wakeJobs(client);
  };
}

function ramping(buildId: string, percentage: number): (stage: Stage) => Promise<void> {
  return async ({ connected: { client } }) => {
    const { namespace } = client.options;
    const wish = { namespace, deploymentName: DEPLOYMENT, buildId, percentage, identity: 'chaos' };
    await onceKnown(() =>
      client.workflowService.setWorkerDeploymentRampingVersion({ ...wish, ignoreMissingTaskQueues: true }),
    );
    await wakeJobs(client);
  };
}

/** The server learns of a build a moment after its worker is up, and of nothing while it is killed. */
async function onceKnown(change: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await change();
      return;
    } catch (error) {
      const code = grpcCode(error);
      const isEarly = code === GRPC.NOT_FOUND || code === GRPC.FAILED_PRECONDITION || code === GRPC.UNAVAILABLE;
      if (!isEarly && code !== GRPC.DEADLINE_EXCEEDED) throw error;
    }
    await sleep(AGAIN_MS);
  }
}

/** An idle job moves to another build when it is woken. */
async function wakeJobs(client: Client): Promise<void> {
  for await (const { workflowId } of client.workflow.list({
    query: "WorkflowType = 'exportJob' AND ExecutionStatus = 'Running'",
  }))
    await client.workflow
      .getHandle(workflowId)
      .signal('triggers', [])
      .catch(() => undefined);
}
