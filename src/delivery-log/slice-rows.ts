import type { DeliveryLog } from '../activities/slice-telemetry.ts';
import type { Exchange } from '../contract/delivery.ts';
import type { SliceTrigger } from '../contract/slice.ts';
import { deliveryId } from '../domain/delivery-id.ts';
import { laneOf, nextAttempt, supersededText } from '../domain/slice.ts';
import { sha256 } from '../webhook/sha256.ts';
import { storedDeed } from './deeds.ts';
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
      const addSuperseded = (by: SliceTrigger, sequence: number): void => {
        if (by.superseded === undefined) return;
        const { event, at, attempts = 0, replay } = by.superseded;
        const { user, audience } = by;
        writer.add({
          at: timeNow(),
          jobId,
          deliveryId: deliveryId(subscriptionId, { user, audience, event, at }, sha256),
          user,
          audience: slugs.get(audience) ?? audience,
          event,
          triggerAt: at,
          attempt: attempts,
          verdict: 'superseded',
          durationMs: 0,
          requestBytes: 0,
          answer: supersededText(by),
          worker,
          lane: replay === true ? 'replay' : 'backfill',
          sequence,
        });
      };
      return {
        wantsExchange: (verdict) => verdict !== 'delivered' || bodies === 'all',
        attempted: (index, { status, code, answer, durationMs }, verdict, request) => {
          const trigger = slice.triggers[index];
          if (trigger === undefined) return;
          const exchange = request?.exchange;
          const sequence = sequenceOf(scheduledAtMs, index);
          addSuperseded(trigger, sequence);
          // One literal: this is done for each delivery.
          writer.add({
            at: timeNow(),
            jobId,
            deliveryId: request?.id ?? deliveryId(subscriptionId, trigger, sha256),
            batchId: request?.batchId,
            user: trigger.user,
            audience: slugs.get(trigger.audience) ?? trigger.audience,
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
            worker,
            lane: laneOf(slice, trigger),
            sequence,
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

let [lastSecond, beginning] = [0, ''];

/** Making the whole text for each row would cost as much as all else of it. */
function timeNow(): string {
  const nowMs = Date.now();
  const second = Math.floor(nowMs / 1_000);
  if (second !== lastSecond)
    [lastSecond, beginning] = [second, new Date(nowMs).toISOString().slice(0, '2026-11-30T10:00:00.'.length)];
  return `${beginning}${String(nowMs % 1_000).padStart(3, '0')}Z`;
}

/** A slice has at most as many triggers. */
const PLACES = 1_000;

/** Places a row in its job. A person is in one slice at a time, and the server schedules the next one when that has ended. */
function sequenceOf(scheduledAtMs: number, place: number): number {
  return scheduledAtMs * PLACES + Math.min(place, PLACES - 1);
}
