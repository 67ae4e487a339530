import type { Client } from '@temporalio/client';
import type { JobFact } from '../../contract/trace.ts';
import { jobWorkflowId } from '../../domain/names.ts';
import { GRPC, grpcCode } from '../server-errors.ts';
import type { JobRunTimes } from './attempts.ts';
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
 * The facts of a job that may be about a person, oldest first.
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
  const isAborted = (): boolean => signal?.aborted === true;
  let facts = 0;
  // More may come while it is read.
  for (const [index, runId] of ids.entries()) {
    const tell = (): void => onProgress?.({ jobId, runs: index, ofRuns: ids.length, facts });
    tell();
    if (isAborted()) return;
    try {
      for await (const fact of runFacts(client, jobWorkflowId(jobId), runId, { about: user })) {
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
