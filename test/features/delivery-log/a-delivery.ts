import type { DeliveryRow } from '../../../src/features/delivery-log/delivery.ts';

/** A delivered enter, or as told. */
export function aDelivery(more: Partial<DeliveryRow> = {}): DeliveryRow {
  return {
    at: '2026-11-30T12:00:00.000Z',
    jobId: 'crm',
    deliveryId: 'id-1',
    user: 'ada',
    audience: 'vip',
    event: 'enter',
    triggerAt: '2026-11-30T11:59:59.123456789Z',
    attempt: 1,
    verdict: 'delivered',
    status: 200,
    durationMs: 12.5,
    requestBytes: 300,
    worker: '1@here',
    lane: 'live',
    sequence: 0,
    ...more,
  };
}
