import type { DeliveryLog } from '../../activities/slice-telemetry.ts';
import type { Exchange } from '../../contract/delivery.ts';
import type { SupersededTrigger } from '../../contract/holder.ts';
import type { SliceTrigger } from '../../contract/slice.ts';
import { deliveryId } from '../../domain/delivery-id.ts';
import { laneOf, nextAttempt, supersededText } from '../../domain/slice.ts';
import { sha256 } from '../../webhook/sha256.ts';
import { storedDeed } from './deeds.ts';
import type { StoredRow } from './delivery-store.ts';
import type { LogWriter } from './log-writer.ts';

/** Which requests are kept, of those that made an attempt. */
export type KeptBodies = 'none' | 'failed' | 'all';

export interface SliceRowsOptions {
  readonly worker: string;
  readonly bodies: KeptBodies;
  /** Encrypts what was sent and answered; undefined: it is kept as it is. */
  readonly seal: ((text: string) => string) | undefined;
  readonly writer: Pick<LogWriter, 'add' | 'addDeed'>;
}

/** Turns attempts and deeds into rows. */
export function deliveryLogOf({ worker, bodies, seal, writer }: SliceRowsOptions): DeliveryLog {
  return {
    deedDone: (id, deed) => writer.addDeed(storedDeed(id, deed, seal)),
    sliceBegan: (slice, jobId, scheduledAtMs) => {
      const slugs = new Map(slice.audiences.map(({ id, slug }) => [id, slug]));
      const { subscriptionId } = slice.settings;
      const rowOf = (trigger: SliceTrigger, index: number) => ({
        at: new Date().toISOString(),
        jobId,
        user: trigger.user,
        audience: slugs.get(trigger.audience) ?? trigger.audience,
        worker,
        sequence: sequenceOf(scheduledAtMs, index),
      });
      const superseded = (
        by: SliceTrigger,
        index: number,
        { event, at, attempts = 0, replay }: SupersededTrigger,
      ): StoredRow => ({
        ...rowOf(by, index),
        deliveryId: deliveryId(subscriptionId, { user: by.user, audience: by.audience, event, at }, sha256),
        event,
        triggerAt: at,
        attempt: attempts,
        verdict: 'superseded',
        durationMs: 0,
        requestBytes: 0,
        answer: supersededText(by),
        lane: replay === true ? 'replay' : 'backfill',
      });
      return {
        wantsExchange: (verdict) => verdict !== 'delivered' || bodies === 'all',
        attempted: (index, { status, code, answer, durationMs }, verdict, request) => {
          const trigger = slice.triggers[index];
          if (trigger === undefined) return;
          const exchange = request?.exchange;
          if (trigger.superseded !== undefined) writer.add(superseded(trigger, index, trigger.superseded));
          writer.add({
            ...rowOf(trigger, index),
            deliveryId: request?.id ?? deliveryId(subscriptionId, trigger, sha256),
            batchId: request?.batchId,
            event: trigger.event,
            triggerAt: trigger.at,
            attempt: nextAttempt(trigger),
            verdict,
            status,
            code,
            durationMs,
            requestBytes: request?.bytes ?? 0,
            // Without a request, it is a text of ours.
            answer: seal === undefined || request === undefined ? (exchange?.response?.body ?? answer) : undefined,
            lane: laneOf(slice, trigger),
            exchange: exchange && textOf(exchange),
          });
        },
      };
    },
  };

  function textOf({ request, response }: Exchange): string {
    const text = JSON.stringify(bodies === 'none' ? { response } : { request, response });
    return seal === undefined ? text : seal(text);
  }
}

/** A slice has at most as many triggers. */
const PLACES = 1_000;

/** Places a row in its job. A person is in one slice at a time, and the server schedules the next one when that has ended. */
function sequenceOf(scheduledAtMs: number, place: number): number {
  return scheduledAtMs * PLACES + Math.min(place, PLACES - 1);
}
