import type { Activities } from '../contract/ports.ts';
import { deadLetterPresentation } from '../domain/dead-letter.ts';
import { DEAD_LETTER, deadLetterWorkflowId } from '../domain/names.ts';
import { concurrently } from './concurrently.ts';
import type { DeliveryTracing } from './delivery-tracing.ts';
import type { SideWorkflows } from './side-workflows.ts';

const STARTS_AT_ONCE = 8;

/**
 * The activity that gives each dead letter a workflow of its own. If it is already running, that is enough. One that has ended was decided;
 * but when that was an earlier death of the same trigger, which has been signalled again since, this one needs a decision of its own.
 */
export function createKeepDeadLetters(
  workflows: SideWorkflows,
  tracing?: DeliveryTracing,
): Activities['keepDeadLetters'] {
  return (letters) =>
    concurrently(letters, STARTS_AT_ONCE, async (letter) => {
      await workflows.start({
        type: DEAD_LETTER,
        workflowId: deadLetterWorkflowId(letter.deliveryId, letter.redeliveries),
        input: letter,
        renews: true,
        ...deadLetterPresentation(letter),
      });
      tracing?.died(letter);
    });
}
