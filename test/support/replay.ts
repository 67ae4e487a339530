import { Worker } from '@temporalio/worker';
import { payloadConverterPath } from '../../src/temporal/data-converter.ts';
import { temporal } from './temporal.ts';

/** Replays a history with our workflow code. Rejects when the code decides differently than the history says. */
export async function replay(history: unknown, workflowId: string): Promise<void> {
  const { workflowBundle } = temporal;
  const sinks = { deeds: { done: { fn: () => undefined } } };
  await Worker.runReplayHistory(
    { workflowBundle, dataConverter: { payloadConverterPath }, sinks },
    history,
    workflowId,
  );
}
