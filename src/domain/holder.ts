import type { PackedTriggers } from '../contract/holder.ts';
import { HOLDER } from './names.ts';

/** The options that a holder is started with, by a job's activity or by a recovery. */
export function holderWorkflow(workflowId: string, content: PackedTriggers) {
  const count = content.triggers.length;
  const summary = `${count.toLocaleString('en')} waiting trigger${count === 1 ? '' : 's'} of a job`;
  return { type: HOLDER, workflowId, input: content, summary, sleeps: true };
}
