import type { ServerResponse } from 'node:http';
import { expect, test } from '@jest/globals';
import { storedDeed } from '../../../src/features/delivery-log/deeds.ts';
import { LogWriter } from '../../../src/features/delivery-log/log-writer.ts';
import { openDeliveryStore, readableLog } from '../../../src/features/delivery-log/open-log.ts';
import { until } from '../../support/patience.ts';
import { serveHttp } from '../../webhook/a-server.ts';
import { nowhere, startCollector } from '../spans/a-collector.ts';
import { aDelivery } from './a-delivery.ts';

const SETTINGS = { certificateAuthorities: [], connectTimeoutMs: 5_000, statementTimeoutMs: 10_000, retentionDays: 30 };
const ID = '061907e97f654d8c9a1f7a0d2f3b4c5d';

function storeAt(endpoint: string, statementTimeoutMs = SETTINGS.statementTimeoutMs) {
  return openDeliveryStore(
    { ...SETTINGS, statementTimeoutMs, otlp: { endpoint, headers: { 'x-api-key': 'secret' } } },
    'one',
  );
}

/** A collector of the test's own, until the test is over. */
async function serverFor(answer: (body: string, response: ServerResponse) => void): Promise<string> {
  return await serveHttp((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => answer(Buffer.concat(chunks).toString(), response));
  });
}

interface LogRecord {
  readonly timeUnixNano: string;
  readonly severityText: string;
  readonly traceId: string;
  readonly body: { readonly stringValue: string };
  readonly attributes: readonly { readonly key: string; readonly value: Readonly<Record<string, string>> }[];
}

/** The records of a request, as OTLP has them. */
function recordsIn(body: string): LogRecord[] {
  const { resourceLogs } = JSON.parse(body) as {
    resourceLogs: { scopeLogs: { logRecords: LogRecord[] }[] }[];
  };
  return resourceLogs.flatMap(({ scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords));
}

test('each attempt is a log record of its own, in the trace of its trigger, and secrets are in the headers alone', async () => {
  const collector = await startCollector();
  const store = storeAt(collector.url);
  const at = '2026-11-30T12:00:00.123Z';
  const rows = [
    aDelivery({ at, deliveryId: ID, status: 200, durationMs: 12.4 }),
    aDelivery({ at, deliveryId: ID, verdict: 'transient', status: undefined, code: 'ECONNREFUSED' }),
  ];
  await store.write({ number: 1, rows, dropped: 0 });
  await store.close();
  const [told, failed] = recordsIn(collector.bodies[0] ?? '');
  expect(told).toMatchObject({
    timeUnixNano: `${Date.parse(at)}000000`,
    severityText: 'INFO',
    traceId: ID,
    body: { stringValue: 'enter vip: delivered 200' },
  });
  expect(failed).toMatchObject({ severityText: 'WARN', body: { stringValue: 'enter vip: transient ECONNREFUSED' } });
  const values = Object.fromEntries((told?.attributes ?? []).map(({ key, value }) => [key, value]));
  expect(values).toMatchObject({
    'triggers.webhook_id': { stringValue: ID },
    'triggers.attempt': { intValue: '1' },
    'triggers.duration_ms': { intValue: '13' },
    'http.response.status_code': { intValue: '200' },
  });
  expect(values).not.toHaveProperty('error.type');
  expect(collector.headers[0]).toMatchObject({ 'x-api-key': 'secret', 'content-type': 'application/json' });
  expect(collector.bodies[0]).not.toContain('secret');
});

test('a deed is a log record with who, what and why', async () => {
  const collector = await startCollector();
  const store = storeAt(collector.url);
  const at = '2026-11-30T12:00:00.123Z';
  const by = { who: 'ops', door: 'api', reason: 'it moves' } as const;
  const deed = storedDeed('run 1', { at, kind: 'job', target: 'crm', jobId: 'crm', action: 'pause', ...by }, undefined);
  await store.write({ number: 1, rows: [], deeds: [deed], dropped: 0 });
  await store.close();
  const [told] = recordsIn(collector.bodies[0] ?? '');
  expect(told).toMatchObject({ timeUnixNano: `${Date.parse(at)}000000`, body: { stringValue: 'job crm: pause' } });
  const values = Object.fromEntries((told?.attributes ?? []).map(({ key, value }) => [key, value['stringValue']]));
  expect(values).toMatchObject({
    'triggers.job_id': 'crm',
    'triggers.who': 'ops',
    'triggers.door': 'api',
    'triggers.reason': 'it moves',
  });
});

test('a large batch goes in several requests', async () => {
  const collector = await startCollector();
  const store = storeAt(collector.url);
  const exchange = 'x'.repeat(1024 * 1024);
  const rows = Array.from({ length: 9 }, () => ({ ...aDelivery({ deliveryId: ID }), exchange }));
  await store.write({ number: 1, rows, dropped: 0 });
  await store.close();
  expect(collector.bodies.map((body) => recordsIn(body).length)).toEqual([3, 3, 3]);
});

test('rows wait while the collector is away, and are dropped only if it will never take them', async () => {
  const collector = await startCollector();
  const counted: string[] = [];
  const problems: (string | undefined)[] = [];
  const writer = new LogWriter({
    store: storeAt(collector.url),
    log: { warn: () => undefined, info: () => undefined },
    counted: (outcome, rows) => counted.push(`${outcome} ${rows}`),
    noticed: (problem) => problems.push(problem),
  });
  collector.answer = 503;
  writer.add(aDelivery({ deliveryId: ID, user: 'ada' }));
  await until(() => problems.length > 0);
  collector.answer = 200;
  await until(() => counted.length > 0);
  collector.answer = 400;
  writer.add(aDelivery({ deliveryId: ID, user: 'bob' }));
  await until(() => counted.length > 1);
  await writer.close();
  expect(counted.slice(0, 2)).toEqual(['written 1', 'dropped 1']);
  expect(problems).toEqual([expect.stringContaining('HTTP 503'), undefined]);
});

test('a collector that takes less at once gets smaller requests, and loses only what is too large by itself', async () => {
  const taken: string[] = [];
  const collector = await serverFor((body, response) => {
    const isTooLarge = body.length > 3_000;
    if (!isTooLarge) taken.push(...recordsIn(body).map(({ traceId }) => traceId));
    response.writeHead(isTooLarge ? 413 : 200).end('{}');
  });
  const store = storeAt(collector);
  const rows = Array.from({ length: 9 }, (_, n) =>
    aDelivery({ deliveryId: `${n}`.repeat(32), user: n === 4 ? 'x'.repeat(4_000) : 'ann' }),
  );
  expect(await store.write({ number: 1, rows, dropped: 0 })).toBe(1);
  expect(taken).toEqual([0, 1, 2, 3, 5, 6, 7, 8].map((n) => `${n}`.repeat(32)));
  await store.close();
});

test('a collector whose answer never ends holds nobody up', async () => {
  const collector = await serverFor((_, response) => {
    response.writeHead(200);
    const drip = setInterval(() => response.write(' '), 50);
    response.once('close', () => clearInterval(drip));
  });
  const store = storeAt(collector, 400);
  expect(await store.write({ number: 1, rows: [aDelivery({ deliveryId: ID })], dropped: 0 })).toBe(0);
  await store.close();
});

test('a collector that is not there is told as an error with its code, and its log cannot be read', async () => {
  const endpoint = await nowhere();
  const store = storeAt(endpoint);
  await expect(store.write({ number: 1, rows: [aDelivery()], dropped: 0 })).rejects.toMatchObject({
    name: 'DeliveryLogError',
    code: 'ECONNREFUSED',
    isOfRows: false,
  });
  await store.close();
  expect(readableLog({ ...SETTINGS, otlp: { endpoint, headers: {} } })).toBeUndefined();
});
