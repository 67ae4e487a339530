import { Worker } from '@temporalio/worker';
import { payloadConverterPath } from '../../src/payload-converter-path.ts';
import { temporal } from './temporal.ts';

/** Has our workflow code go through a history. Rejects when it decides otherwise than the history says. */
export async function replay(history: unknown, workflowId: string): Promise<void> {
  const { workflowBundle } = temporal;
  await Worker.runReplayHistory({ workflowBundle, dataConverter: { payloadConverterPath } }, history, workflowId);
}
