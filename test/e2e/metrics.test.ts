import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { defaultPayloadConverter } from '@temporalio/common';
import { Webhook } from 'standardwebhooks';
import { ApiMetrics } from '../../src/api/service-routes.ts';
import { type Recorder, startRecorder } from '../../demo/recorder.ts';
import { OutsideAlerts, type OutsideAlertsOptions } from '../../src/features/alerts/outside-alerts.ts';
import { release } from '../../src/config/release.ts';
import { dashboard, queries } from '../ops/observability-files.ts';
import { readQuery } from '../ops/promql.ts';
import { readExposition, type ScrapedMetric, sumOf } from '../support/exposition.ts';
import { Lab } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { temporal } from '../support/temporal.ts';
import { jsonLines, Operator, startTriggers } from '../support/triggers-cli.ts';
import { configured } from '../webhook/an-authorization.ts';
import { CANARY, ScrapedWorker } from './a-scraped-worker.ts';
import { afterwards } from '../webhook/a-server.ts';

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
  // Also the member that the new endpoint was tried with.
  expect(sumOf(metrics, 'triggers_attempts_total', { ...delivered, kind: 'backfill' })).toBe(worker.members);
  expect(sumOf(metrics, 'triggers_job_delivered_total', { job_id: well })).toBe(worker.members + 5);
  expect(sumOf(metrics, 'triggers_token_fetches_total', { outcome: 'answered' })).toBe(1);
});

test('the metrics have what only jobs know: waiting triggers, unhealthy endpoints and dead letters', () => {
  const { well, unhealthy, refusing } = worker.jobs;
  const told = (name: string) => [well, unhealthy, refusing].map((job_id) => sumOf(metrics, name, { job_id }));
  expect(sumOf(metrics, 'triggers_jobs', { answered: 'yes' })).toBe(3);
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

test('the dashboard offers the jobs that reported something', () => {
  for (const { definition } of dashboard.templating.list) {
    const [, metric = '', label = ''] = /^label_values\((\w+), (\w+)\)$/.exec(definition) ?? [];
    expect([metric, metrics.get(metric)?.labels.has(label)]).toEqual([metric, true]);
  }
});

test('[S23] metrics and logs hold no person or secret; the log has a line per failure kind, none for deliveries', async () => {
  // What a worker says takes another way than what it counts.
  const failures = (verdict: string) => sumOf(metrics, 'triggers_attempts_total', { verdict });
  await worker.program.says((program) => {
    const counts = failuresIn(program.stderr);
    return (counts.get(422) ?? 0) >= failures('refused') && (counts.get(503) ?? 0) >= failures('transient');
  });
  const { stderr } = worker.program;
  for (const said of [text, stderr]) {
    expect(said).not.toContain(CANARY);
    expect(said).not.toMatch(/a-secret|a-token|127\.0\.0\.1:/);
  }
  const kinds = new Set(logged(stderr).map(({ msg }) => msg));
  expect([...kinds].filter((msg) => msg !== 'alert')).toEqual(['attempts failed']);
  expect(failuresIn(stderr).get(422)).toBe(failures('refused'));
});

/** The whole lines of a worker's log. */
function logged(stderr: string): Record<string, unknown>[] {
  return jsonLines(stderr.slice(0, stderr.lastIndexOf('\n') + 1));
}

/** How many failed attempts a log tells of, by status. The unhealthy endpoint is probed meanwhile. */
function failuresIn(stderr: string): Map<unknown, number> {
  const counts = new Map<unknown, number>();
  for (const { status, count } of logged(stderr))
    if (status !== undefined) counts.set(status, (counts.get(status) ?? 0) + Number(count));
  return counts;
}

test('a port that is taken is reported at the start, and the worker ends', async () => {
  const { port } = new URL(worker.url);
  const env = { TRIGGERS_SOURCE: worker.source, TRIGGERS_METRICS_PORT: port };
  const { code, stderr } = await new Operator(worker.lab.taskQueue).run(['worker'], { env, fails: true });
  expect(stderr).toContain(`Metrics cannot be served at 127.0.0.1:${port} (EADDRINUSE).`);
  expect(code).toBe(2);
});

test('a worker without a port serves no metrics', async () => {
  const env = { TRIGGERS_SOURCE: worker.source, TRIGGERS_TASK_QUEUE: `${worker.lab.taskQueue}-2` };
  const program = startTriggers(['worker', '--json'], { env });
  afterwards(() => program.kill());
  await program.says(({ stdout }) => stdout.endsWith('\n'));
  const { address, namespace } = temporal;
  const taskQueue = `${worker.lab.taskQueue}-2`;
  expect(JSON.parse(program.stdout)).toEqual({ address, namespace, taskQueue, release: release() });
});

function namesIn(cell: string): string[] {
  return Array.from(cell.matchAll(/`(\w+)`/g), ([, name = '']) => name).sort();
}

describe('alerts', () => {
  const SECRET = `whsec_${Buffer.alloc(32, 9).toString('base64')}`;

  interface Told {
    readonly id: string;
    readonly number: number;
    readonly alert: string;
    readonly state: string;
    readonly text: string;
    readonly job: { readonly id: string };
    readonly isGenuine: boolean;
  }

  let lab: Lab;
  let operators: Recorder;
  /** What the operators' webhook accepted, in order; and whether it accepts anything now. */
  const told: Told[] = [];
  const world = { operatorsTake: true, refused: 0, isUnhealthy: false };

  beforeAll(async () => {
    operators = await startRecorder({
      answer: () => {
        if (world.operatorsTake) return undefined;
        world.refused++;
        return { status: 503 };
      },
      onArrival: ({ headers }, body) => {
        if (!world.operatorsTake) return;
        const given = Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name, String(value)]));
        const alert = new Webhook(SECRET).verify(body, given) as Omit<Told, 'id' | 'isGenuine'>;
        told.push({ ...alert, id: given['webhook-id'] ?? '', isGenuine: true });
      },
      keepBodies: true,
    });
    lab = await Lab.open({
      receiver: {
        answer: ({ message }) =>
          world.isUnhealthy ? { status: 503 } : message?.user === 'bad' ? { status: 422 } : undefined,
      },
      config: {
        alerts: { url: operators.url, authorization: 'operators', backlogMinutes: 15 },
        authorizations: configured({
          operators: { origins: [new URL(operators.url).origin], signingSecrets: [SECRET] },
        }),
      },
    });
  });
  afterAll(async () => Promise.all([lab.close(), operators.close()]));

  async function until(job: string, alert: string, state: string): Promise<Told> {
    const isIt = (one: Told) => one.job.id === job && one.alert === alert && one.state === state;
    await answerWhen(
      () => told,
      (all) => all.some(isIt),
    );
    return told.find(isIt) as Told; // It was there.
  }

  test('alerts of a job arrive signed, once and one after the other, though their webhook is away for a while', async () => {
    const job = await lab.start({ parallelRequestCount: 3 });
    await lab.jobs.enter(job, { audience: 'vip', user: 'first', profile: {} });
    await lab.statusWhen(job, ({ delivered }) => delivered === 1);
    world.isUnhealthy = true;
    world.operatorsTake = false;
    for (const user of ['a', 'b', 'c']) await lab.jobs.enter(job, { audience: 'vip', user, profile: {} });
    await lab.statusWhen(job, ({ endpoint }) => endpoint?.state === 'unhealthy');
    await answerWhen(
      () => world.refused,
      (refused) => refused > 0,
    );
    world.isUnhealthy = false;
    await lab.jobs.resume(job);
    await lab.statusWhen(job, ({ delivered }) => delivered === 4);
    world.operatorsTake = true;
    const ended = await until(job, 'endpoint-unhealthy', 'ended');
    const ofJob = told.filter((one) => one.job.id === job);
    expect(ofJob).toMatchObject([
      { number: 1, state: 'began', isGenuine: true, text: expect.stringContaining('HTTP 503') },
      { number: 2, state: 'ended' },
    ]);
    expect(ended.id).not.toBe(ofJob[0]?.id);
  });

  test('in the Temporal UI, a job says what each of its steps and timers is about', async () => {
    const job = await lab.start();
    await lab.statusWhen(job, ({ state }) => state === 'running');
    expect(await summaries(job)).toContain('the next run begins');
    await lab.jobs.enter(job, { audience: 'vip', user: 'good', profile: {} });
    await lab.statusWhen(job, ({ delivered }) => delivered === 1);
    await lab.jobs.enter(job, { audience: 'vip', user: 'bad', profile: {} });
    await stopWithOneLetter(job);
    await until(job, 'dead-letters', 'happened');
    expect(await summaries(job)).toEqual(
      expect.arrayContaining(['1 trigger, 1 permit', '1 dead letter', 'dead-letters happened']),
    );
  });

  test('a job that was ended from outside raises one alert, whichever workers look, and none if it began again', async () => {
    const [ended, jobId] = [await lab.start(), await lab.start()];
    for (const job of [ended, jobId]) await lab.handle(job).terminate();
    const definition = { label: 'Lab', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
    await lab.jobs.start(definition, { jobId, discardRecoverable: true });
    const logged = await answerWhen(
      async () => await look({ isSent: false }),
      (alerts) => alerts.length > 0,
    );
    expect(logged).toMatchObject([{ jobId: ended, alert: 'job-ended' }]);
    await lab.addWorker();
    await hasEnded(await until(ended, 'job-ended', 'happened'));
    expect(await look()).toEqual([]);
  });

  test('dead letters raise an alert a day before they expire, one for each day and job', async () => {
    const job = await lab.start();
    await lab.jobs.enter(job, { audience: 'vip', user: 'good', profile: {} });
    await lab.statusWhen(job, ({ delivered }) => delivered === 1);
    await lab.jobs.enter(job, { audience: 'vip', user: 'bad', profile: {} });
    await stopWithOneLetter(job);
    const atMs = Date.now() + 29 * 86_400_000;
    const ofJob = async () => (await look({ nowMs: () => atMs })).filter(({ jobId }) => jobId === job);
    const raised = await answerWhen(ofJob, ({ length }) => length > 0);
    expect(raised).toMatchObject([{ alert: 'dead-letters-expiring' }]);
    await hasEnded(await until(job, 'dead-letters-expiring', 'happened'));
    expect(await ofJob()).toEqual([]);
    expect(await look({ nowMs: () => atMs - 2 * 86_400_000 })).toEqual([]);
  });

  /** Another worker looks: the alerts that it has sent, or logged. */
  async function look(options: Partial<OutsideAlertsOptions> = {}) {
    const { client, taskQueue } = lab;
    const logged: Readonly<Record<string, unknown>>[] = [];
    const log = { warn: (_: string, fields: Readonly<Record<string, unknown>>) => void logged.push(fields) };
    const alerts = new OutsideAlerts({ client, taskQueue, isSent: true, log, ...options });
    await alerts.look();
    alerts.close();
    return logged;
  }

  /** Its workflow, which has the same id, has nothing more to send. */
  async function hasEnded({ id }: Told): Promise<void> {
    await lab.client.workflow.getHandle(id).result();
  }

  /** A job that stops reports at once, without gathering. */
  async function stopWithOneLetter(job: string): Promise<void> {
    await lab.statusWhen(job, ({ deadLetters }) => deadLetters === 1);
    await lab.jobs.stop(job);
  }

  /** What the Temporal UI writes beside the activities and timers of a job's history. */
  async function summaries(job: string): Promise<unknown[]> {
    const { events } = await lab.handle(job).fetchHistory();
    return (events ?? []).flatMap(({ userMetadata }) =>
      userMetadata?.summary == null ? [] : [defaultPayloadConverter.fromPayload(userMetadata.summary)],
    );
  }
});
