import { expect, test } from '@jest/globals';
import { authorizationSchema } from '../../src/authorizations/authorization-config.ts';
import type { Config } from '../../src/app/config.ts';
import { deliveryId } from '../../src/domain/delivery-id.ts';
import type { Answer } from '../../src/features/local/receiver.ts';
import type { RecorderOptions } from '../../demo/recorder.ts';
import { Lab } from '../support/lab.ts';
import { type CollectedSpan, type Collector, startCollector } from '../features/spans/a-collector.ts';
import { afterwards } from '../webhook/a-server.ts';

const ADA = '7076027172059065053';
const AT = '2026-01-01T00:00:00.123456789Z';
/** The whole job waits for a second, and the trigger's next attempt comes. */
const BUSY: Answer = { status: 503, headers: { 'retry-after': '1' }, body: 'answer-c4n4ry' };

async function openLab(
  tracing: Partial<NonNullable<Config['tracing']>> & { endpoint: string },
  receiver: RecorderOptions,
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

test('a delivery with two retries is one trace by its delivery id: one root and three attempts sent as headers', async () => {
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
