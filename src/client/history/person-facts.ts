import type { Client } from '@temporalio/client';
import type { JobFact } from '../../contract/trace.ts';
import { mayHaveHad } from '../../domain/job/run-people.ts';
import { isRecord } from '../../domain/json.ts';
import { isDiscarding } from '../../domain/person-trace.ts';
import { jobWorkflowId } from '../../domain/names.ts';
import { GRPC, grpcCode } from '../server-errors.ts';
import type { JobRunTimes } from './attempts.ts';
import { Beginnings } from './beginnings.ts';
import { runFacts } from './events.ts';

export interface TraceProgress {
  readonly jobId: string;
  /** Runs of the job that have been read, of how many. */
  readonly runs: number;
  readonly ofRuns: number;
  /** Facts read of this job so far. */
  readonly facts: number;
}

export interface PersonReading {
  readonly user: string;
  /** No run is read that ended before. */
  readonly sinceMs: number;
  readonly onProgress: ((progress: TraceProgress) => void) | undefined;
  /** When it is aborted, nothing further is read. */
  readonly signal: AbortSignal | undefined;
}

/**
 * The facts of a job that may be about a person, oldest first. A run that surely had nothing to do with them, as the run after it was told, is
 * not read: of it, there is only how it began. Read are runs of older releases, which tell nothing, and those that were ended from outside,
 * and the newest one always.
 *
 * @param runs of the job, oldest first; one that is missing is found by the one before it, as long as it is not the first.
 */
export async function* personFacts(
  client: Client,
  jobId: string,
  runs: readonly JobRunTimes[],
  { user, sinceMs, onProgress, signal }: PersonReading,
): AsyncGenerator<JobFact> {
  const ids = runs.filter(({ closedAtMs = Infinity }) => closedAtMs >= sinceMs).map(({ runId }) => runId);
  const beginnings = new Beginnings(client, jobWorkflowId(jobId), ids);
  const isAborted = (): boolean => signal?.aborted === true;
  let facts = 0;
  // More may come while it is read.
  for (const [index, runId] of ids.entries()) {
    const tell = (): void => onProgress?.({ jobId, runs: index, ofRuns: ids.length, facts });
    tell();
    if (isAborted()) return;
    const skipped = await ofStranger(beginnings, user, runId, ids[index + 1]);
    const read = skipped === undefined ? runFacts(client, jobWorkflowId(jobId), runId, { about: user }) : [skipped];
    try {
      for await (const fact of read) {
        if (isAborted()) return;
        if (++facts % PROGRESS_EVERY === 0) tell();
        // The list lags behind: it did not have that run yet.
        const next = fact.kind === 'closed' ? fact.nextRunId : undefined;
        if (next !== undefined && !ids.includes(next)) ids.splice(index + 1, 0, next);
        yield fact;
      }
    } catch (error) {
      // Its retention ended between the list and now.
      if (grpcCode(error) !== GRPC.NOT_FOUND) throw error;
    }
  }
}

const PROGRESS_EVERY = 500;

/** How a run began that surely had nothing to do with the person, as `next` was told by it; undefined for any other run. */
async function ofStranger(
  beginnings: Beginnings,
  user: string,
  runId: string,
  next: string | undefined,
): Promise<JobFact | undefined> {
  if (next === undefined) return undefined;
  const own = await beginnings.of(runId);
  const after = await beginnings.of(next);
  if (own === undefined || after?.continues !== runId) return undefined;
  const [carried] = after.given;
  if (!isRecord(carried) || mayHaveHad(carried['people'], user)) return undefined;
  // Whose triggers it dropped is not told, since they may have come to an earlier run.
  if (isDiscarding(carried)) return undefined;
  return { kind: 'began', runId, atMs: own.atMs, given: own.given };
}
