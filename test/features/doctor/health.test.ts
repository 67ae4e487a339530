import { expect, test } from '@jest/globals';
import { WorkerFailed } from '../../../src/client/calls/errors.ts';
import { readWorkerHealth } from '../../../src/features/doctor/health.ts';
import { workerFindings } from '../../../src/features/doctor/findings.ts';

const WELL = {
  worker: '1@here',
  release: '0.2.0',
  nowMs: 5,
  payloadKeys: ['k1/ab'],
  authorizations: [],
  fingerprints: { crm: '0a1b' },
  hasDeliveryLog: true,
  problems: { source: 'It is away.' },
  disks: [
    { folder: '/watch', freeBytes: 1 },
    { folder: '/log', code: 'ENOTDIR' },
  ],
  expiring: [{ of: 'authorizations.crm.bearer', at: '2026-12-01T00:00:00Z' }],
};

test('the answer of a worker is read, also with more in it than this program knows', () => {
  expect(readWorkerHealth('q', WELL)).toEqual(WELL);
  expect(readWorkerHealth('q', { ...WELL, uptimeMs: 3 })).toEqual(WELL);
  const { fingerprints: _, ...older } = WELL;
  expect(readWorkerHealth('q', older)).toEqual(older);
});

test("an answer that cannot be read is that worker's failure, and hides no other finding", () => {
  for (const wrong of [
    null,
    'well',
    { ...WELL, worker: {} },
    { ...WELL, problems: null },
    { ...WELL, problems: { source: { toString: 1 } } },
    { ...WELL, disks: [{ folder: {} }] },
    { ...WELL, payloadKeys: 'all' },
    { ...WELL, fingerprints: { crm: {} } },
    { ...WELL, expiring: [{ of: {}, at: 5 }] },
  ])
    expect(() => readWorkerHealth('q', wrong)).toThrow(WorkerFailed);
});

test('of a long text in an answer, 4,000 characters are told', () => {
  const long = readWorkerHealth('q', { ...WELL, problems: { source: 'x'.repeat(1_000_000) } });
  const found = workerFindings({ taskQueue: 'q', answers: [{ ...long, aheadMs: 0, askerAheadMs: 0 }] }, [], 0);
  expect(found.find(({ check }) => check === 'source')?.problem).toHaveLength(4_000);
});
