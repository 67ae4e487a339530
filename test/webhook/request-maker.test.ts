import { expect, test } from '@jest/globals';
import { CloudEvent, HTTP } from 'cloudevents';
import type { DeliverySettings, SliceTrigger } from '../../src/contract/slice.ts';
import { deliveryId } from '../../src/domain/delivery-id.ts';
import { ProfileText } from '../../src/domain/message.ts';
import { MessageImpossible, type WebhookRequest } from '../../src/webhook/request.ts';
import { RequestMaker } from '../../src/webhook/request-maker.ts';
import { authorizationsOf } from './an-authorization.ts';

const audience = { id: 'a'.repeat(32), slug: 'vip', name: 'VIP' };
const ann: SliceTrigger = { user: '7', audience: audience.id, event: 'enter', at: '2026-01-01T00:00:00.000000001Z' };
const bob: SliceTrigger = { ...ann, user: '8', event: 'exit', failures: 2 };
const plain: DeliverySettings = {
  subscriptionId: '5'.repeat(32),
  revision: 1,
  webhookUrl: 'https://api.example/hook',
  authorization: null,
  exportFields: [],
  userLegacyMessageFormat: false,
  requestTimeoutMs: 15_000,
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
  const maker = new RequestMaker({ ...plain, ...settings, ...request });
  const items = triggers.map((trigger) => maker.item(trigger, audience, { email: `${trigger.user}@example.com` }));
  return maker.request(items, authorization, 'audience-triggers/1.2.3');
}

function headersOf({ headers }: WebhookRequest): Record<string, string> {
  return Object.fromEntries(headers.flatMap((name, i, all) => (i % 2 === 0 ? [[name, all[i + 1] ?? '']] : [])));
}

const bodyOf = ({ body }: WebhookRequest): unknown => JSON.parse(String(body));

test('each element is the default body, with the delivery id that its request would have', () => {
  const elements = bodyOf(make(undefined)) as { id: string; meta: object }[];
  const { batch: _, ...without } = plain;
  const maker = new RequestMaker(without);
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

test('a batch is signed as a whole', () => {
  const headers = headersOf(make(undefined));
  expect(headers['webhook-signature']).toMatch(/^v1,/);
  expect(headers['content-type']).toBe('application/json');
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
  const maker = new RequestMaker({ ...plain, request: { label: 'CRM', body: '{{ items | json }}' } });
  const profile = ProfileText.read('{"n":12345678901234567890123}');
  if (profile === undefined) throw new Error('That is JSON.');
  const request = maker.request([maker.item(ann, audience, profile)], authorization, 'x/1');
  expect(String(request.body)).toContain('"data":{"n":12345678901234567890123}');
  expect(bodyOf(request)).toMatchObject([{ id: '7', body: { id: '7', meta: { object: 'user' } } }]);
});

test('a thousand items of a usual template stay within the bounds of a rendering', () => {
  const body =
    '[{% for item in items %}{"a": {{ item.id | json }}, "b": {{ item.data.email | json }}, "c": {{ item.at | json }}, "d": {{ item.event | json }}, "e": {{ item.audience.id | json }}, "f": {{ item.audience.slug | json }}, "g": {{ item.action | json }}, "h": {{ item.delivery_id | json }}}{% unless forloop.last %},{% endunless %}{% endfor %}]';
  const triggers = Array.from({ length: 1000 }, (_, n) => ({ ...ann, user: String(n) }));
  expect(bodyOf(make({ body }, triggers))).toHaveLength(1000);
});

test('a template that gives no request says in which field', () => {
  expect(() => make({ body: '[{% for item in items %}{{ item.id | json }}{% endfor %}]' })).toThrow(MessageImpossible);
  expect(() => make({ body: '[{% for item in items %}{{ item.id | json }}{% endfor %}]' }, [ann])).not.toThrow();
});

test('values of people are never read as templates', () => {
  const body = '{{ items | map: "id" | json }}';
  expect(bodyOf(make({ body }, [{ ...ann, user: '{{ job.label }}' }]))).toEqual(['{{ job.label }}']);
});

test('a batch has one event where requests, or what their answers mean, differ by it', () => {
  const isByEvent = (settings: Partial<DeliverySettings>) => new RequestMaker({ ...plain, ...settings }).isByEvent;
  expect(isByEvent({})).toBe(false);
  expect(isByEvent({ request: { label: 'CRM', method: 'PUT' } })).toBe(false);
  expect(isByEvent({ request: { label: 'CRM', onEnter: { method: 'PUT' } } })).toBe(true);
  expect(isByEvent({ request: { label: 'CRM', onExit: { method: 'PUT' } } })).toBe(true);
  expect(isByEvent({ eventAnswers: { exit: { '404': 'delivered' } } })).toBe(true);
});
