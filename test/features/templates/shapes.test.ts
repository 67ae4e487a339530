import { expect, test } from '@jest/globals';
import { CloudEvent, HTTP } from 'cloudevents';
import type { DeliverySettings, SliceTrigger } from '../../../src/contract/slice.ts';
import { deliveryId } from '../../../src/domain/delivery-id.ts';
import { type Profile, ProfileText } from '../../../src/domain/message.ts';
import { MessageImpossible, type WebhookRequest } from '../../../src/webhook/request.ts';
import { shownRequest } from '../../../src/webhook/shown-request.ts';
import { RequestMaker } from '../../../src/webhook/request-maker.ts';
import { TEMPLATED_SHAPES } from '../../../src/features/templates/shapes.ts';
import { destinationsOf, urlTemplateOf } from '../../../src/webhook/shape.ts';
import { authorizationsOf } from '../../webhook/an-authorization.ts';
import { SETTINGS } from '../../support/delivery-settings.ts';
import { headersOf } from '../../webhook/a-request.ts';

const audience = { id: 'a'.repeat(32), slug: 'vip', name: 'VIP' };
const enter: SliceTrigger = { user: '7', audience: audience.id, event: 'enter', at: '2026-01-01T00:00:00.000000001Z' };
const exit: SliceTrigger = { ...enter, event: 'exit' };

type Shape = Omit<NonNullable<DeliverySettings['request']>, 'label'> & Partial<DeliverySettings>;

const noAuthorization = await authorizationsOf({}).lookUp(null, new URL(SETTINGS.webhookUrl));

function make(
  { method, headers, contentType, body, onEnter, onExit, envelope, ...settings }: Shape,
  trigger = enter,
  profile: Profile = { email: 'ann@example.com' },
  authorization = noAuthorization,
): WebhookRequest {
  if (!authorization.ok) throw new Error(authorization.code);
  const request = { label: 'CRM', method, headers, contentType, body, onEnter, onExit, envelope };
  const maker = new RequestMaker({ ...SETTINGS, request, ...settings }, TEMPLATED_SHAPES);
  return maker.request(
    [maker.item(trigger, audience, profile)],
    authorization.authorization,
    'audience-triggers/1.2.3',
  );
}

/** What came of a template instead of a request. */
function failure(...args: Parameters<typeof make>): { readonly code: string; readonly reason: string | undefined } {
  try {
    make(...args);
  } catch (error) {
    if (error instanceof MessageImpossible) return { code: error.code, reason: error.reason };
    throw error;
  }
  throw new Error('There is a request.');
}

const failed = (reason: string | RegExp): object => ({
  code: 'TEMPLATE_FAILED',
  reason: typeof reason === 'string' ? reason : expect.stringMatching(reason),
});

test('a job that says nothing about its requests sends what it always sent', () => {
  if (!noAuthorization.ok) throw new Error('There is none.');
  const maker = new RequestMaker(SETTINGS, TEMPLATED_SHAPES);
  const item = maker.item(enter, audience, { email: 'e' });
  const made = maker.request([item], noAuthorization.authorization, 'x/1');
  expect(JSON.parse(String(made.body))).toMatchObject({ id: enter.user, data: { email: 'e' } });
  expect([made.method, made.url?.href]).toEqual(['POST', SETTINGS.webhookUrl]);
  expect(made.headers.slice(0, 2)).toEqual(['content-type', 'application/json']);
});

test('a template names the audiences of the person, where they are sent, as the message has them', () => {
  const body = '{{ data.segments_all | json }}{{ data.email }}{{ body.data.segments_all | join: "," }}';
  const to = { contentType: 'text/plain', body, exportFields: ['email'] };
  const given = { ...enter, memberships: ['news', 'vip'] };
  expect(make(to, given).body).toBe('["news","vip"]ann@example.comnews,vip');
  expect(make(to).body).toBe('nullann@example.com');
});

test('a REST list: PUT when somebody enters, DELETE without a body when they leave', () => {
  const shape: Shape = {
    webhookUrl: 'https://api.example/lists/7/members/{{ id }}',
    method: 'PUT',
    body: '{"email": {{ data.email | json }}, "n": {{ data.n }}, "attempt": {{ attempt }}}',
    headers: { 'X-List': '{{ audience.slug }}', 'x-nothing': '{{ data.nothing }}' },
    onExit: { method: 'DELETE', body: '' },
  };
  const profile = ProfileText.read('{"email":"a\\"b","n":12345678901234567890123}');
  if (profile === undefined) throw new Error('That is JSON.');
  const put = make(shape, { ...enter, failures: 2 }, profile);
  expect([put.method, put.url?.href]).toEqual(['PUT', 'https://api.example/lists/7/members/7']);
  expect(put.body).toBe('{"email": "a\\"b", "n": 12345678901234567890123, "attempt": 3}');
  expect(headersOf(put)).toMatchObject({
    'content-type': 'application/json',
    'webhook-id': deliveryId(SETTINGS.subscriptionId, enter),
    'X-List': 'vip',
  });
  expect(headersOf(put)).not.toHaveProperty('x-nothing');
  const deletion = make(shape, exit, profile);
  expect([deletion.method, deletion.url?.href, deletion.body]).toEqual([
    'DELETE',
    'https://api.example/lists/7/members/7',
    null,
  ]);
  expect(headersOf(deletion)).not.toHaveProperty('content-type');
  expect(headersOf(deletion)['webhook-id']).toBe(deliveryId(SETTINGS.subscriptionId, exit));
});

test('onEnter and onExit override the settings of the job', () => {
  const shape: Shape = {
    method: 'PATCH',
    headers: { a: '1' },
    body: 'x',
    contentType: 'text/plain',
    onEnter: { webhookUrl: 'https://enter.example/', headers: { b: '2' } },
    onExit: { method: null, contentType: 'text/csv' },
  };
  const [entered, exited] = [make(shape), make(shape, exit)];
  expect([entered.method, entered.url?.href, headersOf(entered)['a'], headersOf(entered)['b']]).toEqual([
    'PATCH',
    'https://enter.example/',
    undefined,
    '2',
  ]);
  expect([exited.url?.href, headersOf(exited)['content-type']]).toEqual([SETTINGS.webhookUrl, 'text/csv']);
  const settings = { ...SETTINGS, request: { label: '', ...shape } };
  expect(destinationsOf(settings).map(({ href }) => href)).toEqual(['https://enter.example/', SETTINGS.webhookUrl]);
});

test('a job without a body sends the default one by POST, PUT and PATCH, but none by GET and DELETE', () => {
  for (const method of ['POST', 'PUT', 'PATCH'] as const)
    expect(JSON.parse(String(make({ method }).body))).toMatchObject({ id: '7', data: { email: 'ann@example.com' } });
  for (const method of ['GET', 'DELETE'] as const) expect(make({ method }).body).toBeNull();
});

test('a header that the authorization has by now is not sent twice', async () => {
  const with7 = await authorizationsOf({ k: { origins: ['https://api.example'], headers: { 'X-Key': '7' } } }).lookUp(
    'k',
    new URL(SETTINGS.webhookUrl),
  );
  const { headers } = make({ headers: { 'x-key': 'ours', 'x-list': '1' } }, enter, {}, with7);
  expect(headers.filter((name) => /^x-(key|list)$/i.test(name))).toEqual(['X-Key', 'x-list']);
});

test('a form is encoded from a JSON object of its values', () => {
  const contentType = 'application/x-www-form-urlencoded';
  const body =
    '{"oid": 1, "email": {{ data.email | json }}, "tags": ["a","b"], "none": null, "ok": true, "n": 12345678901234567890}';
  const made = make({ contentType, body }, enter, { email: 'a&b=ü' });
  expect(made.body).toBe('oid=1&email=a%26b%3D%C3%BC&tags=a&tags=b&ok=true&n=12345678901234567890');
  expect(headersOf(made)['content-type']).toBe(contentType);
  expect(failure({ contentType, body: '[1]' })).toEqual(
    failed('body: a form is made from a JSON object of its values'),
  );
  expect(failure({ contentType, body: '{"a": {"b": 1}}' })).toEqual(
    failed(/^body: the value of "a" in a form must be/),
  );
  expect(failure({ contentType, body: '{"a": 1, "b": 2, "a": 3}' })).toEqual(failed(/^body: a form has "a" twice/));
  expect(failure({ contentType, body: '{"a": [1, 1e400]}' })).toEqual(
    failed('body: a number is too large to be written'),
  );
});

test('in XML, values are escaped and lose what XML cannot hold, unless they are raw', () => {
  const email = `a\0b\u0001<&>"'\ud800\uffff é😀`;
  const escaped = 'ab&lt;&amp;&gt;&quot;&apos; é😀';
  for (const contentType of ['application/xml', 'text/xml; charset=utf-8', 'application/soap+xml'])
    for (const value of ['data.email', 'data.email | xml_escape', 'data.email | escape'])
      expect(make({ contentType, body: `<m a="{{ ${value} }}">{{ ${value} }}</m>\n` }, enter, { email }).body).toBe(
        `<m a="${escaped}">${escaped}</m>\n`,
      );
  const raw = { contentType: 'application/xml', body: '<m>{{ data.email | raw }}</m>' };
  expect(make(raw, enter, { email: '<b/>' }).body).toBe('<m><b/></m>');
  expect(make({ contentType: 'text/plain', body: '{{ data.email | xml_escape }}' }, enter, { email }).body).toBe(
    escaped,
  );
});

test.each(['<a><b></a></b>', '<a>{{ data.email | raw }}</a>', '<a/><b/>', '<a x=1/>', 'no XML', '<a>&nbsp;</a>'])(
  'the worker does not send XML that is not well-formed: %s',
  (body) => {
    expect(failure({ contentType: 'application/xml', body }, enter, { email: 'a\0&<' })).toEqual(
      failed(/^body: the rendered body is not well-formed XML \(line 1, character \d+\)$/),
    );
  },
);

test('a message is put into a CloudEvent, which the SDK of CloudEvents reads', () => {
  const made = make({ envelope: 'cloudevents' });
  const event = HTTP.toEvent({ headers: headersOf(made), body: String(made.body) });
  if (!(event instanceof CloudEvent)) throw new Error('It is one event.');
  expect(event.validate()).toBe(true);
  expect(event).toMatchObject({
    id: deliveryId(SETTINGS.subscriptionId, enter),
    type: 'audience.enter',
    subject: '7',
    datacontenttype: 'application/json',
    data: { id: '7', data: { email: 'ann@example.com' }, meta: { object: 'user' } },
  });
  expect(String(made.body)).toContain(`"time":"${enter.at}"`);
  const own = make({ envelope: 'cloudevents', body: '{"u": {{ id | json }}}' }, exit);
  expect(JSON.parse(String(own.body))).toMatchObject({ type: 'audience.exit', data: { u: '7' } });
  expect(failure({ envelope: 'cloudevents', body: 'no JSON' })).toEqual(
    failed(/^body: the rendered body is not valid JSON/),
  );
});

test('a body of a JSON content type must be JSON; its text is not repeated', () => {
  expect(failure({ body: '{\n"n": {{ data.n }}}' }, enter, { n: 's3cret' })).toEqual(
    failed(
      'body: the rendered body is not valid JSON (line 2, character 6). Write each value with the filter json, without quotes around it',
    ),
  );
  expect(failure({ contentType: 'application/vnd.api+json', body: '{' })).toEqual(failed(/not valid JSON/));
});

test('a template that fails says in which field and line', () => {
  expect(
    failure({ onExit: { headers: { 'x-n': '{{ data.n | plus: 1 }}' } } }, exit, { n: 12345678901234567890n }),
  ).toEqual(failed(/^onExit\.headers\.x-n: Line 1, column 1: /));
});

test('a message of more than 2 MiB is refused whatever makes it', () => {
  expect(
    failure({ contentType: 'text/plain', body: '{{ data.a }}{{ data.a }}' }, enter, { a: 'é'.repeat(600_000) }),
  ).toEqual({
    code: 'PAYLOAD_TOO_LARGE',
    reason: undefined,
  });
});

test('any template can skip a person with a reason', () => {
  const skip = '{% unless data.email %}{% skip "no mail" %}{% endunless %}';
  for (const shape of [
    { contentType: 'text/plain', body: skip },
    { headers: { a: skip } },
    { webhookUrl: `https://api.example/${skip}` },
  ]) {
    expect(failure(shape, enter, {})).toEqual({ code: 'SKIPPED', reason: 'no mail' });
    expect(make(shape).headers.length).toBeGreaterThan(0);
  }
});

test.each(['a/b', '..', 'a\nb', 'a\r\nx: y', '%2e%2e', 'ü?&#', '{{ id }}', '\\..\\', ' '])(
  'the person %j is one segment of the path, or nothing is sent',
  (user) => {
    const shape: Shape = { webhookUrl: 'https://api.example/lists/7/members/{{ id }}/x?of={{ id }}' };
    if (user === '..')
      return expect(failure(shape, { ...enter, user })).toEqual(
        failed('webhookUrl: a segment of the path is "." or ".."'),
      );
    const { url } = make(shape, { ...enter, user });
    const segments = url?.pathname.split('/') ?? [];
    expect(segments).toHaveLength(6);
    expect(segments.slice(0, 4)).toEqual(['', 'lists', '7', 'members']);
    expect(decodeURIComponent(segments[4] ?? '')).toBe(user);
    expect(url?.searchParams.get('of')).toBe(user);
  },
);

test.each([
  ['//evil.example/', 'a segment of the path is empty'],
  ['../x', 'a segment of the path is "." or ".."'],
  ['a/%2E%2e/b', 'a segment of the path is "." or ".."'],
  ['\\evil', 'it has a character that cannot be in a URL'],
  ['a\nb', 'it has a character that cannot be in a URL'],
  ['.\t./x', 'it has a character that cannot be in a URL'],
  ['x#y', 'it has a character that cannot be in a URL'],
  ['x'.repeat(9000), 'it has more than 8192 characters'],
  ['', 'a value in the path is empty'],
])('a raw value %.20j does not lead out of its place', (email, why) => {
  const shape: Shape = { webhookUrl: 'https://api.example/m/{{ data.email | raw }}' };
  expect(failure(shape, enter, { email })).toEqual(failed(`webhookUrl: ${why}`));
});

test('a segment that lost its value never becomes the whole list', () => {
  const shape: Shape = { webhookUrl: 'https://api.example/lists/7/members/{{ data.crm_id }}', method: 'DELETE' };
  expect(failure(shape, exit, {})).toEqual(failed('webhookUrl: a value in the path is empty'));
  const inQuery: Shape = { webhookUrl: 'https://api.example/?a={{ data.crm_id }}&b={{ id }}' };
  expect(make(inQuery, exit, {}).url?.search).toBe('?a=&b=7');
});

test.each([
  ['/members/{% if data.crm %}{{ data.crm }}{% endif %}', 'a segment of the path is empty'],
  ['/members/{% for one in data.ids %}{{ one }}{% endfor %}?x=1', 'a segment of the path is empty'],
  ['/members/crm-{{ data.crm }}', 'a value in the path is empty'],
  ['/Contacts({{ data.crm }})', 'a value in the path is empty'],
  ['/by-hash/{{ data.crm | sha256 }}', 'a value in the path is empty'],
  ['/{% if data.crm %}{{ data.crm }}{% endif %}/tags', 'a segment of the path is empty'],
])('the worker sends nothing when %s lacks its value', (path, why) => {
  const webhookUrl = `https://api.example${path}`;
  expect(failure({ webhookUrl, method: 'DELETE' }, exit, {})).toEqual(failed(`webhookUrl: ${why}`));
  expect(make({ webhookUrl, method: 'DELETE' }, exit, { crm: '7', ids: ['8'] }).url).toBeInstanceOf(URL);
});

test.each(["x') or ('1' eq '1", '(*)!'])('in a URL the value %s cannot end what its author put around it', (crm) => {
  const { url } = make({ webhookUrl: "https://api.example/Contacts(email='{{ data.crm }}')" }, enter, { crm });
  expect(url?.pathname.split("'")).toHaveLength(3);
  expect(decodeURIComponent(url?.pathname ?? '')).toBe(`/Contacts(email='${crm}')`);
});

test.each(['a\r\nx-admin: 1', 'a\nb', 'a\0b', 'Łukasz', 'a\u2028b'])('a header never carries %j', (email) => {
  expect(failure({ headers: { 'x-mail': '{{ data.email }}' } }, enter, { email })).toEqual(
    failed(/^headers\.x-mail: the value of a header/),
  );
});

test('a renamed field is in the data of templates and of the default body', () => {
  const exportFields = [{ field: 'email', as: 'contact.value' }, 'name'];
  const made = make({ exportFields, method: 'PUT', headers: { 'x-c': '{{ data.contact.value }}' } }, enter, {
    email: 'e',
    name: 'n',
    secret: 's',
  });
  expect(headersOf(made)['x-c']).toBe('e');
  expect(JSON.parse(String(made.body))).toMatchObject({ data: { contact: { value: 'e' }, name: 'n' } });
  expect(String(made.body)).not.toContain('secret');
});

test('[S22] people see the values in a templated URL, but no token that stands in it', () => {
  const webhookUrl = 'https://api.example/hooks/T0kenT0kenT0ken/{{ id }}?key=s3cret&of={{ id }}&x=1{{ id }}';
  const settings = { ...SETTINGS, webhookUrl, request: { label: 'CRM', headers: { 'X-List': '7' } } };
  const made = make({ webhookUrl, headers: { 'X-List': '7' } });
  if (made.url === undefined) throw new Error('It has a URL.');
  const shown = shownRequest(made.url, { ...made, query: 'token=t' }, 100, urlTemplateOf(settings, 'enter'));
  expect(shown.url).toBe('https://api.example/…/7?key=…&of=7&x=…&token=…');
  expect(shown.headers).toContainEqual(['X-List', '7']);
});

test.each([
  ['/s3cret/{{ id }}', '/…/7'],
  ['/hooks/catch/1234567/abc/{{ id }}', '/…/7'],
  ['/a/{{ id }}/b/{{ audience.slug }}', '/…/7/…/vip'],
  ['/key-s3cret{{ id }}', '/…7'],
  ['/x?t{{ id }}=s3cret', '/…?t7=…'],
  ['/tökén-sécret "a"/{{ id }}', '/…/7'],
  ['/{{ id | default: "?" }}/s3cret-token', '/7/…'],
  ['/x?t=sécret{{ id }}', '/…?t=…'],
])('[S22] the fixed parts of the templated URL %s are masked as in any other URL', (path, shown) => {
  const webhookUrl = `https://api.example${path}`;
  const made = make({ webhookUrl });
  if (made.url === undefined) throw new Error('It has a URL.');
  const settings = { ...SETTINGS, webhookUrl, request: { label: 'CRM' } };
  expect(shownRequest(made.url, made, 100, urlTemplateOf(settings, 'enter')).url).toBe(`https://api.example${shown}`);
});

test('[S22] the value of a header that an authorization has, too, is the authorization’s, and is not shown', () => {
  const settings = { ...SETTINGS, request: { label: 'CRM', headers: { 'X-Team': 'job', 'X-List': '7' } } };
  if (!noAuthorization.ok) throw new Error(noAuthorization.code);
  const authorization = { ...noAuthorization.authorization, headers: ['x-team', 's3cret'] };
  const maker = new RequestMaker(settings, TEMPLATED_SHAPES);
  const made = maker.request([maker.item(enter, audience, {})], authorization, 'audience-triggers/1.2.3');
  const shown = shownRequest(new URL(SETTINGS.webhookUrl), made, 100);
  expect(shown.headers).toContainEqual(['x-team', '…']);
  expect(shown.headers).toContainEqual(['X-List', '7']);
  expect(JSON.stringify(shown)).not.toContain('s3cret');
});

test('the worker signs a request without a body as an empty one', async () => {
  const signing = await authorizationsOf({
    s: { origins: ['https://api.example'], signingSecrets: [`whsec_${Buffer.alloc(32, 1).toString('base64')}`] },
  }).lookUp('s', new URL(SETTINGS.webhookUrl));
  const made = make({ method: 'DELETE' }, exit, {}, signing);
  expect(made.body).toBeNull();
  expect(headersOf(made)['webhook-signature']).toMatch(/^v1,/);
});

test('the fixed part of a templated URL may end with a slash', () => {
  expect(make({ webhookUrl: 'https://api.example/members/{{ id }}/' }).url?.pathname).toBe('/members/7/');
});
