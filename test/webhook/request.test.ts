import { expect, test } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { deliveryId } from '../../src/domain/delivery-id.ts';
import { parseInstant } from '../../src/domain/instant.ts';
import { createNanosecondClock, type RequestMarks, shownRequest } from '../../src/webhook/request.ts';
import { RequestMaker } from '../../src/webhook/request-maker.ts';
import { authorizationsOf } from './an-authorization.ts';

test('it tells the wall-clock time, with nine digits and an offset', () => {
  const now = createNanosecondClock();
  for (let i = 0; i < 1000; i++) {
    const before = Date.now();
    const text = now();
    expect(text).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00$/);
    expect(Date.parse(text)).toBeGreaterThanOrEqual(before - 3);
    expect(Date.parse(text)).toBeLessThanOrEqual(Date.now() + 3);
  }
});

test('two consecutive times differ by less than a millisecond', () => {
  const now = createNanosecondClock();
  const times = Array.from({ length: 100 }, () => parseInstant(now()) ?? '');
  expect(new Set(times).size).toBeGreaterThan(50);
  expect(times.some((time) => !time.endsWith('000000Z'))).toBe(true);
});

const audience = { id: 'a'.repeat(32), slug: 'vip', name: 'VIP' };
const trigger = { user: '1', audience: audience.id, event: 'enter' as const, at: '2026-01-01T00:00:00Z' };
const settings = {
  subscriptionId: '5'.repeat(32),
  revision: 1,
  webhookUrl: 'https://example.com/hook',
  authorization: 'crm',
  exportFields: ['email'],
  userLegacyMessageFormat: false,
  requestTimeoutMs: 15_000,
};

async function requestWith(
  headers: Record<string, string>,
  signingSecrets: string[],
  changes: Partial<typeof settings> = {},
  marks: RequestMarks = {},
) {
  const origins = ['https://example.com'];
  const found = await authorizationsOf({
    crm: { origins, headers, signingSecrets, queryParameters: { key: 'k' } },
  }).lookUp('crm', new URL(origins[0] ?? ''));
  if (!found.ok) throw new Error(found.code);
  const profile = { email: 'e', name: 'n' };
  const maker = new RequestMaker({ ...settings, ...changes });
  const item = maker.item(trigger, audience, profile);
  const made = maker.request([item], found.authorization, 'audience-triggers/1.2.3', marks);
  const pairs = made.headers.flatMap((text, i, all) => (i % 2 === 0 ? [[text, all[i + 1]] as const] : []));
  expect(new Set(pairs.map(([name]) => name)).size).toBe(pairs.length);
  // Each name is followed by its value.
  return { headers: Object.fromEntries(pairs) as Record<string, string>, body: String(made.body) };
}

test('a request has exactly the headers that are promised', async () => {
  expect((await requestWith({}, [])).headers).toEqual({
    'content-type': 'application/json',
    'user-agent': 'audience-triggers/1.2.3',
    'webhook-id': deliveryId(settings.subscriptionId, trigger),
    'webhook-timestamp': expect.stringMatching(/^\d{10}$/),
  });
});

test('with an authorization and a secret it has their headers too', async () => {
  const secret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
  expect(Object.keys((await requestWith({ authorization: 'Bearer x' }, [secret])).headers)).toEqual([
    'content-type',
    'user-agent',
    'webhook-id',
    'webhook-timestamp',
    'authorization',
    'webhook-signature',
  ]);
});

test.each([
  [false, ['id', 'data', 'meta']],
  [true, ['id', 'data', 'collected', 'table', 'segment_events', 'subscriptionid']],
])('with the legacy format %s, the body has the keys %j', async (userLegacyMessageFormat, keys) => {
  const { body } = await requestWith({}, [], { userLegacyMessageFormat });
  expect(Object.keys(JSON.parse(body) as object)).toEqual(keys);
  expect(body).toContain('"email":"e"');
  expect(body).not.toContain('"name":"n"');
});

test('[S26] every attempt has the same id, but its own time', async () => {
  const [one, other] = [await requestWith({}, []), await requestWith({}, [])];
  expect(one.headers['webhook-id']).toBe(other.headers['webhook-id']);
  expect(one.body).not.toBe(other.body);
});

test('[S26] the time that is signed is that of the attempt, not that of the trigger or of an earlier attempt', async () => {
  const secret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
  const before = Math.floor(Date.now() / 1000);
  const { headers, body } = await requestWith({}, [secret]);
  const after = Math.floor(Date.now() / 1000);
  const seconds = Number(headers['webhook-timestamp']);
  expect(seconds).toBeGreaterThanOrEqual(before);
  expect(seconds).toBeLessThanOrEqual(after);
  expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(body));
});

test('a request has the header traceparent when it is given one, and its signature stays the same', async () => {
  const secret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
  const traceparent = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`;
  const { headers, body } = await requestWith({}, [secret], {}, { traceparent });
  expect(headers['traceparent']).toBe(traceparent);
  expect(headers['webhook-id']).toBe(deliveryId(settings.subscriptionId, trigger));
  expect(new Webhook(secret).verify(body, headers)).toBeDefined();
});

const url = new URL('https://hooks.example.com/t0ken/path?key=s3cret');

function shown(headers: string[], query?: string) {
  return shownRequest(url, { headers, body: '{}', ...(query === undefined ? {} : { query }) }, 1000);
}

test('[S22] for headers that are not the worker’s own, only the names are shown, without values', () => {
  const names = ['x-api-key', 'cookie', 'X-Webhook-Id', 'date', 'x-user-agent'];
  expect(shown(names.flatMap((name) => [name, 's3cret'])).headers).toEqual(names.map((name) => [name, '…']));
});

test('the worker’s own headers are shown as they are, in their order', () => {
  const headers = [
    'content-type',
    'application/json',
    'user-agent',
    'a/1',
    'webhook-id',
    'i',
    'webhook-timestamp',
    '1',
  ];
  expect(shown(headers).headers.flat()).toEqual(headers);
});

test('[S22] only the kinds and number of signatures are shown: with whole ones, somebody could send the message again', () => {
  expect(shown(['webhook-signature', 'v1,abc= v1a,def=']).headers).toEqual([['webhook-signature', 'v1,… v1a,…']]);
});

test.each([
  ['Bearer s3cret', 'Bearer …'],
  ['Basic s3cret', 'Basic …'],
  ['s3cret token', '…'],
  ['Bearers3cret', '…'],
])('[S22] the authorization %j is shown as %j', (value, masked) => {
  expect(shown(['authorization', value]).headers).toEqual([['authorization', masked]]);
});

test('[S22] the URL is shown as everywhere, with the names of the parameters that the authorization adds', () => {
  expect(shown([], 'sig=s3cret').url).toBe('https://hooks.example.com/…?key=…&sig=…');
});
