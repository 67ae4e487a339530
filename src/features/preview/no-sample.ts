import { TriggersError } from '../../client/calls/errors.ts';
import type { Remedy } from '../../contract/remedy.ts';
import type { SampleProblem } from './sample.ts';

const RENDER: Remedy = { action: 'render' };

/** There is no message to show or to send. */
export class NoSample extends TriggersError {
  declare readonly problem: SampleProblem;
  constructor(problem: SampleProblem) {
    super(problem.message, { problem }, undefined, ...(problem.field === 'event' ? [RENDER] : []));
  }
}
