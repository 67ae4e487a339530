import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ApiMetrics } from '../../src/api/api-metrics.ts';
import { readExposition, type ScrapedMetric, sumOf } from '../support/exposition.ts';
import { Operator, startTriggers } from '../support/triggers-cli.ts';
import { dashboard, queries } from '../ops/observability-files.ts';
import { readQuery } from '../ops/promql.ts';
import { CANARY, ScrapedWorker } from './a-scraped-worker.ts';

const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
/** Labels that Prometheus gives a series when it scrapes it. */
const OF_THE_SCRAPE = ['job', 'instance'];

let worker: ScrapedWorker;
let text: string;
let metrics: ReadonlyMap<string, ScrapedMetric>;
/** Of the API, which has taken nothing but one request of an ingest. */
let ofTheApi: ReadonlyMap<string, ScrapedMetric>;

beforeAll(async () => {
  worker = await ScrapedWorker.open();
  await worker.work();
  ({ text, metrics } = await worker.scrape());
  const api = new ApiMetrics();
  api.takenInBy('shop', { accepted: 0, refused: 0, unmatched: 0, ignored: 0 });
  ofTheApi = readExposition(await api.text());
});
afterAll(async () => worker.close());

test('every delivery and every attempt that failed is counted, as the endpoints saw them', () => {
  const delivered = { verdict: 'delivered' };
  const { well } = worker.jobs;
  // Not those that the unhealthy endpoint answered: it is probed meanwhile.
  const [taken, refused] = [worker.answered(200), worker.answered(422)];
  expect(sumOf(metrics, 'triggers_attempts_total', delivered)).toBe(taken);
  expect(sumOf(metrics, 'triggers_attempts_total', { verdict: 'refused' })).toBe(refused);
  expect(sumOf(metrics, 'triggers_request_duration_seconds_count', { status_class: '2xx' })).toBe(taken);
  expect(sumOf(metrics, 'triggers_request_duration_seconds_count', { status_class: '4xx' })).toBe(refused);
  expect(sumOf(metrics, 'triggers_delivery_age_seconds_count')).toBe(taken);
  // One member is what the new endpoint was tried with.
  expect(sumOf(metrics, 'triggers_attempts_total', { ...delivered, kind: 'backfill' })).toBe(worker.members - 1);
  expect(sumOf(metrics, 'triggers_job_delivered_total', { job_id: well })).toBe(worker.members + 5);
  expect(sumOf(metrics, 'triggers_token_fetches_total', { outcome: 'answered' })).toBe(1);
});

test('what only jobs know is told: who waits, whose endpoint is unhealthy, who has dead letters', () => {
  const { well, unhealthy, refusing } = worker.jobs;
  const told = (name: string) => [well, unhealthy, refusing].map((job_id) => sumOf(metrics, name, { job_id }));
  expect(sumOf(metrics, 'triggers_jobs', { told: 'yes' })).toBe(3);
  expect(told('triggers_job_waiting')).toEqual([0, 5, 0]);
  expect(told('triggers_job_endpoint_unhealthy')).toEqual([0, 1, 0]);
  expect(told('triggers_job_dead_letters_total')).toEqual([0, 0, 5]);
  expect(told('triggers_job_oldest_waiting_timestamp_seconds').map(Boolean)).toEqual([false, true, false]);
});

test('docs/metrics.md names every metric of a worker, with its type and its labels, and no other', () => {
  const rows = page.matchAll(/^\| `(triggers_\w+)` +\| (\w+) +\| ([^|]*)\|/gm);
  const documented = Array.from(rows, ([, name, type, labels = '']) => `${name} ${type} ${namesIn(labels).join(' ')}`);
  const exposed = [...metrics].filter(([name]) => name.startsWith('triggers_'));
  const expected = exposed.map(([name, { type, labels }]) => `${name} ${type} ${[...labels].sort().join(' ')}`);
  const ofTheWorker = documented.filter((line) => !/^triggers_(?:api|consumer|kafka|outbox)_/.test(line));
  expect(ofTheWorker.sort()).toEqual(expected.sort());
  for (const [name] of metrics) expect(name).toMatch(/^(triggers|process|nodejs|temporal)_/);
});

test.each(queries)('the query of "%s" asks for metrics, labels and values that there are', (_, query) => {
  const { selectors, grouped } = readQuery(query);
  const left = new Set([...OF_THE_SCRAPE, 'le']);
  for (const { metric, matchers } of selectors) {
    if (metric === 'up') continue; // Prometheus' own.
    const found = metrics.get(metric) ?? metrics.get(metric.replace(/_bucket$/, '')) ?? ofTheApi.get(metric);
    expect([metric, found?.samples.some(({ name }) => name === metric)]).toEqual([metric, true]);
    for (const label of found?.labels ?? []) left.add(label);
    for (const { label, operator, value } of matchers) {
      expect([label, found?.labels.has(label) === true || OF_THE_SCRAPE.includes(label)]).toEqual([label, true]);
      if (operator !== '=' || OF_THE_SCRAPE.includes(label)) continue;
      // Either it was there, or it is one that the page says there may be: nothing failed here.
      const seen = found?.samples.some(({ labels }) => labels[label] === value) === true;
      expect([value, seen || page.includes(`\`${value}\``)]).toEqual([value, true]);
    }
  }
  expect(grouped.filter((label) => !left.has(label))).toEqual([]);
});

test('the dashboard offers the jobs that told something', () => {
  for (const { definition } of dashboard.templating.list) {
    const [, metric = '', label = ''] = /^label_values\((\w+), (\w+)\)$/.exec(definition) ?? [];
    expect([metric, metrics.get(metric)?.labels.has(label)]).toEqual([metric, true]);
  }
});

test('[S23] no metric and no line of the log names a person or holds a secret; what failed has a line for each kind, what was delivered none', async () => {
  // What a worker says takes another way than what it counts.
  await worker.program.says(({ stderr }) => stderr.includes('"status":422') && stderr.includes('"status":503'));
  const { stderr } = worker.program;
  for (const said of [text, stderr]) {
    expect(said).not.toContain(CANARY);
    expect(said).not.toMatch(/a-secret|a-token|127\.0\.0\.1:/);
  }
  const lines = stderr.split('\n').filter((line) => line !== '');
  const logged = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  const failed = logged.filter((line) => line['msg'] !== 'alert');
  const counts = new Map<unknown, number>();
  for (const { msg, status, count } of failed) {
    expect(msg).toBe('attempts failed');
    counts.set(status, (counts.get(status) ?? 0) + Number(count));
  }
  const failures = (verdict: string) => sumOf(metrics, 'triggers_attempts_total', { verdict });
  expect(counts.get(422)).toBe(failures('refused'));
  expect(counts.get(503)).toBeGreaterThanOrEqual(failures('transient')); // It is probed meanwhile.
});

test('a port that is taken is reported at the start, and the worker ends', async () => {
  const { port } = new URL(worker.url);
  const env = { TRIGGERS_SOURCE: worker.source, TRIGGERS_METRICS_PORT: port };
  const { code, stderr } = await new Operator(worker.lab.taskQueue).run(['worker'], { env });
  expect(stderr).toContain(`Metrics cannot be served at 127.0.0.1:${port} (EADDRINUSE).`);
  expect(code).toBe(2);
});

test('without a port there are none', async () => {
  const env = { TRIGGERS_SOURCE: worker.source, TRIGGERS_TASK_QUEUE: `${worker.lab.taskQueue}-2` };
  const program = startTriggers(['worker', '--json'], { env });
  try {
    await program.says(({ stdout }) => stdout.endsWith('\n'));
    expect(JSON.parse(program.stdout)).not.toHaveProperty('metricsUrl');
  } finally {
    await program.kill();
  }
});

function namesIn(cell: string): string[] {
  return Array.from(cell.matchAll(/`(\w+)`/g), ([, name = '']) => name).sort();
}
