import type { DeliveryLog } from '../activities/slice-telemetry.ts';
import type { DeliveryLane, DeliveryRow } from '../contract/delivery.ts';
import type { SliceInput, SliceTrigger } from '../contract/slice.ts';
import { deliveryId } from '../domain/delivery-id.ts';
import { sha256 } from '../webhook/request-maker.ts';

/** Turns attempts into rows. @param add takes each row. */
export function deliveryLogOf(worker: string, add: (row: DeliveryRow) => void): DeliveryLog {
  return {
    sliceBegan: (slice, jobId) => {
      const slugs = new Map(slice.audiences.map(({ id, slug }) => [id, slug]));
      const { subscriptionId } = slice.settings;
      return {
        attempted: (index, { status, code, answer, durationMs }, verdict, requestBytes, id) => {
          const trigger = slice.triggers[index];
          if (trigger === undefined) return;
          // One literal: this is done for each delivery.
          add({
            at: new Date().toISOString(),
            jobId,
            deliveryId: id ?? deliveryId(subscriptionId, trigger, sha256),
            user: trigger.user,
            audience: slugs.get(trigger.audience) ?? trigger.audience,
            event: trigger.event,
            triggerAt: trigger.at,
            attempt: (trigger.failures ?? 0) + 1,
            verdict,
            status,
            code,
            durationMs,
            requestBytes,
            answer,
            worker,
            lane: laneOf(slice, trigger),
          });
        },
      };
    },
  };
}

function laneOf({ kind = 'live' }: SliceInput, { redelivery }: SliceTrigger): DeliveryLane {
  return redelivery === undefined ? kind : 'redelivery';
}
