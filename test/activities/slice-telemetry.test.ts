import { expect, test } from '@jest/globals';
import { DefaultLogger, type LogEntry } from '@temporalio/worker';
import fc from 'fast-check';
import { SliceTelemetry } from '../../src/activities/slice-telemetry.ts';
import type { SliceInput, SliceKind } from '../../src/contract/slice.ts';
import { WorkerMetrics } from '../../src/features/metrics/worker-metrics.ts';
import { readExposition, type ScrapedMetric, sumOf } from '../support/exposition.ts';
import { trigger, VIP } from './a-slice.ts';
import { settledPlaces } from '../../src/domain/job/settling.ts';
import { readProgress } from '../../src/domain/slice.ts';
import { SettledTriggers } from '../../src/activities/send-budget.ts';
import { always } from '../support/properties.ts';
import { SETTINGS } from '../support/delivery-settings.ts';

// No word of hexadecimal digits: delivery ids are random, and one in a hundred of them spells "ada".
const USER = 'grace@example.com';
const SECONDS_AGO_20 = new Date(Date.now() - 20_000).toISOString();

interface Heard {
  readonly telemetry: SliceTelemetry;
  readonly lines: LogEntry[];
  readonly scrape: () => Promise<ReadonlyMap<string, ScrapedMetric>>;
}

function telemetryOf({ logsAttempts = false, kind }: { logsAttempts?: boolean; kind?: SliceKind } = {}): Heard {
  const lines: LogEntry[] = [];
  const log = new DefaultLogger('DEBUG', (entry) => lines.push(entry));
  const metrics = new WorkerMetrics();
  const slice: SliceInput = {
    sliceId: 7,
    ...(kind === undefined ? {} : { kind }),
    permits: 5,
    budgetMs: 1500,
    audiences: [VIP],
    triggers: Array.from({ length: 1000 }, () => trigger(USER, { at: SECONDS_AGO_20 })),
    settings: {
      ...SETTINGS,
      webhookUrl: 'https://hooks.example.com/path-s3cret?token=s3cret',
    },
  };
  const telemetry = new SliceTelemetry({ slice, log, logsAttempts, metrics });
  return { telemetry, lines, scrape: async () => readExposition(await metrics.text()) };
}

const delivered = { status: 204, durationMs: 12 } as const;
const refused = { status: 422, durationMs: 5 } as const;

test('a thousand deliveries write no line, and a thousand refusals one, with how many there were', () => {
  const well = telemetryOf();
  for (let i = 0; i < 1000; i++) well.telemetry.requestEnded([i], delivered, 'delivered');
  well.telemetry.close();
  expect(well.lines).toEqual([]);

  const { telemetry, lines } = telemetryOf();
  for (let i = 0; i < 999; i++) telemetry.requestEnded([i], refused, 'refused');
  telemetry.requestEnded([999], { ...refused, durationMs: 70 }, 'refused');
  telemetry.close();
  expect(lines).toMatchObject([
    {
      level: 'WARN',
      message: 'attempts failed',
      meta: { slice: 7, verdict: 'refused', status: 422, count: 1000, durationMs: 70 },
    },
  ]);
});

test('each kind of failure has a line of its own: by status, or by code where there was none', () => {
  const { telemetry, lines } = telemetryOf();
  telemetry.requestEnded([0], refused, 'refused');
  telemetry.requestEnded([1], { status: 503, durationMs: 1 }, 'transient');
  telemetry.requestEnded([2], { code: 'ECONNREFUSED', durationMs: 1 }, 'transient');
  telemetry.attempted(3, { code: 'PROFILE_MISSING', durationMs: 0 }, 'profile-missing');
  telemetry.attempted(4, { code: 'TOKEN_UNAVAILABLE', reason: 'invalid_client', durationMs: 0 }, 'worker-fault');
  telemetry.close();
  expect(lines.map(({ meta }) => [meta?.['verdict'], meta?.['status'] ?? meta?.['code'], meta?.['reason']])).toEqual([
    ['refused', 422, undefined],
    ['transient', 503, undefined],
    ['transient', 'ECONNREFUSED', undefined],
    ['profile-missing', 'PROFILE_MISSING', undefined],
    ['worker-fault', 'TOKEN_UNAVAILABLE', 'invalid_client'],
  ]);
});

test('a status that asked to wait only sometimes has a line, and a count, for each of its verdicts', async () => {
  const { telemetry, lines, scrape } = telemetryOf();
  telemetry.requestEnded([0], { status: 503, durationMs: 1 }, 'transient');
  telemetry.requestEnded([1], { status: 503, durationMs: 1 }, 'throttled');
  telemetry.close();
  expect(lines.map(({ meta }) => [meta?.['verdict'], meta?.['status']])).toEqual([
    ['transient', 503],
    ['throttled', 503],
  ]);
  const metrics = await scrape();
  expect(sumOf(metrics, 'triggers_attempts_total', { verdict: 'transient', kind: 'live' })).toBe(1);
  expect(sumOf(metrics, 'triggers_attempts_total', { verdict: 'throttled', kind: 'live' })).toBe(1);
});

test('at debug each attempt has a line, under the id that its endpoint was sent', () => {
  const { telemetry, lines } = telemetryOf({ logsAttempts: true });
  telemetry.requestEnded([0], delivered, 'delivered');
  telemetry.requestEnded([1], refused, 'refused');
  expect(lines).toMatchObject([
    { level: 'DEBUG', message: 'attempted', meta: { verdict: 'delivered', status: 204, durationMs: 12 } },
    { level: 'DEBUG', message: 'attempted', meta: { verdict: 'refused', status: 422, durationMs: 5 } },
  ]);
  expect(lines[0]?.meta?.['deliveryId']).toMatch(/^[0-9a-f]{32}$/);
});

test('[S23] no line names a person or holds anything of the URL, at any level', () => {
  const { telemetry, lines } = telemetryOf({ logsAttempts: true });
  telemetry.requestEnded([0], delivered, 'delivered');
  telemetry.requestEnded([1], refused, 'refused');
  telemetry.close();
  expect(lines).toHaveLength(3);
  const text = JSON.stringify(lines, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
  expect(text).not.toMatch(/grace|s3cret|hooks/);
});

test('attempts are counted by verdict, status class and kind, requests by how long they took', async () => {
  const { telemetry, scrape } = telemetryOf({ kind: 'backfill' });
  for (let i = 0; i < 4; i++) telemetry.requestBegan();
  telemetry.requestEnded([0], delivered, 'delivered');
  telemetry.requestEnded([1], refused, 'refused');
  telemetry.requestEnded([2], { code: 'ECONNREFUSED', durationMs: 1 }, 'transient');
  telemetry.attempted(3, { code: 'PROFILE_MISSING', durationMs: 0 }, 'profile-missing');
  const during = await scrape();
  expect(sumOf(during, 'triggers_requests_in_flight')).toBe(1);
  expect(sumOf(during, 'triggers_slices_running')).toBe(1);
  expect(sumOf(during, 'triggers_permits')).toBe(5);
  telemetry.close();
  const after = await scrape();
  expect(sumOf(after, 'triggers_slices_running') + sumOf(after, 'triggers_permits')).toBe(0);
  const attempts = (verdict: string, status_class: string) =>
    sumOf(after, 'triggers_attempts_total', { kind: 'backfill', verdict, status_class });
  expect(attempts('delivered', '2xx')).toBe(1);
  expect(attempts('refused', '4xx')).toBe(1);
  expect(attempts('transient', 'none')).toBe(1);
  expect(attempts('profile-missing', 'none')).toBe(1);
  expect(sumOf(after, 'triggers_attempts_total')).toBe(4);
  // What was never sent took no time.
  expect(sumOf(after, 'triggers_request_duration_seconds_count')).toBe(3);
  expect(sumOf(after, 'triggers_request_duration_seconds_sum', { status_class: '2xx' })).toBe(0.012);
});

test('the age of a delivery is counted from its "at", of what was delivered alone', async () => {
  const { telemetry, scrape } = telemetryOf();
  telemetry.requestEnded([0], delivered, 'delivered');
  telemetry.requestEnded([1], refused, 'refused');
  const metrics = await scrape();
  expect(sumOf(metrics, 'triggers_delivery_age_seconds_count', { kind: 'live' })).toBe(1);
  const seconds = sumOf(metrics, 'triggers_delivery_age_seconds_sum');
  expect(seconds).toBeGreaterThanOrEqual(20);
  expect(seconds).toBeLessThan(60);
});

test('deliveries are reported as ranges', () => {
  const settled = new SettledTriggers(8);
  for (const index of [5, 0, 1, 2, 7]) settled.deliver(index);
  expect(settled.progress()).toEqual({
    delivered: [
      [0, 2],
      [5, 5],
      [7, 7],
    ],
    failed: [],
  });
});

test('the job can tell every unsent trigger from the heartbeat, whatever is settled', () => {
  const places = fc.uniqueArray(fc.nat(49));
  always(
    fc.property(places, places, (delivered, failed) => {
      const settled = new SettledTriggers(50);
      for (const index of delivered) settled.deliver(index);
      for (const index of failed) if (!settled.isDelivered(index)) settled.failed.set(index, { index, durationMs: 1 });
      const told = settledPlaces(readProgress(structuredClone(settled.progress()), 50));
      expect([...Array(50).keys()].filter((index) => !told.has(index))).toEqual(settled.unsent());
      expect(settled.unsent().length + new Set([...delivered, ...failed]).size).toBe(50);
    }),
  );
});

test('a halved batch is reported until it is delivered', () => {
  const settled = new SettledTriggers(3);
  settled.deliver(0);
  settled.halved = [
    [0, 4],
    [1, 1],
    [2, 4],
  ];
  expect(settled.progress()).toEqual({
    delivered: [[0, 0]],
    failed: [],
    halved: [
      [1, 1],
      [2, 4],
    ],
  });
  settled.deliver(1);
  settled.deliver(2);
  expect(settled.progress()).not.toHaveProperty('halved');
});
