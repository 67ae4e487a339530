import { expect, test } from '@jest/globals';
import type { PreparedJob } from '../../src/contract/ports.ts';
import { shownToPeople } from '../../src/domain/job-presentation.ts';

const prepared: PreparedJob & { ok: true } = {
  ok: true,
  definition: {
    label: 'VIP to CRM',
    audiences: ['vip'],
    webhookUrl: 'https://example.com/hook',
    authorization: null,
    exportFields: [],
    existingUsers: false,
    userLegacyMessageFormat: false,
    parallelRequestCount: 5,
    backfillPerSecond: null,
    backfillParallelCount: null,
  },
  audiences: [{ id: '42976a269a5e6b9d06c681b1c27292df', slug: 'vip', name: 'VIP' }],
  warnings: [],
  sourceLagMs: 0,
  missingSearchAttributes: [],
  requestTimeoutMs: 15_000,
  alertBacklogMs: 900_000,
  serverLimits: { payloadBytes: 1, signalsPerRun: 1, eventsPerRun: 1 },
};

test('a started job can be found by its id, its state and its audiences', () => {
  const { memo, typedSearchAttributes } = shownToPeople('vip-to-crm', prepared);
  expect(memo).toEqual({ label: 'VIP to CRM', audiences: [{ id: '42976a269a5e6b9d06c681b1c27292df', slug: 'vip' }] });
  expect(typedSearchAttributes?.map(({ key, value }) => [key.name, value])).toEqual([
    ['ExportJobId', 'vip-to-crm'],
    ['ExportJobStatus', 'starting'],
    ['ExportAudiences', ['42976a269a5e6b9d']],
  ]);
});

test('a namespace without the search attributes does not keep a job from starting', () => {
  const lacking = { ...prepared, missingSearchAttributes: ['ExportJobId'] };
  expect(shownToPeople('vip', lacking)).not.toHaveProperty('typedSearchAttributes');
});

test('a long label fits into the summary that the server takes', () => {
  const long = { ...prepared, definition: { ...prepared.definition, label: '顧'.repeat(200) } };
  expect(Buffer.byteLength(shownToPeople('vip', long).staticSummary)).toBeLessThan(310);
});
