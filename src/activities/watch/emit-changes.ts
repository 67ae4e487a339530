import { ApplicationFailure, Context } from '@temporalio/activity';
import type { Activities } from '../../contract/ports.ts';
import type { EventTrigger, TriggerEvent } from '../../contract/trigger.ts';
import { concurrently } from '../concurrently.ts';
import { alive } from './alive.ts';
import { EmissionProgress } from './emission-progress.ts';
import { readLines } from './lines.ts';
import type { Listeners } from './listeners.ts';
import type { WatchDependencies } from './scan-members.ts';
import { audienceFolder, CHANGES, Snapshot } from './snapshot.ts';

export interface EmitDependencies extends Pick<WatchDependencies, 'watchFolder'> {
  readonly listeners: Listeners;
  /** Whether this worker was frozen until a moment ago, so that a task it receives may be stale. */
  readonly hasStalled: () => boolean;
}

const HEARTBEAT_MS = 1_000;
/** How many jobs are signalled at once. */
const JOBS_AT_ONCE = 8;
/** How many of the jobs that could not be signalled are named. */
const NAMED = 3;
const UNREADABLE_NAMED = 20;

/**
 * The activity that signals a round's changes to every running job that listens. Each job gets all of them in the same order and with the
 * same `at`, however often this is retried, and a job that cannot be signalled now does not hold up the others.
 *
 * @throws ApplicationFailure of type JobsNotTold
 */
export function createEmitChanges({ watchFolder, listeners, hasStalled }: EmitDependencies): Activities['emitChanges'] {
  return async (audience, scanId, at) => {
    const context = Context.current();
    const scan = new Snapshot(audienceFolder(watchFolder, audience), scanId);
    const changes = await scan.whole(await scan.sealed(), CHANGES);
    const progress = await EmissionProgress.open(scan.path('told.json'));
    const { jobIds, unreadable } = await listeners.of(audience);
    const failures: string[] = [];
    const tell = async (jobId: string): Promise<void> => {
      const from = progress.of(jobId);
      const onAccepted = (accepted: number): void => progress.set(jobId, from + accepted);
      const signal = context.cancellationSignal;
      try {
        await listeners.tell(jobId, triggersOf(changes, { audience, at, from, hasStalled }), { signal, onAccepted });
      } catch (error) {
        failures.push(`${jobId}: ${error instanceof Error ? error.message : String(error)}`);
      }
    };
    // A job that accepts nothing may be waited for; a worker that was frozen notices that by itself.
    const heartbeat = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
    try {
      await concurrently(jobIds, JOBS_AT_ONCE, tell);
      await progress.close();
    } finally {
      clearInterval(heartbeat);
    }
    alive();
    if (failures.length > 0) throw notTold(failures);
    return { jobs: jobIds.length, unreadable: unreadable.slice(0, UNREADABLE_NAMED) };
  };
}

interface Emission {
  readonly audience: string;
  readonly at: string;
  /** How many to skip. */
  readonly from: number;
  readonly hasStalled: () => boolean;
}

async function* triggersOf(path: string, { audience, at, from, hasStalled }: Emission): AsyncGenerator<EventTrigger> {
  let place = 0;
  for await (const line of readLines(path)) {
    if (place++ < from) continue;
    // Another worker may have signalled all of this meanwhile, and newer changes since: older ones must not come after those.
    if (hasStalled()) throw new Error('This worker was frozen for a while; the round is continued.');
    const [event, user] = JSON.parse(line) as [TriggerEvent, string]; // Written by confirmExits.
    yield { audience, user, event, at };
  }
}

function notTold(failures: readonly string[]): ApplicationFailure {
  const more = failures.length > NAMED ? ` And ${failures.length - NAMED} more.` : '';
  return ApplicationFailure.create({
    message: `Some jobs could not be told; all others were, and these are tried again. ${failures.slice(0, NAMED).join(' ')}${more}`,
    type: 'JobsNotTold',
  });
}
