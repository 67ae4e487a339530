import type { SeenRequest } from '../../chaos/judge.ts';
import type { DeliveryRow } from '../../src/features/delivery-log/delivery.ts';

/** The log's row of a request that was answered with success. */
export function rowOf(
  { person, what, deliveryId, worker, arrivedAtMs }: SeenRequest,
  lane: DeliveryRow['lane'],
): DeliveryRow {
  return {
    at: new Date(arrivedAtMs).toISOString(),
    jobId: 'job-1',
    deliveryId,
    user: person,
    audience: what.split(' ')[0] ?? '',
    event: 'enter',
    triggerAt: '',
    attempt: 1,
    verdict: 'delivered',
    durationMs: 1,
    requestBytes: 1,
    worker,
    lane,
    sequence: 0,
  };
}
