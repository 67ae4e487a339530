import { ContinueAsNew, TemporalFailure } from '@temporalio/workflow';

// The SDK notes where each promise was made, for `temporal workflow stack`. That takes a quarter of the workflow thread's time. Without a limit V8
// collects no stack at all.
Reflect.deleteProperty(Error, 'stackTraceLimit');

/** As many frames as Node keeps. */
const FRAMES = 10;

/** After a mistake of ours, errors have stacks from now on: Temporal hands the task out again, and its next failure says where it comes from. */
export function traceMistakes(error: unknown): void {
  if (!(error instanceof TemporalFailure) && !(error instanceof ContinueAsNew))
    Reflect.set(Error, 'stackTraceLimit', FRAMES);
}
