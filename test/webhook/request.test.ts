import { expect, test } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { deliveryId } from '../../src/domain/delivery-id.ts';
import { makeRequest, type RequestMarks } from '../../src/webhook/request.ts';
import { authorizationsOf } from './an-authorization.ts';

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
  const found = await authorizationsOf({ crm: { origins, headers, signingSecrets } }).lookUp(
    'crm',
    new URL(origins[0] ?? ''),
  );
  if (!found.ok) throw new Error(found.code);
  const profile = { email: 'e', name: 'n' };
  const made = makeRequest(
    { ...settings, ...changes },
    trigger,
    audience,
    profile,
    found.authorization,
    'audience-triggers/1.2.3',
    marks,
  );
  const pairs = made.headers.flatMap((text, i, all) => (i % 2 === 0 ? [[text, all[i + 1]] as const] : []));
  expect(new Set(pairs.map(([name]) => name)).size).toBe(pairs.length);
  // Each name is followed by its value.
  return { headers: Object.fromEntries(pairs) as Record<string, string>, body: made.body.toString() };
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
