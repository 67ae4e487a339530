import { randomUUID } from 'node:crypto';
import type { DeadLetter } from '../../../src/contract/dead-letter.ts';
import { jobWorkflowId } from '../../../src/domain/names.ts';

/** A dead letter of nobody's job, refused with 422; with what a test wants otherwise. */
export function aDeadLetter(more: Partial<DeadLetter> = {}): DeadLetter {
  return {
    v: 1,
    jobWorkflowId: jobWorkflowId('crm'),
    subscriptionId: '5b'.repeat(16),
    deliveryId: randomUUID().replaceAll('-', ''),
    redeliveries: 0,
    user: '7076027172059065053',
    audience: { id: 'ab'.repeat(16), slug: 'vip', name: 'Very important' },
    event: 'enter',
    at: '2020-10-14T13:27:33.916374949-07:00',
    failure: { at: '2026-11-25T04:00:00.000Z', status: 422, answer: 'no such field' },
    attempts: 1,
    diedAt: '2026-11-25T04:00:01.000Z',
    hasSearchAttributes: true,
    ...more,
  };
}
