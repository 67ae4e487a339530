import { expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { JobMetrics } from '../../../src/features/metrics/worker-metrics.ts';
import { aStatus } from '../../cli/a-status.ts';
import { readExposition, sumOf } from '../../support/exposition.ts';
import { type MetricsServer, startMetricsServer } from '../../../src/features/metrics/metrics-server.ts';
import { WorkerMetrics } from '../../../src/features/metrics/worker-metrics.ts';

test('metrics show each job, and forget a job that ended, which must not raise alarms for ever', async () => {
  const registry = new Registry();
  const jobs = new JobMetrics([registry]);
  const oldestWaitingAt = '2026-11-25T12:00:00.000000000Z';
  const ill = aStatus({
    jobId: 'ill',
    state: 'running',
    waiting: 7,
    oldestWaitingAt,
    endpoint: { state: 'unhealthy' },
  });
  jobs.replace([ill, aStatus({ jobId: 'well', state: 'paused', waiting: 0, delivered: 3 })], 2);
  const first = readExposition(await registry.metrics());
  expect(sumOf(first, 'triggers_jobs', { answered: 'yes' })).toBe(2);
  expect(sumOf(first, 'triggers_jobs', { answered: 'no' })).toBe(2);
  expect(sumOf(first, 'triggers_job_waiting', { job_id: 'ill' })).toBe(7);
  expect(sumOf(first, 'triggers_job_endpoint_unhealthy', { job_id: 'ill' })).toBe(1);
  expect(sumOf(first, 'triggers_job_endpoint_unhealthy', { job_id: 'well' })).toBe(0);
  expect(sumOf(first, 'triggers_job_state', { job_id: 'well', state: 'paused' })).toBe(1);
  expect(sumOf(first, 'triggers_job_delivered_total', { job_id: 'well' })).toBe(3);
  expect(sumOf(first, 'triggers_job_oldest_waiting_timestamp_seconds')).toBe(Date.parse(oldestWaitingAt) / 1000);

  jobs.replace([aStatus({ jobId: 'well', state: 'running', delivered: 4 })], 0);
  const second = await registry.metrics();
  expect(second).not.toContain('ill');
  expect(second).not.toContain('paused');
  // Told anew, not added to what it was.
  expect(sumOf(readExposition(second), 'triggers_job_delivered_total', { job_id: 'well' })).toBe(4);
});

test('watches are counted by their state, and those that need a person are named', async () => {
  const registry = new Registry();
  const jobs = new JobMetrics([registry]);
  jobs.replaceWatches(['waiting', 'scanning', 'failing', undefined]);
  const first = readExposition(await registry.metrics());
  expect(sumOf(first, 'triggers_watches', { state: 'running' })).toBe(2);
  expect(sumOf(first, 'triggers_watches', { state: 'failing' })).toBe(1);
  expect(sumOf(first, 'triggers_watches', { state: 'unknown' })).toBe(1);
  expect(jobs.watchProblem).toMatch(/1 failing/);
  jobs.replaceWatches(['held']);
  expect(jobs.watchProblem).toMatch(/1 holding a large exit/);
  jobs.replaceWatches(['waiting']);
  expect(jobs.watchProblem).toBeUndefined();
});

async function served(use: (server: MetricsServer) => Promise<void>, text = () => Promise.resolve('a_metric 1\n')) {
  const server = await startMetricsServer({
    host: '127.0.0.1',
    port: 0,
    contentType: 'text/plain; version=0.0.4',
    text,
  });
  try {
    await use(server);
  } finally {
    await server.close();
  }
}

test('metrics are served at /metrics, and nothing elsewhere', async () => {
  await served(async ({ url }) => {
    const answer = await fetch(url);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/plain; version=0.0.4']);
    expect(await answer.text()).toBe('a_metric 1\n');
    expect((await fetch(new URL('/', url))).status).toBe(404);
    expect((await fetch(url, { method: 'POST' })).status).toBe(404);
  });
});

test('a failure while metrics are collected is a 500 that does not reveal it', async () => {
  const failing = () => Promise.reject(new Error('s3cret'));
  await served(async ({ url }) => {
    const answer = await fetch(url);
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain('s3cret');
  }, failing);
});

test('a port that is taken is reported, not waited for', async () => {
  await served(async ({ url }) => {
    const port = Number(new URL(url).port);
    const again = startMetricsServer({ host: '127.0.0.1', port, contentType: '', text: () => Promise.resolve('') });
    await expect(again).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});

test('an age that is no number fails no delivery, and is not counted', async () => {
  const metrics = new WorkerMetrics();
  for (const ageMs of [500, NaN]) metrics.delivered('live', ageMs);
  expect(await metrics.text()).toMatch(/_age_seconds_sum\{kind="live"\} 0\.5\n.*_age_seconds_count\{kind="live"\} 1\n/);
});
