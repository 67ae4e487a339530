import { createPublicKey, verify } from 'node:crypto';
import { inspect } from 'node:util';
import { expect, jest, test } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { CloudEvent, HTTP } from 'cloudevents';
import fc from 'fast-check';
import { deliveryId } from '../../src/domain/delivery-id.ts';
import { parseInstant } from '../../src/domain/instant.ts';
import { MessageImpossible, type RequestMarks, type WebhookRequest } from '../../src/webhook/request.ts';
import { TEMPLATED_SHAPES } from '../../src/features/templates/shapes.ts';
import { DEFAULT_SHAPES } from '../../src/webhook/shape.ts';
import { createNanosecondClock, RequestMaker } from '../../src/webhook/request-maker.ts';
import { shownRequest } from '../../src/webhook/shown-request.ts';
import { authorizationsOf } from './an-authorization.ts';
import type { DeliverySettings, SliceTrigger } from '../../src/contract/slice.ts';
import { ProfileText } from '../../src/domain/message.ts';
import { newSigningSecret } from '../../src/config/references.ts';
import { isSigningSecret, readSigningSecret, signBody } from '../../src/webhook/signature.ts';
import { always, anyText } from '../support/properties.ts';
import { SETTINGS } from '../support/delivery-settings.ts';
import { headersOf } from './a-request.ts';

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
  ...SETTINGS,
  webhookUrl: 'https://example.com/hook',
  authorization: 'crm',
  exportFields: ['email'],
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
  const maker = new RequestMaker({ ...settings, ...changes }, TEMPLATED_SHAPES);
  const item = maker.item(trigger, audience, profile);
  const made = maker.request([item], found.authorization, 'audience-triggers/1.2.3', marks);
  const byName = headersOf(made);
  expect(made.headers).toHaveLength(2 * Object.keys(byName).length);
  return { headers: byName, body: String(made.body) };
}

test('a request has exactly the headers that are promised', async () => {
  expect((await requestWith({}, [])).headers).toEqual({
    'content-type': 'application/json',
    'user-agent': 'audience-triggers/1.2.3',
    'webhook-id': deliveryId(settings.subscriptionId, trigger),
    'webhook-timestamp': expect.stringMatching(/^\d{10}$/),
  });
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

const ann: SliceTrigger = { user: '7', audience: audience.id, event: 'enter', at: '2026-01-01T00:00:00.000000001Z' };
const bob: SliceTrigger = { ...ann, user: '8', event: 'exit', failures: 2 };
const plain: DeliverySettings = {
  ...SETTINGS,
  batch: { size: 100 },
};

const found = await authorizationsOf({
  signed: { origins: ['https://api.example'], signingSecrets: ['whsec_' + 'A'.repeat(32)] },
}).lookUp('signed', new URL(plain.webhookUrl));
if (!found.ok) throw new Error(found.code);
const { authorization } = found;

type Shape = Omit<NonNullable<DeliverySettings['request']>, 'label'>;

function make(
  shape: Shape | undefined,
  triggers = [ann, bob],
  settings: Partial<DeliverySettings> = {},
): WebhookRequest {
  const request = shape === undefined ? {} : { request: { label: 'CRM', ...shape } };
  const shapes = shape === undefined ? DEFAULT_SHAPES : TEMPLATED_SHAPES;
  const maker = new RequestMaker({ ...plain, ...settings, ...request }, shapes);
  const items = triggers.map((trigger) => maker.item(trigger, audience, { email: `${trigger.user}@example.com` }));
  return maker.request(items, authorization, 'audience-triggers/1.2.3');
}

const bodyOf = ({ body }: WebhookRequest): unknown => JSON.parse(String(body));

test('each element is the default body, with the delivery id that its request would have', () => {
  const elements = bodyOf(make(undefined)) as { id: string; meta: object }[];
  const { batch: _, ...without } = plain;
  const maker = new RequestMaker(without, TEMPLATED_SHAPES);
  const alone = maker.request([maker.item(ann, audience, { email: '7@example.com' })], authorization, 'x/1');
  const { meta, ...same } = JSON.parse(String(alone.body)) as { meta: object };
  expect(elements[0]).toMatchObject(same);
  expect(Object.keys(elements[0]?.meta ?? {})).toEqual([...Object.keys(meta), 'delivery_id']);
  expect(elements.map(({ id, meta: of }) => [id, Reflect.get(of, 'delivery_id')])).toEqual([
    ['7', headersOf(alone)['webhook-id']],
    ['8', deliveryId(plain.subscriptionId, bob)],
  ]);
});

test('the id of a request is the same for the same triggers in the same order, and no other', () => {
  const id = (...triggers: SliceTrigger[]) => headersOf(make(undefined, triggers))['webhook-id'];
  expect(id(ann, bob)).toBe(headersOf(make({ method: 'PUT' }))['webhook-id']);
  expect(new Set([id(ann, bob), id(bob, ann), id(ann), id(bob), deliveryId(plain.subscriptionId, ann)]).size).toBe(5);
  expect(id(ann)).toMatch(/^[0-9a-f]{32}$/);
});

test('CloudEvents go in their own batch format, which their SDK reads', () => {
  const request = make({ envelope: 'cloudevents' });
  const headers = headersOf(request);
  expect(headers['content-type']).toBe('application/cloudevents-batch+json');
  const events = HTTP.toEvent({ headers, body: String(request.body) });
  expect(Array.isArray(events)).toBe(true);
  expect(events).toMatchObject([
    { id: deliveryId(plain.subscriptionId, ann), type: 'audience.enter', subject: '7', data: { id: '7' } },
    { id: deliveryId(plain.subscriptionId, bob), type: 'audience.exit', subject: '8', time: bob.at },
  ]);
  for (const event of events as CloudEvent[]) expect(new CloudEvent(event).validate()).toBe(true);
});

test('a template has all of each item, and of its job what is not about one', () => {
  const body = `{"of": {{ job.label | json }}, "list": [{% for item in items %}{% unless forloop.first %},{% endunless -%}
    [{{ item.id | json }}, {{ item.data.email | json }}, {{ item.event | json }}, {{ item.action | json }}, {{ item.audience.slug | json }}, {{ item.at | json }}, {{ item.delivery_id | json }}, {{ item.attempt }}, {{ item.body.id | json }}]
  {%- endfor %}]}`;
  const request = make({ body, headers: { 'x-job': '{{ job.label }}' }, method: 'PUT' });
  expect(bodyOf(request)).toEqual({
    of: 'CRM',
    list: [
      ['7', '7@example.com', 'enter', 'entered', 'vip', ann.at, deliveryId(plain.subscriptionId, ann), 1, '7'],
      ['8', '8@example.com', 'exit', 'exited', 'vip', bob.at, deliveryId(plain.subscriptionId, bob), 3, '8'],
    ],
  });
  expect([request.method, headersOf(request)['x-job']]).toEqual(['PUT', 'CRM']);
});

test('a whole item can be written, with integers of any length', () => {
  const maker = new RequestMaker({ ...plain, request: { label: 'CRM', body: '{{ items | json }}' } }, TEMPLATED_SHAPES);
  const profile = ProfileText.read('{"n":12345678901234567890123}');
  if (profile === undefined) throw new Error('That is JSON.');
  const request = maker.request([maker.item(ann, audience, profile)], authorization, 'x/1');
  expect(String(request.body)).toContain('"data":{"n":12345678901234567890123}');
  expect(bodyOf(request)).toMatchObject([{ id: '7', body: { id: '7', meta: { object: 'user' } } }]);
});

const USUAL_BODY =
  '[{% for item in items %}{"a": {{ item.id | json }}, "b": {{ item.data.email | json }}, "c": {{ item.at | json }}, "d": {{ item.event | json }}, "e": {{ item.audience.id | json }}, "f": {{ item.audience.slug | json }}, "g": {{ item.action | json }}, "h": {{ item.delivery_id | json }}}{% unless forloop.last %},{% endunless %}{% endfor %}]';
const THOUSAND = Array.from({ length: 1000 }, (_, n) => ({ ...ann, user: String(n) }));

test('a thousand items of a usual template stay within the bounds of a rendering', () => {
  expect(bodyOf(make({ body: USUAL_BODY }, THOUSAND))).toHaveLength(1000);
});

test('a rendering on a worker that has little of its core is not given up', () => {
  let nowMs = performance.now();
  // Each look at the clock is later by 0.1 ms: the rendering seems to take two seconds.
  const clock = jest.spyOn(performance, 'now').mockImplementation(() => (nowMs += 0.1));
  try {
    expect(bodyOf(make({ body: USUAL_BODY }, THOUSAND))).toHaveLength(1000);
    expect(clock.mock.calls.length).toBeGreaterThan(10_000);
  } finally {
    clock.mockRestore();
  }
});

test('a template that gives no request says in which field', () => {
  expect(() => make({ body: '[{% for item in items %}{{ item.id | json }}{% endfor %}]' })).toThrow(MessageImpossible);
  expect(() => make({ body: '[{% for item in items %}{{ item.id | json }}{% endfor %}]' }, [ann])).not.toThrow();
});

test('a batch has one event where requests, or what their answers mean, differ by it', () => {
  const isByEvent = (settings: Partial<DeliverySettings>) =>
    new RequestMaker({ ...plain, ...settings }, TEMPLATED_SHAPES).isByEvent;
  expect(isByEvent({})).toBe(false);
  expect(isByEvent({ request: { label: 'CRM', method: 'PUT' } })).toBe(false);
  expect(isByEvent({ request: { label: 'CRM', onEnter: { method: 'PUT' } } })).toBe(true);
  expect(isByEvent({ request: { label: 'CRM', onExit: { method: 'PUT' } } })).toBe(true);
  expect(isByEvent({ eventAnswers: { exit: { '404': 'delivered' } } })).toBe(true);
});

const secretOf = (bytes: Uint8Array) => `whsec_${Buffer.from(bytes).toString('base64')}`;
const OLD = secretOf(new Uint8Array(32).fill(1));
const NEW = secretOf(new Uint8Array(64).fill(2));
const id = 'a'.repeat(32);

/** The headers of a request that is signed at this moment. */
function signed(secrets: string[], body: string): Record<string, string> {
  const seconds = Math.floor(Date.now() / 1000);
  const { signature } = signBody(secrets.map(readSigningSecret), id, seconds, body);
  return { 'webhook-id': id, 'webhook-timestamp': String(seconds), 'webhook-signature': signature };
}

test('[S26] a receiver with the Standard Webhooks library accepts the signature of any body', () => {
  const secret = fc.uint8Array({ minLength: 24, maxLength: 64 });
  always(
    fc.property(secret, fc.jsonValue(), (bytes, value) => {
      const body = JSON.stringify(value);
      expect(new Webhook(secretOf(bytes)).verify(body, signed([secretOf(bytes)], body))).toEqual(JSON.parse(body));
    }),
  );
});

test.each([
  ['old', OLD],
  ['new', NEW],
])('[S25] a message signed with two secrets is accepted by a receiver that has only the %s one', (_, known) => {
  expect(new Webhook(known).verify('{"a":1}', signed([OLD, NEW], '{"a":1}'))).toEqual({ a: 1 });
});

test('[S26] the body that is sent is the one that was signed, byte for byte, with every key that signs it', () => {
  const keys = [OLD, NEW].map(readSigningSecret);
  always(
    fc.property(anyText(), (text) => {
      const [one, both] = [keys.slice(0, 1), keys].map((keys) => signBody(keys, id, 1_790_000_000, text));
      expect(both?.body).toEqual(Buffer.from(text));
      expect(both?.signature.split(' ')[0]).toBe(one?.signature);
    }),
  );
});

test.each([
  ['another body', '{"a":2}', {}],
  ['another id', '{"a":1}', { 'webhook-id': 'b'.repeat(32) }],
  ['another time', '{"a":1}', { 'webhook-timestamp': String(Math.floor(Date.now() / 1000) - 60) }],
])('[S26] %s with the same signature is not accepted', (_, body, changes) => {
  const headers = { ...signed([OLD], '{"a":1}'), ...changes };
  expect(() => new Webhook(OLD).verify(body, headers)).toThrow('No matching signature');
});

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const HMAC = `whsec_${base64(new Uint8Array(32).fill(1))}`;
/** RFC 8032, 7.1, test 1: the private key and its public key. */
const SEED = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex');
const PUBLIC = Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex');

/** Node's own verification of an ed25519 signature. */
function isSigned(publicBytes: Buffer, content: string, signature: string): boolean {
  const x = publicBytes.toString('base64url');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  return verify(null, Buffer.from(content), key, Buffer.from(signature.slice('v1a,'.length), 'base64'));
}

test.each([
  ['', 'nothing'],
  ['secret', 'no prefix'],
  ['whsec_', 'no bytes'],
  [`whsec_${base64(new Uint8Array(23))}`, '23 bytes'],
  [`whsec_${base64(new Uint8Array(65))}`, '65 bytes'],
  [HMAC.replace('A', '!'), 'a wrong character'],
  [HMAC.slice(0, -2), 'a lost end'],
  [`whsk_${base64(new Uint8Array(33))}`, '33 bytes of ed25519'],
  [`whsk_${base64(Buffer.concat([SEED, SEED]))}`, 'halves that do not belong together'],
  [`whpk_${base64(PUBLIC)}`, 'a public key'],
])('[S25] the secret %j is refused (%s), and not repeated', (secret) => {
  expect(isSigningSecret(secret)).toBe(false);
  let message = '';
  try {
    readSigningSecret(secret);
  } catch (error) {
    message = inspect(error);
  }
  expect(message).toMatch(/A signing secret must be/);
  if (secret.length > 10) expect(message).not.toContain(secret.slice(8));
});

test.each([
  ['its 32 bytes', SEED],
  ['followed by the public key', Buffer.concat([SEED, PUBLIC])],
])('an ed25519 key, %s, signs what its public key verifies', (_, bytes) => {
  const { body, signature } = signBody([readSigningSecret(`whsk_${base64(bytes)}`)], 'an-id', 1_790_000_000, '{"a":1}');
  expect(signature).toMatch(/^v1a,[\w+/]{86}==$/);
  expect(isSigned(PUBLIC, `an-id.1790000000.${body.toString()}`, signature)).toBe(true);
  expect(isSigned(PUBLIC, `an-id.1790000001.${body.toString()}`, signature)).toBe(false);
});

test('a shared secret and an ed25519 key together sign the same content', () => {
  const keys = [`whsk_${base64(SEED)}`, HMAC, `whsk_${base64(SEED)}`].map(readSigningSecret);
  const { signature } = signBody(keys, 'an-id', 1_790_000_000, '{"a":1}');
  const [first, second, third] = signature.split(' ');
  expect(first).toBe(third);
  expect(second).toBe(signBody([readSigningSecret(HMAC)], 'an-id', 1_790_000_000, '{"a":1}').signature);
  expect(isSigned(PUBLIC, 'an-id.1790000000.{"a":1}', first ?? '')).toBe(true);
});

test('a new secret is valid and never the same', () => {
  const secrets = Array.from({ length: 10 }, () => newSigningSecret('hmac').secret);
  expect(new Set(secrets).size).toBe(10);
  expect(secrets.every(isSigningSecret)).toBe(true);
  expect(Buffer.from(secrets[0]?.slice('whsec_'.length) ?? '', 'base64')).toHaveLength(32);
});

test('the public key of a new ed25519 secret verifies what the secret signs', () => {
  const { secret, publicKey = '' } = newSigningSecret('ed25519');
  const { signature } = signBody([readSigningSecret(secret)], 'an-id', 1, 'body');
  const publicBytes = Buffer.from(publicKey.slice('whpk_'.length), 'base64');
  expect(isSigned(publicBytes, 'an-id.1.body', signature)).toBe(true);
});

test.each([HMAC, `whsk_${base64(SEED)}`])('a key does not show its secret when it is logged', (secret) => {
  const key = readSigningSecret(secret);
  expect(JSON.stringify(key) + inspect(key, { depth: 9 })).not.toMatch(/AQEB|01 01 01|nWGx|9d 61/);
});
