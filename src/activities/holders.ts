import { Context } from '@temporalio/activity';
import type { PackedTriggers } from '../contract/holder.ts';
import type { DeadLetter } from '../contract/dead-letter.ts';
import type { JsonObject } from '../contract/trigger.ts';
import type { Activities, SideWorkflows, WorkflowRun } from '../contract/ports.ts';
import { deadLetterPresentation } from '../domain/dead-letter.ts';
import { refuseNewer, undecodableReason } from '../domain/errors.ts';
import { isRecord, jsonStringBytes, parseJson } from '../domain/json.ts';
import { DEAD_LETTER, deadLetterWorkflowId, holderWorkflow, jobIdOf } from '../domain/names.ts';
import { forEachLimit } from '../domain/for-each-limit.ts';
import { HeldProfileReader } from './held-profiles.ts';
import type { DeliveryTracing } from './slice-telemetry.ts';

/** Enough that a hundred releases take only a moment, and few enough not to crowd the server. */
const RELEASES_AT_ONCE = 8;

/**
 * The activities that put waiting triggers into holder workflows, read them back and let the holders go.
 *
 * @param by the run that wants them.
 */
export function createHolders(
  workflows: SideWorkflows,
  by: () => WorkflowRun | undefined = presentRun,
): Pick<Activities, 'hold' | 'recall' | 'release'> {
  return {
    hold: (holderId, content) => workflows.start({ ...holderWorkflow(holderId, content), by: by() }),
    recall: async (holderId) => {
      const content = await workflows.inputOf(holderId);
      if (content === undefined) return null;
      refuseNewer(`The content of ${holderId}`, content);
      if (!isPackedTriggers(content)) throw new Error(unreadable(holderId, content));
      return content;
    },
    release: (holderIds) => forEachLimit(holderIds, RELEASES_AT_ONCE, (holderId) => workflows.release(holderId)),
  };
}

function unreadable(holderId: string, content: unknown): string {
  const why = undecodableReason(content) ?? 'it is not what a job puts there';
  return `The content of ${holderId} cannot be read: ${why}. It is tried again; its triggers are kept there meanwhile.`;
}

/** What cannot be decoded comes as a value that says so, and is not content. */
function isPackedTriggers(value: unknown): value is PackedTriggers {
  return isRecord(value) && Array.isArray(value['audiences']) && Array.isArray(value['triggers']);
}

const STARTS_AT_ONCE = 8;
const ANSWERS_AT_ONCE = 8;

/**
 * The activity that gives each dead letter a workflow of its own. If it is already running, that is enough. One that has ended was decided;
 * but when that was an earlier death of the same trigger, which has been signalled again since, this one needs a decision of its own.
 */
export function createKeepDeadLetters(
  workflows: SideWorkflows,
  tracing?: DeliveryTracing,
  heldProfiles = new HeldProfileReader(workflows),
): Activities['keepDeadLetters'] {
  return (letters) =>
    forEachLimit(letters, STARTS_AT_ONCE, async (given) => {
      const letter = await withProfile(given, heldProfiles);
      await workflows.start({
        type: DEAD_LETTER,
        workflowId: deadLetterWorkflowId(letter.deliveryId, letter.redeliveries),
        input: letter,
        renews: 'ended',
        ...deadLetterPresentation(letter),
      });
      tracing?.died(letter);
    });
}

/** A letter outlives its job, so it keeps its profile itself. One whose profile is lost says so, and is not sent with another. */
async function withProfile(letter: DeadLetter, heldProfiles: HeldProfileReader): Promise<DeadLetter> {
  const { held, ...rest } = letter;
  if (held === undefined) return letter;
  const json = await heldProfiles.read(jobIdOf(letter.jobWorkflowId), held);
  if (json === undefined) return letter;
  // Whoever signalled it wrote an object.
  return { ...rest, profile: parseJson(json) as JsonObject, profileBytes: jsonStringBytes(json) };
}

/** The activity that tells dead letters whether their job took them. */
export function createAnswerLetters(workflows: SideWorkflows): Activities['answerLetters'] {
  return (answers) =>
    forEachLimit(answers, ANSWERS_AT_ONCE, ({ workflowId, answer }) => workflows.answer(workflowId, answer));
}

/** The run of the job that the present activity belongs to. */
function presentRun(): WorkflowRun {
  const { workflowExecution } = Context.current().info;
  if (workflowExecution === undefined) throw new Error('This activity belongs to no workflow.');
  return workflowExecution;
}
