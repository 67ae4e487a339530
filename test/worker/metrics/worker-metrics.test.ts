import { expect, test } from '@jest/globals';
import { WorkerMetrics } from '../../../src/worker/metrics/worker-metrics.ts';

test('an age that is no number fails no delivery, and is not counted', async () => {
  const metrics = new WorkerMetrics();
  for (const ageMs of [500, NaN]) metrics.delivered('live', ageMs);
  expect(await metrics.text()).toMatch(/_age_seconds_sum\{kind="live"\} 0\.5\n.*_age_seconds_count\{kind="live"\} 1\n/);
});
