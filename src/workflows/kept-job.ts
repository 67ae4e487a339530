import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  CancellationScope,
  condition,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  startChild,
  upsertMemo,
} from '@temporalio/workflow';
import type { KeptJobEnd, KeptJobState } from '../contract/kept-job.ts';
import { refuseNewer } from '../domain/errors.ts';
import { type CarriedJob, refuseNewerJob } from '../domain/job/carrying.ts';
import { describeKeptJob, discardedJob, type KeptJob, keptJobDetails, resumedJob } from '../domain/kept-job.ts';
import { EXPORT_JOB, jobIdOf } from '../domain/names.ts';
import { problemsText, readNothing } from '../domain/requests.ts';
import { shownToPeople } from '../domain/shown.ts';
import { answerQuery } from './answering.ts';
import { discardSignal, keptJobStatusQuery, resumeSignal } from './messages.ts';

/**
 * Keeps what a stopped job carried, until a person signals `resume`, and the job runs again from there, or `discard`, and the job is
 * started once more to drop what is waiting. Cancelling it changes nothing: its triggers were accepted, and only `discard` drops them.
 */
export async function keptJob(kept: KeptJob): Promise<KeptJobEnd> {
  refuseNewer('What this job kept', kept);
  refuseNewerJob(kept.carried);
  return await CancellationScope.nonCancellable(() => untilDecided(kept));
}

async function untilDecided(kept: KeptJob): Promise<KeptJobEnd> {
  const keptAt = Date.now();
  let state: KeptJobState = 'kept';
  let notice: string | undefined;
  let wish: KeptJobEnd | undefined;

  const status = () => describeKeptJob(kept, state, keptAt, notice);
  const become = (next: KeptJobState) => {
    state = next;
    setCurrentDetails(keptJobDetails(status()));
  };
  answerQuery(keptJobStatusQuery, 0, 'What the stopped job has kept.', status);
  const asked = (args: readonly unknown[], end: KeptJobEnd): void => {
    const reading = readNothing(args);
    if (reading.ok) {
      wish = end;
      return;
    }
    // A signal gets no answer.
    notice = `The last signal changed nothing, since it is wrong. ${problemsText(reading.problems)}`;
    upsertMemo({ notice });
    become(state);
  };
  setHandler(resumeSignal, (...args) => asked(args, 'resumed'), {
    description: 'Runs the job again, from where it stopped.',
  });
  setHandler(discardSignal, (...args) => asked(args, 'discarded'), { description: 'Drops for good what was kept.' });

  for (;;) {
    become('kept');
    await condition(() => wish !== undefined);
    const end = wish === 'discarded' ? 'discarded' : 'resumed';
    wish = undefined;
    notice = undefined;
    become('starting');
    notice = await start(kept, end === 'resumed' ? resumedJob(kept.carried, Date.now()) : discardedJob(kept.carried));
    if (notice === undefined) {
      become(end);
      return end;
    }
    upsertMemo({ notice });
  }
}

/** Starts the job again under its own id, or says why it could not. */
async function start({ jobWorkflowId }: KeptJob, carried: CarriedJob): Promise<string | undefined> {
  const jobId = jobIdOf(jobWorkflowId);
  try {
    await startChild(EXPORT_JOB, {
      workflowId: jobWorkflowId,
      args: [carried],
      // It must outlive this workflow, which ends as soon as the job has started.
      parentClosePolicy: ParentClosePolicy.ABANDON,
      ...shownToPeople(jobId, carried.job),
    });
    return undefined;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError)
      return `A job ${jobId} is already running. Stop it, then signal again.`;
    throw error;
  }
}
