import { hash } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { deliveryId } from '../../../src/domain/delivery-id.ts';
import { rootSpanId } from '../../../src/features/spans/trace-ids.ts';
import { WorkerTracing } from '../../../src/features/spans/worker-tracing.ts';
import { trigger, VIP } from '../../activities/a-slice.ts';
import { aDeadLetter } from '../../domain/job/a-dead-letter.ts';
import { type Collector, startCollector } from './a-collector.ts';
import { SETTINGS } from '../../support/delivery-settings.ts';

function tracingOf({ url }: Collector, sampleRatio: number): WorkerTracing {
  const log = { warn: (message: string) => fail(message) };
  return new WorkerTracing({ endpoint: url, headers: {}, version: '1.2.3', log, sampleRatio, sendTraceparent: true });
}

function fail(message: string): never {
  throw new Error(message);
}

function sliceOf(count: number) {
  return {
    sliceId: 7,
    permits: 5,
    budgetMs: 1500,
    audiences: [VIP],
    triggers: Array.from({ length: count }, (_, index) => trigger(`u${index}`)),
    settings: {
      ...SETTINGS,
      webhookUrl: 'https://hooks.example.com/',
    },
  };
}

test('all workers sample the same triggers, about as many as configured, and each trace is whole', async () => {
  const slice = sliceOf(2000);
  const told: string[][] = [];
  for (let worker = 0; worker < 2; worker++) {
    const collector = await startCollector();
    const tracing = tracingOf(collector, 0.1);
    const spans = tracing.sliceBegan(slice, 'job');
    for (const index of slice.triggers.keys()) {
      spans.requestBegins(index);
      spans.requestEnded(index, { verdict: 'delivered', status: 200 });
    }
    await tracing.close();
    const [posts, roots] = ['POST', 'trigger'].map((name) => collector.spans.filter((span) => span.name === name));
    told.push(posts?.map(({ traceId }) => traceId) ?? []);
    expect(roots?.map(({ traceId }) => traceId)).toEqual(told[worker]);
  }
  expect(told[0]).toEqual(told[1]);
  expect(told[0]?.length).toBeGreaterThan(120);
  expect(told[0]?.length).toBeLessThan(280);
});

test('a sample ratio of 0 exports nothing, and each request tells its endpoint so', async () => {
  const collector = await startCollector();
  const tracing = tracingOf(collector, 0);
  const slice = sliceOf(1);
  const spans = tracing.sliceBegan(slice, 'job');
  const [id] = slice.triggers.map((one) => deliveryId(slice.settings.subscriptionId, one));
  expect(spans.requestBegins(0)).toMatch(new RegExp(`^00-${id}-[0-9a-f]{16}-00$`));
  spans.requestEnded(0, { verdict: 'delivered', status: 200 });
  tracing.died(aDeadLetter());
  await tracing.close();
  expect(collector.spans).toEqual([]);
});

test('[S23] a dead letter ends its trace with the error of its last attempt, and is the same when reported twice', async () => {
  const collector = await startCollector();
  const tracing = tracingOf(collector, 1);
  const letter = aDeadLetter({ redeliveries: 2, attempts: 7 });
  tracing.died(letter);
  tracing.died(letter);
  await tracing.close();
  const [span, again] = collector.spans;
  expect(again).toEqual(span);
  expect(span).toMatchObject({
    name: 'trigger',
    traceId: letter.deliveryId,
    parentSpanId: undefined,
    isError: true,
    spanId: rootSpanId(letter.deliveryId, 2, (text) => hash('sha256', text, 'hex')),
    startNs: BigInt(Date.parse(letter.at)) * 1_000_000n,
    endNs: BigInt(Date.parse(letter.diedAt)) * 1_000_000n,
    attributes: {
      'triggers.job_id': 'crm',
      'triggers.event': 'enter',
      'triggers.verdict': 'dead-letter',
      'triggers.attempts': 7,
      'triggers.redelivery': 2,
      'error.type': '422',
    },
  });
  for (const told of [letter.user, letter.audience.name, 'no such field'])
    expect(collector.bodies.join()).not.toContain(told);
});
