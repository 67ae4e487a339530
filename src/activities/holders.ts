import { Context } from '@temporalio/activity';
import type { PackedTriggers, ProfileRef, SpilledProfiles } from '../contract/holder.ts';
import type { DeadLetter } from '../contract/dead-letter.ts';
import type { JsonObject } from '../contract/trigger.ts';
import type { Activities, SideWorkflows, WorkflowRun } from '../contract/ports.ts';
import { deadLetterPresentation } from '../domain/job/dead-letter.ts';
import { refuseNewer, undecodableReason } from '../domain/errors.ts';
import { isRecord, jsonStringBytes, parseJson } from '../domain/json.ts';
import {
  DEAD_LETTER,
  deadLetterId,
  deadLetterWorkflowId,
  holderWorkflow,
  jobIdOf,
  profileHolderWorkflowId,
} from '../domain/names.ts';
import { forEachLimit } from '../domain/for-each-limit.ts';
import type { DeliveryTracing } from './slice-telemetry.ts';
import { profileFrom } from '../domain/trigger-run.ts';

/** Enough that a hundred drops take only a moment, and few enough not to crowd the server. */
const DROPS_AT_ONCE = 8;

/**
 * The activities that put waiting triggers into holder workflows, load them back and drop the holders.
 *
 * @param by the run that needs them.
 */
export function createHolders(
  workflows: SideWorkflows,
  by: () => WorkflowRun | undefined = presentRun,
): Pick<Activities, 'spill' | 'load' | 'drop'> {
  return {
    spill: (holderId, content) => workflows.start({ ...holderWorkflow(holderId, content), by: by() }),
    load: async (holderId) => {
      const content = await workflows.inputOf(holderId);
      if (content === undefined) return null;
      refuseNewer(`The content of ${holderId}`, content);
      if (!isPackedTriggers(content)) throw new Error(unreadable(holderId, content));
      return content;
    },
    drop: (holderIds) => forEachLimit(holderIds, DROPS_AT_ONCE, (holderId) => workflows.drop(holderId)),
  };
}

function unreadable(holderId: string, content: unknown): string {
  const why = undecodableReason(content) ?? 'it is not what a job puts there';
  return `The content of ${holderId} cannot be read: ${why}. It is read again; its triggers are kept there meanwhile.`;
}

/** Undecodable content arrives as a value that says so, and is not content. */
function isPackedTriggers(value: unknown): value is PackedTriggers {
  return isRecord(value) && Array.isArray(value['audiences']) && Array.isArray(value['triggers']);
}

const STARTS_AT_ONCE = 8;
const ANSWERS_AT_ONCE = 8;

/**
 * The activity that gives each dead letter a workflow of its own. If that workflow is already running, nothing more is needed. If it has ended, it
 * was decided. But that may have been an earlier death of the same trigger, which has been signalled again since. This letter then needs a decision
 * of its own.
 */
export function createKeepDeadLetters(
  workflows: SideWorkflows,
  tracing?: DeliveryTracing,
  spilledProfiles = new SpilledProfileReader(workflows),
): Activities['keepDeadLetters'] {
  return (letters) =>
    forEachLimit(letters, STARTS_AT_ONCE, async (letter) => {
      const complete = await withProfile(letter, spilledProfiles);
      await workflows.start({
        type: DEAD_LETTER,
        workflowId: deadLetterWorkflowId(deadLetterId(complete.deliveryId, complete.redeliveries)),
        input: complete,
        renews: 'ended',
        ...deadLetterPresentation(complete),
      });
      tracing?.died(complete);
    });
}

/** A letter outlives its job, so it keeps its profile itself. A letter whose profile is lost says so, and is not sent with another. */
async function withProfile(letter: DeadLetter, spilledProfiles: SpilledProfileReader): Promise<DeadLetter> {
  const { profileRef, ...rest } = letter;
  if (profileRef === undefined) return letter;
  const json = await spilledProfiles.read(jobIdOf(letter.jobWorkflowId), profileRef);
  if (json === undefined) return letter;
  // The sender of the signal wrote an object.
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

/** Most bytes of profiles that stay in memory here for later slices, as JSON texts. */
const CACHE_BYTES = 64 * 1024 * 1024;

interface Entry {
  /** Undefined when the server no longer knows such a holder. */
  readonly content: Promise<unknown>;
  /** 0 until it has arrived. */
  bytes: number;
}

/**
 * Reads profiles that are stored apart from their triggers, in holders. A holder has the profiles of hundreds of triggers, and therefore stays in
 * memory for a while.
 */
export class SpilledProfileReader {
  readonly #workflows: Pick<SideWorkflows, 'inputOf'>;
  readonly #cacheBytes: number;
  /** By workflow id, last used at the end. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(workflows: Pick<SideWorkflows, 'inputOf'>, cacheBytes = CACHE_BYTES) {
    this.#workflows = workflows;
    this.#cacheBytes = cacheBytes;
  }

  /**
   * The JSON of a profile; undefined when it is lost. Rejects when its holder cannot be read, at the moment or here.
   *
   * @param jobId the holder's job: a signal to one job cannot name another job's holder.
   */
  async read(jobId: string, profileRef: ProfileRef): Promise<string | undefined> {
    const workflowId = profileHolderWorkflowId(jobId, profileRef[0]);
    const entry = this.#entries.get(workflowId) ?? this.#begin(workflowId);
    this.#entries.delete(workflowId);
    this.#entries.set(workflowId, entry);
    const content = await entry.content;
    const why = undecodableReason(content);
    if (why !== undefined) throw new Error(`The profiles in ${workflowId} cannot be read: ${why}.`);
    return profileFrom(content, profileRef);
  }

  #begin(workflowId: string): Entry {
    const content = this.#workflows.inputOf(workflowId);
    const entry: Entry = { content, bytes: 0 };
    content.then(
      (read) => {
        const bytes = bytesOf(read);
        if (bytes === undefined) return this.#forget(workflowId, entry);
        entry.bytes = bytes;
        this.#bytes += bytes;
        this.#makeRoom(entry);
      },
      () => this.#forget(workflowId, entry),
    );
    return entry;
  }

  #makeRoom(latest: Entry): void {
    for (const [workflowId, entry] of this.#entries) {
      if (this.#bytes <= this.#cacheBytes) return;
      if (entry !== latest && entry.bytes > 0) this.#forget(workflowId, entry);
    }
  }

  #forget(workflowId: string, entry: Entry): void {
    if (this.#entries.get(workflowId) !== entry) return;
    this.#entries.delete(workflowId);
    this.#bytes -= entry.bytes;
  }
}

/** Undefined: it is not content, and may become content later. */
function bytesOf(content: unknown): number | undefined {
  const { profiles } = (content ?? {}) as Partial<SpilledProfiles>;
  if (!Array.isArray(profiles)) return undefined;
  return profiles.reduce((sum: number, text: unknown) => sum + (typeof text === 'string' ? text.length : 0), 1);
}
