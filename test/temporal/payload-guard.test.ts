import { afterEach, expect, test } from '@jest/globals';
import { ApplicationFailure, ContinueAsNew, type WorkflowExecuteInput } from '@temporalio/workflow';
import { interceptors } from '../../src/temporal/sandbox/payload-guard.ts';

afterEach(() => void Reflect.deleteProperty(Error, 'stackTraceLimit'));

/** Runs a workflow whose code throws this. */
async function run(error: unknown): Promise<void> {
  const input: WorkflowExecuteInput = { args: [], headers: {} };
  const [guard] = interceptors().inbound ?? [];
  await expect(guard?.execute?.(input, async () => await Promise.reject(error as Error))).rejects.toBe(error);
}

test('workflow code collects no stacks: the SDK would, for each promise', () => {
  expect(Error.stackTraceLimit).toBeUndefined();
});

test('errors say where they come from after a mistake in workflow code, but not after an orderly end', async () => {
  await run(new ContinueAsNew({ workflowType: 'exportJob' }));
  await run(ApplicationFailure.nonRetryable('The webhook is gone.'));
  expect(Error.stackTraceLimit).toBeUndefined();
  await run(new TypeError('x is undefined'));
  expect(Error.stackTraceLimit).toBe(10);
});
