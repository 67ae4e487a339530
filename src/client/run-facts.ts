import type { Client } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { tsToMs } from '@temporalio/common/lib/time.js';
import type { SliceEnd } from '../contract/attempt.ts';
import type { DeadLetter } from '../contract/dead-letter.ts';
import type { PackedSlice, SliceProgress, SliceReport } from '../contract/slice.ts';
import type { JobFact } from '../contract/trace.ts';
import { isRecord } from '../domain/json.ts';
import { unpackSlice } from '../domain/packed-slice.ts';
import { UnknownPayloadKey } from '../payload-codec/unknown-payload-key.ts';
import { arrivalsOf } from './ended-run.ts';
import { decode, type HistoryEvent, historyEvents } from './history-events.ts';

/** Continues with what happens after reading began. */
export interface Following {
  /** Aborting it ends the reading. */
  readonly signal: AbortSignal;
  /** Events that the run had when reading began; after them comes the fact `caught-up`. */
  readonly events: number;
}

/**
 * What a run's history says about triggers, oldest first, read a page at a time. A slice is reported at its end; those still running come
 * last, unless the history is followed.
 *
 * @throws UnknownPayloadKey for what the job itself and its worker wrote; a signal of somebody else's key is the fact `unreadable`.
 */
export async function* runFacts(
  client: Client,
  workflowId: string,
  runId: string,
  following?: Following,
): AsyncGenerator<JobFact> {
  const reader = new RunReader(client, runId);
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

/** What is remembered of an activity until it ends. */
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
  readonly #scheduled = new Map<string, Scheduled>();

  constructor(client: Client, runId: string) {
    this.#client = client;
    this.#runId = runId;
  }

  async read(event: HistoryEvent): Promise<JobFact[]> {
    const came = { runId: this.#runId, atMs: msOf(event) };
    if (event.workflowExecutionStartedEventAttributes != null) {
      const [input] = await decode(this.#client, event.workflowExecutionStartedEventAttributes.input?.payloads);
      return [{ ...came, kind: 'began', input }];
    }
    if (event.workflowExecutionSignaledEventAttributes != null) return [await this.#signalled(event, came)];
    if (event.activityTaskScheduledEventAttributes != null) return this.#schedule(event);
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
  async running(progressOf: ReadonlyMap<string, SliceProgress>): Promise<JobFact[]> {
    return await Promise.all(
      [...this.#scheduled.values()].filter(isDeliver).map(async (scheduled) => {
        const progress = progressOf.get(scheduled.activityId);
        const atMs = scheduled.startedAtMs ?? Date.now();
        return await this.#slice(
          scheduled,
          { runId: this.#runId, atMs },
          { kind: 'running', ...withProgress(progress) },
        );
      }),
    );
  }

  async #signalled(event: HistoryEvent, came: Came): Promise<JobFact> {
    const { signalName, input } = event.workflowExecutionSignaledEventAttributes ?? {};
    const name = signalName ?? '';
    try {
      const [raw] = await decode(this.#client, input?.payloads);
      return { ...came, kind: 'signalled', arrivals: arrivalsOf(name, raw) };
    } catch (error) {
      if (error instanceof UnknownPayloadKey) return { ...came, kind: 'unreadable', name };
      throw error;
    }
  }

  #schedule({ eventId, activityTaskScheduledEventAttributes: attributes }: HistoryEvent): [] {
    const name = attributes?.activityType?.name ?? '';
    if (!READ.has(name)) return [];
    const payloads = attributes?.input?.payloads ?? [];
    const activityId = attributes?.activityId ?? '';
    this.#scheduled.set(String(eventId), { name, activityId, payloads, startedAtMs: undefined });
    return [];
  }

  async #activityEnded(event: HistoryEvent, came: Came): Promise<JobFact[]> {
    const completed = event.activityTaskCompletedEventAttributes;
    const timedOut = event.activityTaskTimedOutEventAttributes;
    const id = (completed ?? timedOut ?? event.activityTaskFailedEventAttributes)?.scheduledEventId;
    const scheduled = id == null ? undefined : this.#scheduled.get(String(id));
    if (scheduled === undefined) return [];
    this.#scheduled.delete(String(id));
    if (completed != null) return await this.#completed(scheduled, came, completed.result?.payloads);
    if (!isDeliver(scheduled)) return [];
    const [details] = await decode(this.#client, lastHeartbeat(timedOut?.failure));
    return [await this.#slice(scheduled, came, { kind: 'lost', ...withProgress(readProgress(details)) })];
  }

  async #completed(scheduled: Scheduled, came: Came, payloads: Payload[] | null | undefined): Promise<JobFact[]> {
    const [result] = await decode(this.#client, payloads);
    switch (scheduled.name) {
      case 'deliver':
        return [await this.#slice(scheduled, came, endOf(result))];
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
  async #lostAtTheEnd(came: Came): Promise<JobFact[]> {
    const lost = [...this.#scheduled.values()].filter(isDeliver);
    return await Promise.all(lost.map((scheduled) => this.#slice(scheduled, came, { kind: 'lost' })));
  }

  async #slice({ payloads, startedAtMs }: Scheduled, came: Came, end: SliceEnd): Promise<JobFact> {
    const [packed] = (await decode(this.#client, payloads)) as [PackedSlice]; // What our own workflow gave to its `deliver`.
    return {
      ...came,
      kind: 'slice',
      slice: unpackSlice(packed),
      end,
      ...(startedAtMs === undefined ? {} : { startedAtMs }),
    };
  }
}

type Came = Pick<JobFact, 'runId' | 'atMs'>;

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

/** A report that cannot be read counts as a lost slice, as it does for the job. */
function endOf(report: unknown): SliceEnd {
  if (!isRecord(report) || !Array.isArray(report['failed']) || !Array.isArray(report['unsent']))
    return { kind: 'lost' };
  return { kind: 'reported', report: report as unknown as SliceReport }; // Its lists were looked at; our own `deliver` wrote it.
}

function readProgress(details: unknown): SliceProgress | undefined {
  if (!isRecord(details) || !Array.isArray(details['delivered']) || !Array.isArray(details['failed'])) return undefined;
  return details as unknown as SliceProgress; // The same.
}

function withProgress(progress: SliceProgress | undefined): { readonly progress?: SliceProgress } {
  return progress === undefined ? {} : { progress };
}

type Failure = NonNullable<HistoryEvent['activityTaskTimedOutEventAttributes']>['failure'];

function lastHeartbeat(failure: Failure): Payload[] | undefined {
  if (failure == null) return undefined;
  return failure.timeoutFailureInfo?.lastHeartbeatDetails?.payloads ?? lastHeartbeat(failure.cause);
}

/** The last heartbeats of the slices of an open run, by the id of their activity. */
async function heartbeats(client: Client, workflowId: string, runId: string): Promise<Map<string, SliceProgress>> {
  const { raw } = await client.workflow.getHandle(workflowId, runId).describe();
  const said = new Map<string, SliceProgress>();
  for (const { activityId, heartbeatDetails } of raw.pendingActivities ?? []) {
    const [details] = await decode(client, heartbeatDetails?.payloads);
    const progress = readProgress(details);
    if (progress !== undefined) said.set(activityId ?? '', progress);
  }
  return said;
}
