import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { authorizationSchema } from '../../src/config/authorization-config.ts';
import type { Config } from '../../src/config/config.ts';
import { deliveryId } from '../../src/domain/delivery-id.ts';
import { deadLetterWorkflowId } from '../../src/domain/names.ts';
import type { Answer, ReceiverOptions } from '../../src/local/receiver.ts';
import { Lab } from '../support/lab.ts';
import { type Program, startTriggers } from '../support/triggers-cli.ts';
import { type CollectedSpan, type Collector, nowhere, startCollector } from '../tracing/a-collector.ts';
import { afterwards } from '../webhook/a-server.ts';

const ADA = '7076027172059065053';
const AT = '2026-01-01T00:00:00.123456789Z';
/** The whole job waits for a second, and the trigger's next attempt comes. */
const BUSY: Answer = { status: 503, headers: { 'retry-after': '1' }, body: 'answer-c4n4ry' };

async function openLab(
  tracing: Partial<NonNullable<Config['tracing']>> & { endpoint: string },
  receiver: ReceiverOptions,
  config: Partial<Config> = {},
): Promise<Lab> {
  const all = { headers: {}, sampleRatio: 1, sendTraceparent: true, ...tracing };
  const lab = await Lab.open({ receiver: { keepBodies: true, ...receiver }, config: { tracing: all, ...config } });
  afterwards(() => lab.close());
  return lab;
}

/** The answers, one after another; then 200. */
function inTurn(...answers: readonly Answer[]): () => Answer | undefined {
  let next = 0;
  return () => answers[next++];
}

const named = (spans: readonly CollectedSpan[], name: string) => spans.filter((span) => span.name === name);
const hasRoots = (count: number) => (collector: Collector) => named(collector.spans, 'trigger').length >= count;
const sent = (lab: Lab) => lab.receiver.ledger.entries.map(({ headers }) => headers?.['traceparent']);

/** The delivery id, as somebody who signals can know it. */
async function deliveryIdIn(lab: Lab, job: string): Promise<string> {
  const { subscriptionId } = await lab.jobs.status(job);
  const vip = 'ab'.repeat(16);
  return deliveryId(subscriptionId, { user: ADA, audience: vip, event: 'enter', at: AT });
}

test('a delivery with two retries is one trace: its delivery id, one root, three attempts, of which the endpoint was told each', async () => {
  const collector = await startCollector();
  const lab = await openLab({ endpoint: collector.url }, { answer: inTurn(BUSY, BUSY) });
  lab.source.setProfile(ADA, { email: 'e' });
  const job = await lab.start();
  await lab.jobs.push(job, [{ event: 'enter', audience: 'vip', user: ADA, at: AT }]);
  await collector.until(hasRoots(1));
  const traceId = await deliveryIdIn(lab, job);
  await lab.stopWorkers();

  const { spans } = collector;
  expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([traceId]));
  const [root, ...others] = named(spans, 'trigger');
  expect(others).toEqual([]);
  const posts = named(spans, 'POST');
  expect(posts.map(({ attributes }) => attributes['http.response.status_code'])).toEqual([503, 503, 200]);
  expect(posts.map(({ attributes }) => attributes['triggers.verdict'])).toEqual([
    'throttled',
    'throttled',
    'delivered',
  ]);
  expect(posts.map(({ isError }) => isError)).toEqual([true, true, false]);
  // Each slice looked the person up.
  expect(named(spans, 'look up profiles')).toHaveLength(3);
  expect(spans.filter((span) => span !== root).every(({ parentSpanId }) => parentSpanId === root?.spanId)).toBe(true);
  expect(root).toMatchObject({ parentSpanId: undefined, isError: false, attributes: { 'triggers.job_id': job } });
  expect(root?.startNs).toBe(BigInt(Date.parse(AT.replace('456789', ''))) * 1_000_000n);
  expect(root?.endNs).toBe(posts[2]?.endNs);

  expect(sent(lab)).toEqual(posts.map(({ spanId }) => `00-${traceId}-${spanId}-01`));
  expect(new Set(posts.map(({ spanId }) => spanId)).size).toBe(3);
});

test('a dead letter is the end of a trace, with an error; redelivered, it goes on in the same trace under another root', async () => {
  const collector = await startCollector();
  const lab = await openLab({ endpoint: collector.url }, { answer: inTurn({ status: 200 }, { status: 422 }) });
  const job = await lab.start();
  // An endpoint that never took anything is not believed that it is this message alone that it will not take.
  await lab.jobs.push(job, [{ event: 'exit', audience: 'vip', user: 'first', profile: {} }]);
  await collector.until(hasRoots(1));
  await lab.jobs.push(job, [{ event: 'exit', audience: 'vip', user: ADA, at: AT, profile: {} }]);
  await collector.until(hasRoots(2));
  await lab.statusWhen(job, ({ deadLetters }) => deadLetters === 1);
  const letter = deadLetterWorkflowId(lab.receiver.ledger.entries[1]?.deliveryId ?? '', 0);
  await lab.client.workflow.getHandle(letter).signal('redeliver', { force: true });
  await collector.until(hasRoots(3));
  const [, dead, delivered] = named(collector.spans, 'trigger');
  expect(dead).toMatchObject({ isError: true, attributes: { 'error.type': '422', 'triggers.verdict': 'dead-letter' } });
  expect(delivered).toMatchObject({ isError: false, attributes: { 'triggers.redelivery': 1 } });
  expect(delivered?.traceId).toBe(dead?.traceId);
  const [, ...posts] = named(collector.spans, 'POST');
  expect(posts.map(({ parentSpanId }) => parentSpanId)).toEqual([dead?.spanId, delivered?.spanId]);
  expect(dead?.spanId).not.toBe(delivered?.spanId);
});

test('at the ratio 0 nothing is told, and the endpoint is told that; nobody is sent a trace who did not ask for it', async () => {
  const collector = await startCollector();
  const lab = await openLab({ endpoint: collector.url, sampleRatio: 0 }, {});
  const job = await lab.start();
  await lab.jobs.push(job, [{ event: 'enter', audience: 'vip', user: ADA, profile: {} }]);
  await lab.arrives(ADA);
  await lab.stopWorkers();
  await lab.addWorker({ tracing: { endpoint: collector.url, headers: {}, sampleRatio: 1, sendTraceparent: false } });
  await lab.jobs.push(job, [{ event: 'enter', audience: 'vip', user: 'silent', profile: {} }]);
  await lab.arrives('silent');
  await lab.stopWorkers();
  const [first, second] = sent(lab);
  expect(first).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  expect(second).toBeUndefined();
  expect(named(collector.spans, 'POST').map(({ traceId }) => traceId)).toEqual([
    lab.receiver.ledger.entries[1]?.deliveryId,
  ]);
});

test('a collector that is away, or hangs, changes nothing for those who are delivered', async () => {
  const collector = await startCollector();
  collector.answer = 'hang';
  for (const endpoint of [collector.url, await nowhere()]) {
    const lab = await openLab({ endpoint }, { keepBodies: false });
    const job = await lab.start({ parallelRequestCount: 20 });
    await lab.jobs.push(
      job,
      Array.from({ length: 500 }, (_, i) => ({ event: 'exit' as const, audience: 'vip', user: `u${i}`, profile: {} })),
    );
    await lab.receiver.ledger.waitFor(({ delivered }) => delivered === 500);
    expect(await lab.jobs.status(job)).toMatchObject({ deadLetters: 0, retried: 0 });
    await lab.stopWorkers();
    expect(lab.receiver.ledger.summary()).toMatchObject({ requests: 500, duplicates: 0 });
  }
});

test('[S22] [S23] no secret, no person and no profile is in what a collector gets, whatever happens', async () => {
  const collector = await startCollector();
  const canaries = ['header', 'bearer', 'query', 'path', 'parameter', 'profile', 'user', 'answer'];
  const [header, bearer, query, path, parameter, profile, user] = canaries.map((kind) => `${kind}-c4n4ry`);
  const lab = await openLab(
    { endpoint: collector.url, headers: { 'x-api-key': 'collector-c4n4ry' } },
    { answer: inTurn(BUSY, { status: 422, body: 'answer-c4n4ry' }) },
  );
  await lab.stopWorkers();
  const authorizations = {
    crm: authorizationSchema.parse({
      origins: [new URL(lab.receiver.url).origin],
      headers: { 'x-key': header },
      bearer,
      queryParameters: { key: query },
    }),
  };
  await lab.addWorker({ authorizations });
  lab.source.setProfile(`other-${user}`, { email: `${profile}` });
  const webhookUrl = `${lab.receiver.url}${path}?token=${parameter}`;
  const job = await lab.start({ webhookUrl, authorization: 'crm' });
  const enter = (who: string, more: object = {}) => ({ event: 'enter' as const, audience: 'vip', user: who, ...more });
  await lab.jobs.push(job, [enter(`${user}`, { profile: { email: profile } })]);
  await collector.until(hasRoots(1));
  await lab.jobs.push(job, [enter(`other-${user}`)]);
  await collector.until(hasRoots(2));
  lab.source.failure = new Error(`source-c4n4ry ${user}`);
  await lab.jobs.push(job, [enter(`third-${user}`)]);
  await collector.until(({ spans }) => named(spans, 'not sent').length > 0);
  lab.source.failure = undefined;
  lab.source.setProfile(`third-${user}`, {});
  await collector.until(hasRoots(3));
  await lab.stopWorkers();

  expect(collector.spans.length).toBeGreaterThan(10);
  expect(collector.bodies.join()).not.toContain('c4n4ry');
  // It was all there to be told.
  const seen = JSON.stringify(lab.receiver.ledger.entries.map(({ headers, body }) => [headers, body]));
  for (const canary of [header, bearer, profile, user]) expect(seen).toContain(canary);
  expect(collector.headers[0]?.['x-api-key']).toBe('collector-c4n4ry');
});

test('when a worker is killed, what another delivers is in the trace that it had begun', async () => {
  const collector = await startCollector();
  const folder = mkdtempSync(join(tmpdir(), 'tracing-test-'));
  afterwards(async () => rmSync(folder, { recursive: true }));
  const lab = await openLab({ endpoint: collector.url }, { answer: inTurn(BUSY, 'hang') });
  await lab.stopWorkers();
  mkdirSync(join(folder, 'audiences'));
  writeFileSync(join(folder, 'profiles.ndjson'), '');
  const programs: Program[] = [];
  afterwards(async () => void (await Promise.all(programs.map((program) => program.kill()))));
  writeFileSync(
    join(folder, 'triggers.config.json'),
    JSON.stringify({
      network: { allowHttp: true, allowAddresses: ['127.0.0.0/8'] },
      source: { kind: 'file', folder: '.' },
      tracing: { sendTraceparent: true },
      requestTimeoutMs: 2000,
    }),
  );
  const start = async (): Promise<Program> => {
    const env = {
      TRIGGERS_CONFIG: join(folder, 'triggers.config.json'),
      TRIGGERS_TASK_QUEUE: lab.taskQueue,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url.replace('/v1/traces', ''),
    };
    const program = startTriggers(['worker'], { env });
    programs.push(program);
    await program.says(({ stdout }) => stdout.includes('Worker ready'));
    return program;
  };
  await lab.addWorker();
  const job = await lab.start();
  await lab.statusWhen(job, ({ state }) => state === 'running');
  await lab.stopWorkers();

  const first = await start();
  await lab.jobs.push(job, [{ event: 'exit', audience: 'vip', user: ADA, at: AT, profile: {} }]);
  await collector.until(({ spans }) => named(spans, 'POST').length === 1);
  await lab.receiver.ledger.waitFor(({ entries }) => entries.length === 2);
  await first.kill();
  await start();
  await collector.until(hasRoots(1));

  const { spans } = collector;
  const workers = new Set(spans.map(({ resource }) => resource['service.instance.id']));
  expect(workers.size).toBe(2);
  const [root] = named(spans, 'trigger');
  const posts = named(spans, 'POST');
  expect(posts.map(({ attributes }) => attributes['http.response.status_code'])).toEqual([503, 200]);
  expect(posts.map(({ traceId, parentSpanId }) => [traceId, parentSpanId])).toEqual(
    posts.map(() => [root?.traceId, root?.spanId]),
  );
  // What it was in the middle of is not told, but its endpoint knows of which trace it was.
  expect(sent(lab).map((header) => header?.slice(3, 35))).toEqual(Array.from({ length: 3 }, () => root?.traceId));
});
