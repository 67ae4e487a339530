import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Histogram as PromHistogram, Registry } from 'prom-client';
import { Histogram } from '../../../src/worker/metrics/histogram.ts';
import { always } from '../../support/properties.ts';

const BUCKETS = [0.005, 0.25, 1, 14_400];
const OPTIONS = { name: 'a_duration_seconds', help: 'How long it\n"took".', buckets: BUCKETS };

function ours(): { readonly histogram: Histogram; readonly text: () => Promise<string> } {
  const registry = new Registry();
  const histogram = new Histogram({ ...OPTIONS, label: 'kind', registry });
  return { histogram, text: async () => await registry.metrics() };
}

test("a scrape of it is prom-client's own, letter by letter, whatever is observed", async () => {
  const values = fc.oneof(fc.constantFrom(...BUCKETS, 0), fc.double({ min: 0, max: 1e5, noNaN: true }));
  const observations = fc.array(fc.tuple(fc.constantFrom('live', 'backfill', '2xx', 'a"\\\n'), values));
  await always(
    fc.asyncProperty(observations, async (all) => {
      const registry = new Registry();
      const theirs = new PromHistogram({ ...OPTIONS, labelNames: ['kind'], registers: [registry] });
      const { histogram, text } = ours();
      for (const [kind, value] of all) {
        theirs.observe({ kind }, value);
        histogram.observe(kind, value);
      }
      expect(await text()).toBe(await registry.metrics());
    }),
  );
});

test('each value counts in its own bucket and in all larger ones, those beyond every bound in the last alone', async () => {
  const { histogram, text } = ours();
  for (const value of [0.25, 0.26, 20_000]) histogram.observe('live', value);
  const counts = Array.from((await text()).matchAll(/_bucket\{le="(.+?)",kind="live"\} (\d+)/g), ([, le, n]) => [
    le,
    n,
  ]);
  expect(counts).toEqual([
    ['0.005', '0'],
    ['0.25', '1'],
    ['1', '2'],
    ['14400', '2'],
    ['+Inf', '3'],
  ]);
});

test('what is no finite number is not counted, and leaves the sum as it was', async () => {
  const { histogram, text } = ours();
  for (const value of [0.5, NaN, Infinity]) histogram.observe('live', value);
  expect(await text()).toMatch(/_sum\{kind="live"\} 0\.5\n.*_count\{kind="live"\} 1\n/);
});
