import { expect, test } from '@jest/globals';
import type { SliceInput, SliceTrigger } from '../../../src/contract/slice.ts';
import { deliveryId } from '../../../src/domain/delivery-id.ts';
import { SliceSpans, type Span } from '../../../src/features/spans/slice-spans.ts';
import { SETTINGS } from '../../support/delivery-settings.ts';

const VIP = { id: 'a'.repeat(32), slug: 'vip', name: 'VIP' };
const AT = '2026-01-01T00:00:00.5Z';

interface Told {
  readonly spans: Span[];
  readonly slice: SliceSpans;
  readonly idOf: (index: number) => string;
}

function telling(
  triggers: readonly Partial<SliceTrigger>[],
  options: { url?: string; sendsTraceparent?: boolean; isSampled?: (traceId: string) => boolean } = {},
): Told {
  const spans: Span[] = [];
  let ids = 0;
  const all = triggers.map((one, index): SliceTrigger => ({
    user: `grace-${index}@example.com`,
    audience: VIP.id,
    event: 'enter',
    at: AT,
    profile: '{}',
    ...one,
  }));
  const input: SliceInput = {
    sliceId: 7,
    permits: 5,
    budgetMs: 1500,
    audiences: [VIP],
    triggers: all,
    settings: {
      ...SETTINGS,
      webhookUrl: options.url ?? 'https://hooks.example.com/path-s3cret?token=s3cret',
    },
  };
  const slice = new SliceSpans({
    slice: input,
    jobId: 'vip-to-crm',
    sendsTraceparent: options.sendsTraceparent ?? false,
    isSampled: options.isSampled ?? (() => true),
    newSpanId: () => String(++ids).padStart(16, '0'),
    tell: (span) => spans.push(span),
  });
  return { spans, slice, idOf: (index) => deliveryId(SETTINGS.subscriptionId, all[index] ?? fail()) };
}

function fail(): never {
  throw new Error('There is no such trigger.');
}

const delivered = { verdict: 'delivered', status: 204 } as const;

test('a delivery is a request under its trigger, and the trigger from its "at" to the end of that', () => {
  const { slice, spans, idOf } = telling([{}]);
  const before = Date.now();
  expect(slice.requestBegins(0)).toBeUndefined();
  slice.requestEnded(0, delivered);
  const [post, trigger] = spans;
  const job = { 'triggers.job_id': 'vip-to-crm', 'triggers.kind': 'live', 'triggers.event': 'enter' };
  expect(post).toMatchObject({ name: 'POST', traceId: idOf(0), isRequest: true, isError: false });
  expect(post?.attributes).toEqual({
    ...job,
    'triggers.attempt': 1,
    'triggers.verdict': 'delivered',
    'http.request.method': 'POST',
    'server.address': 'hooks.example.com',
    'server.port': 443,
    'http.response.status_code': 204,
  });
  expect(post?.startMs).toBeGreaterThanOrEqual(before);
  expect(trigger).toEqual({
    name: 'trigger',
    traceId: idOf(0),
    spanId: post?.parentSpanId,
    isRequest: false,
    isError: false,
    startMs: Date.parse(AT),
    endMs: post?.endMs,
    attributes: { ...job, 'triggers.verdict': 'delivered' },
  });
});

test('an attempt that failed is an error by its status, or by its code; the trigger has no span yet', () => {
  const { slice, spans } = telling([{ attempts: 3 }, {}]);
  slice.requestBegins(0);
  slice.requestEnded(0, { verdict: 'transient', status: 503 });
  slice.requestBegins(1);
  slice.requestEnded(1, { verdict: 'transient', code: 'ECONNREFUSED' });
  expect(spans.map(({ name, isError, attributes }) => [name, isError, attributes['error.type']])).toEqual([
    ['POST', true, '503'],
    ['POST', true, 'ECONNREFUSED'],
  ]);
  expect(spans[0]?.attributes).toMatchObject({
    'triggers.attempt': 4,
    'triggers.verdict': 'transient',
    'http.response.status_code': 503,
  });
  expect(spans[1]?.attributes).not.toHaveProperty('http.response.status_code');
});

test('a trigger without a request gets no request span, and its trace has the profile look-up once', () => {
  const { slice, spans, idOf } = telling([{ profile: undefined }, {}] as Partial<SliceTrigger>[]);
  slice.profilesRead(Date.now() - 250, false);
  slice.attempted(0, { verdict: 'source', code: 'SOURCE_UNAVAILABLE' });
  slice.attempted(0, { verdict: 'source', code: 'SOURCE_UNAVAILABLE' });
  slice.attempted(1, { verdict: 'unsendable', code: 'PAYLOAD_IMPOSSIBLE' });
  expect(spans.map(({ name, traceId, isError, isRequest }) => [name, traceId, isError, isRequest])).toEqual([
    ['look up profiles', idOf(0), true, false],
    ['not sent', idOf(0), true, false],
    ['not sent', idOf(0), true, false],
    ['not sent', idOf(1), true, false],
  ]);
  const [lookUp] = spans;
  expect(Number(lookUp?.endMs) - Number(lookUp?.startMs)).toBeGreaterThanOrEqual(250);
});

test('an unsampled trigger gets no spans, but its header still goes out on request, marked as not sampled', () => {
  const isSampled = (traceId: string): boolean => traceId !== idOf(0);
  const { slice, spans, idOf } = telling([{}, {}], { sendsTraceparent: true, isSampled });
  expect(slice.requestBegins(0)).toBe(`00-${idOf(0)}-0000000000000001-00`);
  expect(slice.requestBegins(1)).toBe(`00-${idOf(1)}-0000000000000002-01`);
  slice.requestEnded(0, delivered);
  slice.requestEnded(1, delivered);
  slice.attempted(0, { verdict: 'profile-missing', code: 'PROFILE_MISSING' });
  expect(spans.map(({ name, spanId }) => [name, spanId])).toEqual([
    ['POST', '0000000000000002'],
    ['trigger', spans[0]?.parentSpanId],
  ]);
});

test('a trigger from the future, or from before 1970, gets a span that a collector can take', () => {
  const { slice, spans } = telling([{ at: '2999-01-01T00:00:00Z' }, { at: '1900-01-01T00:00:00Z' }]);
  for (const index of [0, 1]) {
    slice.requestBegins(index);
    slice.requestEnded(index, delivered);
  }
  const [first, second] = spans.filter(({ name }) => name === 'trigger');
  expect(first?.startMs).toBe(spans[0]?.startMs);
  expect(second?.startMs).toBe(0);
});

test('a redelivered dead letter stays in the same trace, under a root of its own', () => {
  const { slice, spans } = telling([{}, { user: 'grace-0@example.com', redelivery: 1 }]);
  for (const index of [0, 1]) {
    slice.requestBegins(index);
    slice.requestEnded(index, delivered);
  }
  const roots = spans.filter(({ name }) => name === 'trigger');
  expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
  expect(new Set(roots.map(({ spanId }) => spanId)).size).toBe(2);
  expect(spans.filter(({ name }) => name === 'POST').map(({ parentSpanId }) => parentSpanId)).toEqual(
    roots.map(({ spanId }) => spanId),
  );
  expect(roots.map(({ attributes }) => attributes['triggers.redelivery'])).toEqual([undefined, 1]);
});

test.each([
  ['http://127.0.0.1:8080/x', '127.0.0.1', 8080],
  ['http://hooks.example.com/', 'hooks.example.com', 80],
  ['https://[2001:db8::1]/', '2001:db8::1', 443],
])('the span of a request to %s names the host and the port', (url, address, port) => {
  const { slice, spans } = telling([{}], { url });
  slice.requestBegins(0);
  slice.requestEnded(0, { verdict: 'transient', status: 500 });
  expect(spans[0]?.attributes).toMatchObject({ 'server.address': address, 'server.port': port });
});

test('[S23] no span names a person, or holds anything of a URL but its host and port', () => {
  const { slice, spans } = telling([{ profile: '{"email":"profile-s3cret"}' }]);
  slice.requestBegins(0);
  slice.requestEnded(0, { verdict: 'refused', status: 422 });
  slice.requestBegins(0);
  slice.requestEnded(0, delivered);
  slice.attempted(0, { verdict: 'unsendable', code: 'PAYLOAD_IMPOSSIBLE' });
  expect(spans).toHaveLength(4);
  expect(JSON.stringify(spans)).not.toMatch(/grace|s3cret/);
});
