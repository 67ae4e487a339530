import type { Client } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { tsToMs } from '@temporalio/common/lib/time.js';
import type { PackedSlice, SliceReport } from '../contract/slice.ts';
import type { TriggerEvent } from '../contract/trigger.ts';
import type { Arrival } from '../domain/dispatcher/arriving.ts';
import type { Remains } from '../domain/dispatcher/recovering.ts';
import { unpackSlice } from '../domain/packed-slice.ts';
import {
  enterSignal,
  exitSignal,
  pageSignal,
  permitsReturnedSignal,
  redeliveredSignal,
  triggersSignal,
} from '../workflows/messages.ts';
import { decode, historyEvents } from './history-events.ts';

/** What the history of a job's last run says, as far as recovery needs it. */
export interface EndedRun {
  /** What the run was given. */
  readonly input: unknown;
  /** Whether a worker ever ran it. */
  readonly wasTakenUp: boolean;
  /** Everything that was signalled to it, one by one, oldest first. */
  readonly arrivals: Remains['arrivals'];
  /** The slices that ended normally. */
  readonly reports: Remains['reports'];
}

/** Reads a run's history to its end. */
export async function readEndedRun(client: Client, workflowId: string, runId: string): Promise<EndedRun> {
  let input: unknown;
  let wasTakenUp = false;
  const arrivals: EndedRun['arrivals'][number][] = [];
  const reports: EndedRun['reports'][number][] = [];
  const scheduled = new Map<string, readonly Payload[]>();

  for await (const event of historyEvents(client, workflowId, runId)) {
    if (event.workflowExecutionStartedEventAttributes != null) {
      [input] = await decode(client, event.workflowExecutionStartedEventAttributes.input?.payloads);
    } else if (event.workflowTaskCompletedEventAttributes != null) {
      wasTakenUp = true;
    } else if (event.workflowExecutionSignaledEventAttributes != null) {
      const { signalName, input: argument } = event.workflowExecutionSignaledEventAttributes;
      const at = event.eventTime == null ? 0 : tsToMs(event.eventTime);
      const [raw] = await decode(client, argument?.payloads);
      arrivals.push(...arrivalsOf(signalName ?? '', raw).map((arrival) => ({ arrival, at })));
    } else if (event.activityTaskScheduledEventAttributes?.activityType?.name === 'deliver') {
      scheduled.set(String(event.eventId), event.activityTaskScheduledEventAttributes.input?.payloads ?? []);
    } else if (event.activityTaskCompletedEventAttributes != null) {
      const { scheduledEventId, result } = event.activityTaskCompletedEventAttributes;
      const slice = scheduled.get(String(scheduledEventId));
      if (slice === undefined) continue;
      scheduled.delete(String(scheduledEventId));
      // Our own `deliver` received the one and returned the other.
      const [[taken], [report]] = await Promise.all([decode(client, slice), decode(client, result?.payloads)]);
      reports.push({ slice: unpackSlice(taken as PackedSlice), report: report as SliceReport });
    }
  }
  return { input, wasTakenUp, arrivals, reports };
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

/** A signal as the job's inbox takes it in: one that carries many triggers is that many arrivals. */
export function arrivalsOf(name: string, raw: unknown): Arrival[] {
  const kind = KINDS.get(name);
  if (kind !== undefined) return [{ kind, raw }];
  if (!EVENTS.has(name)) return [{ kind: 'unknown', name }];
  const event = EVENTS.get(name);
  return (Array.isArray(raw) ? raw : [raw]).map((one: unknown) => ({ kind: 'trigger', raw: one, event }));
}
