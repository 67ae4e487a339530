import type { JobFact } from './job-fact.ts';
import {
  ApplicationFailure,
  type Client,
  type WorkflowExecutionDescription,
  WorkflowFailedError,
} from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { tsToMs } from '@temporalio/common/lib/time.js';
import type { SliceEnd } from './attempt.ts';
import type { AddressedAnswer, DeadLetter } from '../../contract/dead-letter.ts';
import { checkJobDefinition, type Problem } from '../../contract/export-job.ts';
import type { JudgedAttempt, PackedSlice, SliceProgress } from '../../contract/slice.ts';
import type { TriggerEvent } from '../../contract/trigger.ts';
import type { Arrival } from '../../domain/job/steps.ts';
import { isRecord } from '../../domain/json.ts';
import { hasSurplus } from '../../domain/requests.ts';
import { readProgress, readReport, unpackSlice } from '../../domain/slice.ts';
import { triggersIn } from '../../domain/trigger-run.ts';
import { UnknownPayloadKey } from '../../temporal/encrypting-codec.ts';
import { payloadConverter } from '../../temporal/payload-converter.ts';
import {
  enterSignal,
  exitSignal,
  pageSignal,
  permitsReturnedSignal,
  redeliveredSignal,
  stopUpdate,
  triggersSignal,
} from '../../workflows/messages.ts';
import { GRPC, grpcCode } from './server-errors.ts';

/** Events per page; fewer if they exceed the client's limit, by gRPC's default 4 MiB. */
const PAGE_EVENTS = 100;

export type HistoryEvent = NonNullable<
  NonNullable<Awaited<ReturnType<Client['workflowService']['getWorkflowExecutionHistory']>>['history']>['events']
>[number];

/**
 * The events of a run's history, page by page.
 *
 * @param follow continues with new events until the run closes, or until this is aborted.
 */
export async function* historyEvents(
  client: Client,
  workflowId: string,
  runId: string,
  follow?: AbortSignal,
): AsyncIterable<HistoryEvent> {
  let nextPageToken: Uint8Array | undefined;
  do {
    const page = await readPage(client, workflowId, runId, nextPageToken, follow).catch((error: unknown) => {
      if (follow?.aborted === true) return undefined;
      throw error;
    });
    if (page === undefined) return;
    yield* page.history?.events ?? [];
    nextPageToken = page.nextPageToken ?? undefined;
  } while (nextPageToken !== undefined && nextPageToken.length > 0);
}

/** Returns the arguments that a run was started with; a workflow of ours takes one. @throws UnknownPayloadKey */
async function argumentsOf(client: Client, workflowId: string, runId: string): Promise<readonly unknown[]> {
  return (await beginningOf(client, workflowId, runId)).args;
}

export interface RunBeginning {
  readonly atMs: number;
  /** All its arguments; a workflow of ours takes one. */
  readonly args: readonly unknown[];
  /** The run that it continues, if it continues one. */
  readonly continues: string | undefined;
}

/** How a run began, which its first event says. @throws UnknownPayloadKey */
export async function beginningOf(client: Client, workflowId: string, runId: string): Promise<RunBeginning> {
  const { history } = await readPage(client, workflowId, runId, undefined, undefined, 1);
  const [event = {}] = history?.events ?? [];
  const started = event.workflowExecutionStartedEventAttributes;
  const args = await decode(client, started?.input?.payloads);
  return { atMs: msOf(event), args, continues: started?.continuedExecutionRunId || undefined };
}

async function readPage(
  client: Client,
  workflowId: string,
  runId: string,
  nextPageToken: Uint8Array | undefined,
  follow: AbortSignal | undefined,
  maximumPageSize = PAGE_EVENTS,
) {
  const request = {
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    maximumPageSize,
    ...(nextPageToken === undefined ? {} : { nextPageToken }),
    ...(follow === undefined ? {} : { waitNewEvent: true }),
  };
  const read = () => client.workflowService.getWorkflowExecutionHistory(request);
  try {
    // Each page has a signal of its own, because the SDK never removes its listener.
    return await (follow === undefined ? read() : client.withAbortSignal(AbortSignal.any([follow]), read));
  } catch (error) {
    if (grpcCode(error) !== GRPC.RESOURCE_EXHAUSTED || maximumPageSize === 1) throw error;
    return await readPage(client, workflowId, runId, nextPageToken, follow, Math.ceil(maximumPageSize / 5));
  }
}

/** Reads payloads as the job's own workflow does, whatever converter the client has. @throws UnknownPayloadKey */
async function decode(client: Client, payloads: readonly Payload[] | null | undefined): Promise<unknown[]> {
  return valuesIn(await opened(client, payloads));
}

/** Payloads as they were before they were packed and encrypted. @throws UnknownPayloadKey */
async function opened(client: Client, payloads: readonly Payload[] | null | undefined): Promise<Payload[]> {
  let decoded = [...(payloads ?? [])];
  for (const codec of client.options.loadedDataConverter.payloadCodecs.toReversed())
    decoded = await codec.decode(decoded);
  return decoded;
}

function valuesIn(payloads: readonly Payload[]): unknown[] {
  return payloads.map((payload) => payloadConverter.fromPayload(payload));
}

/** An id that JSON mostly writes unchanged; if it may not, everything is read. */
const PLAIN_ID = /^[\w.@:+-]+$/;

/** Whether payloads may be about a person. Searching bytes for an id takes a fraction of the time that parsing them does. */
function mayName(user: string | undefined, payloads: readonly Payload[]): boolean {
  if (user === undefined || !PLAIN_ID.test(user)) return true;
  return payloads.some(({ data }) => {
    // A payload without data, such as a `null`, has an empty array here, despite the type.
    if (!ArrayBuffer.isView(data)) return false;
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    return bytes.includes(user) || bytes.includes('\\u');
  });
}

/** A job that another client started with a wrong definition: its workflow failed before it began. */
export interface NeverBegun {
  readonly problems: readonly Problem[];
  /** True: only the worker's own checks refused it, so it may accept it later. False: it never can. */
  readonly mayBegin: boolean;
}

/** Returns why a job failed before it began, by its definition; undefined when it ended for another reason. */
export async function neverBegun(
  client: Client,
  { status, workflowId, runId }: WorkflowExecutionDescription,
): Promise<NeverBegun | undefined> {
  if (status.name !== 'FAILED') return undefined;
  const handle = client.workflow.getHandle(workflowId, runId, { followRuns: false });
  const error: unknown = await handle.result().catch((error: unknown) => error);
  const cause = error instanceof WorkflowFailedError ? error.cause : error;
  if (!(cause instanceof ApplicationFailure) || cause.type !== 'InvalidJob') return undefined;
  const problems = (cause.details?.[0] ?? []) as readonly Problem[]; // The workflow's own failure type carries them.
  const args = await argumentsOf(client, workflowId, runId);
  return { problems, mayBegin: !hasSurplus(args) && checkJobDefinition(args[0]).ok };
}

/** Returns in words why the definition is wrong. */
export function wrongDefinition({ problems }: NeverBegun): string {
  const list = problems.map(({ field, message }) => `${field || 'job'}: ${message}`);
  return `It never began, since its definition is wrong. ${list.join(' ')}`;
}

const EVENTS: ReadonlyMap<string, TriggerEvent | undefined> = new Map([
  [enterSignal.name, 'enter'],
  [exitSignal.name, 'exit'],
  [triggersSignal.name, undefined],
]);
const KINDS: ReadonlyMap<string, 'redelivery' | 'page' | 'permits'> = new Map([
  [redeliveredSignal.name, 'redelivery'],
  [pageSignal.name, 'page'],
  [permitsReturnedSignal.name, 'permits'],
]);

/** Returns the arrivals of a signal, as the job's inbox takes it in, with all its arguments: one for each trigger. */
export function arrivalsOf(name: string, args: readonly unknown[]): Arrival[] {
  const kind = KINDS.get(name);
  if (kind !== undefined) return [hasSurplus(args) ? { kind: 'surplus', name } : { kind, raw: args[0] }];
  if (!EVENTS.has(name)) return [{ kind: 'unknown', name }];
  const event = EVENTS.get(name);
  return triggersIn(args).map((raw) => ({ kind: 'trigger', raw, event }));
}

/** Continues with new events after reading began. */
export interface Following {
  /** Aborting it ends the reading. */
  readonly signal: AbortSignal;
  /** Events that the run had when reading began; after them comes the fact `caught-up`. */
  readonly events: number;
}

/**
 * Yields the facts about triggers in a run's history, oldest first, read a page at a time. A slice is reported at its end; slices still running come last,
 * unless the history is followed.
 *
 * @param options.about a person: leaves out facts, or parts of them, that are surely about other people only.
 * @throws UnknownPayloadKey for payloads that the job itself or its worker wrote; a signal with another key is the fact `unreadable`.
 */
export async function* runFacts(
  client: Client,
  workflowId: string,
  runId: string,
  { following, about }: { readonly following?: Following; readonly about?: string } = {},
): AsyncGenerator<JobFact> {
  const reader = new RunReader(client, runId, about);
  let isClosed = false;
  for await (const event of historyEvents(client, workflowId, runId, following?.signal)) {
    for (const fact of await reader.read(event)) {
      isClosed ||= fact.kind === 'closed';
      yield fact;
    }
    if (following !== undefined && Number(event.eventId) === following.events) {
      yield { kind: 'caught-up', runId, atMs: msOf(event) };
    }
  }
  if (!isClosed && following === undefined) yield* await reader.running(await heartbeats(client, workflowId, runId));
}

/** An activity that has not ended. */
interface Scheduled {
  readonly name: string;
  readonly activityId: string;
  readonly payloads: readonly Payload[];
  startedAtMs: number | undefined;
}

const READ: ReadonlySet<string> = new Set(['deliver', 'prepareJob', 'keepDeadLetters']);

class RunReader {
  readonly #client: Client;
  readonly #runId: string;
  /** The person that is asked about; undefined: everybody. */
  readonly #about: string | undefined;
  readonly #scheduled = new Map<string, Scheduled>();

  constructor(client: Client, runId: string, about: string | undefined) {
    this.#client = client;
    this.#runId = runId;
    this.#about = about;
  }

  async read(event: HistoryEvent): Promise<JobFact[]> {
    const came = { runId: this.#runId, atMs: msOf(event) };
    if (event.workflowExecutionStartedEventAttributes != null) {
      const args = await decode(this.#client, event.workflowExecutionStartedEventAttributes.input?.payloads);
      return [{ ...came, kind: 'began', args }];
    }
    if (event.workflowTaskCompletedEventAttributes != null) return [{ ...came, kind: 'ran' }];
    if (event.markerRecordedEventAttributes != null) {
      const name = patchOf(event.markerRecordedEventAttributes.details?.['patch-data']?.payloads);
      return [{ ...came, kind: 'marked', name }];
    }
    if (event.workflowExecutionSignaledEventAttributes != null) return [await this.#signalled(event, came)];
    // After a reset, the request has an event of its own, before it is accepted once more.
    const update =
      event.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest ??
      event.workflowExecutionUpdateAdmittedEventAttributes?.request;
    if (update?.input?.name === stopUpdate.name) return [await this.#stopAsked(update.input.args?.payloads, came)];
    if (event.activityTaskScheduledEventAttributes != null) return await this.#schedule(event, came);
    if (event.activityTaskStartedEventAttributes != null) {
      const scheduled = this.#scheduled.get(String(event.activityTaskStartedEventAttributes.scheduledEventId));
      if (scheduled !== undefined) scheduled.startedAtMs = came.atMs;
      return [];
    }
    const closed = closing(event);
    if (closed === undefined) return await this.#activityEnded(event, came);
    return [...(await this.#lostAtTheEnd(came)), { ...came, kind: 'closed', ...closed }];
  }

  /** Slices that have not ended, with their last heartbeat, by the id of their activity. */
  async running(progressOf: ReadonlyMap<string, unknown>): Promise<JobFact[]> {
    const facts = await Promise.all(
      [...this.#scheduled.values()].filter(isDeliver).map(async (scheduled) => {
        const progress = progressOf.get(scheduled.activityId);
        const atMs = scheduled.startedAtMs ?? Date.now();
        return await this.#slice(scheduled, { runId: this.#runId, atMs }, (size) => ({
          kind: 'running',
          ...withProgress(progress, size),
        }));
      }),
    );
    return facts.flat();
  }

  async #signalled(event: HistoryEvent, came: EventMoment): Promise<JobFact> {
    const { signalName, input } = event.workflowExecutionSignaledEventAttributes ?? {};
    const name = signalName ?? '';
    try {
      const payloads = await opened(this.#client, input?.payloads);
      const arrivals = mayName(this.#about, payloads) ? arrivalsOf(name, valuesIn(payloads)) : [];
      return { ...came, kind: 'signalled', name, arrivals };
    } catch (error) {
      if (error instanceof UnknownPayloadKey) return { ...came, kind: 'unreadable', name, error };
      throw error;
    }
  }

  async #stopAsked(payloads: Payload[] | null | undefined, came: EventMoment): Promise<JobFact> {
    const [request] = await decode(this.#client, payloads);
    return { ...came, kind: 'stop-asked', waiting: isRecord(request) ? request['waiting'] : undefined };
  }

  async #schedule(
    { eventId, activityTaskScheduledEventAttributes: attributes }: HistoryEvent,
    came: EventMoment,
  ): Promise<JobFact[]> {
    const name = attributes?.activityType?.name ?? '';
    const payloads = attributes?.input?.payloads ?? [];
    if (name === 'answerLetters') {
      // The argument that our own workflow gave to `answerLetters`.
      const [answers] = (await decode(this.#client, payloads)) as [readonly AddressedAnswer[]];
      return [{ ...came, kind: 'answered', answers }];
    }
    if (!READ.has(name)) return [];
    const activityId = attributes?.activityId ?? '';
    this.#scheduled.set(String(eventId), { name, activityId, payloads, startedAtMs: undefined });
    return [];
  }

  async #activityEnded(event: HistoryEvent, came: EventMoment): Promise<JobFact[]> {
    const completed = event.activityTaskCompletedEventAttributes;
    const timedOut = event.activityTaskTimedOutEventAttributes;
    const id = (completed ?? timedOut ?? event.activityTaskFailedEventAttributes)?.scheduledEventId;
    const scheduled = id == null ? undefined : this.#scheduled.get(String(id));
    if (scheduled === undefined) return [];
    this.#scheduled.delete(String(id));
    if (completed != null) return await this.#completed(scheduled, came, completed.result?.payloads);
    if (!isDeliver(scheduled)) return [];
    const [details] = await decode(this.#client, lastHeartbeat(timedOut?.failure));
    return await this.#slice(scheduled, came, (size) => ({ kind: 'lost', ...withProgress(details, size) }));
  }

  async #completed(
    scheduled: Scheduled,
    came: EventMoment,
    payloads: Payload[] | null | undefined,
  ): Promise<JobFact[]> {
    const [result] = await decode(this.#client, payloads);
    switch (scheduled.name) {
      case 'deliver':
        return await this.#slice(scheduled, came, (size) => endOf(result, size));
      case 'prepareJob':
        return [{ ...came, kind: 'prepared', result }];
      default: {
        // The argument that our own workflow gave to `keepDeadLetters`.
        const [letters] = (await decode(this.#client, scheduled.payloads)) as [readonly DeadLetter[]];
        return [{ ...came, kind: 'died', letters }];
      }
    }
  }

  /** A run that was ended from outside learned nothing more of its slices. */
  async #lostAtTheEnd(came: EventMoment): Promise<JobFact[]> {
    const lost = [...this.#scheduled.values()].filter(isDeliver);
    return (await Promise.all(lost.map((scheduled) => this.#slice(scheduled, came, () => ({ kind: 'lost' }))))).flat();
  }

  async #slice(
    { payloads, startedAtMs }: Scheduled,
    came: EventMoment,
    endOfOne: (size: number) => SliceEnd,
  ): Promise<JobFact[]> {
    const input = await opened(this.#client, payloads);
    if (!mayName(this.#about, input)) return [];
    const [packed] = valuesIn(input) as [PackedSlice]; // Our own workflow gave it to `deliver`.
    const end = endOfOne(packed.triggers.length);
    const started = startedAtMs === undefined ? {} : { startedAtMs };
    return [{ ...came, kind: 'slice', slice: unpackSlice(packed), end, ...started }];
  }
}

type EventMoment = Pick<JobFact, 'runId' | 'atMs'>;

function isDeliver({ name }: Scheduled): boolean {
  return name === 'deliver';
}

function msOf({ eventTime }: HistoryEvent): number {
  return eventTime == null ? 0 : tsToMs(eventTime);
}

/** Undefined when the run continues after this event. */
function closing(event: HistoryEvent): { readonly nextRunId?: string } | undefined {
  const next = event.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId;
  if (next != null && next !== '') return { nextRunId: next };
  const isClosing =
    event.workflowExecutionCompletedEventAttributes ??
    event.workflowExecutionFailedEventAttributes ??
    event.workflowExecutionTimedOutEventAttributes ??
    event.workflowExecutionTerminatedEventAttributes ??
    event.workflowExecutionCanceledEventAttributes;
  return isClosing == null ? undefined : {};
}

/** The name in a marker of the kind that `patched` makes, which is Temporal's own and never encrypted; '' for any other. */
function patchOf(payloads: readonly Payload[] | null | undefined): string {
  const [payload] = payloads ?? [];
  const data: unknown = payload === undefined ? undefined : payloadConverter.fromPayload(payload);
  return isRecord(data) && typeof data['id'] === 'string' ? data['id'] : '';
}

/** A report that cannot be read counts as a lost slice, as it does for the job. */
function endOf(raw: unknown, size: number): SliceEnd {
  const report = readReport(raw, size);
  return report === undefined ? { kind: 'lost' } : { kind: 'reported', report };
}

/** @param details of a heartbeat. */
function withProgress(details: unknown, size: number): { readonly progress?: SliceProgress<JudgedAttempt> } {
  const progress = readProgress(details, size);
  return progress === undefined ? {} : { progress };
}

type Failure = NonNullable<HistoryEvent['activityTaskTimedOutEventAttributes']>['failure'];

function lastHeartbeat(failure: Failure): Payload[] | undefined {
  if (failure == null) return undefined;
  return failure.timeoutFailureInfo?.lastHeartbeatDetails?.payloads ?? lastHeartbeat(failure.cause);
}

/** The last heartbeats of the slices of an open run, by the id of their activity. */
async function heartbeats(client: Client, workflowId: string, runId: string): Promise<Map<string, unknown>> {
  const { raw } = await client.workflow.getHandle(workflowId, runId).describe();
  const byActivity = new Map<string, unknown>();
  for (const { activityId, heartbeatDetails } of raw.pendingActivities ?? []) {
    const [details] = await decode(client, heartbeatDetails?.payloads);
    byActivity.set(activityId ?? '', details);
  }
  return byActivity;
}
