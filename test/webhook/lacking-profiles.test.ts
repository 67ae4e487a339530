import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { DeliverySettings, SliceTrigger } from '../../src/contract/slice.ts';
import type { JsonObject, TriggerEvent } from '../../src/contract/trigger.ts';
import { MessageImpossible, type WebhookRequest } from '../../src/webhook/request.ts';
import { RequestMaker } from '../../src/webhook/request-maker.ts';
import { TEMPLATED_SHAPES } from '../../src/features/templates/shapes.ts';
import { ItemsSkipped } from '../../src/webhook/shape.ts';
import { authorizationsOf } from './an-authorization.ts';
import {
  braze,
  customerIo,
  hubspot,
  restList,
  segment,
  slack,
  type StandIn,
  webToLead,
} from '../examples/endpoint-stand-ins.ts';
import { secretsIn, withoutSecrets } from '../../src/webhook/without-secrets.ts';
import { always } from '../support/properties.ts';
import { SETTINGS } from '../support/delivery-settings.ts';

const audience = { id: 'a'.repeat(32), slug: 'vip', name: 'Very important' };
const none = await authorizationsOf({}).lookUp(null, new URL('https://x.example'));

/** The request that the job of a file makes, which has the credentials that its service demands. */
function requestOf(file: string, event: TriggerEvent, user: string, profile: JsonObject): WebhookRequest | 'skipped' {
  const job = JSON.parse(readFileSync(`examples/endpoints/${file}`, 'utf8')) as Record<string, unknown> & {
    readonly webhookUrl: string;
  };
  const settings = {
    ...SETTINGS,
    webhookUrl: job.webhookUrl,
    request: job,
    ...(job['batch'] === undefined ? {} : { batch: job['batch'] }),
  } as unknown as DeliverySettings; // A job's own fields are its request's.
  const trigger: SliceTrigger = { user, audience: audience.id, event, at: '2026-01-01T00:00:00Z' };
  if (!none.ok) throw new Error(none.code);
  try {
    const maker = new RequestMaker(settings, TEMPLATED_SHAPES);
    return maker.request([maker.item(trigger, audience, profile)], none.authorization, 'x/1');
  } catch (error) {
    const isSkipped = error instanceof ItemsSkipped || (error instanceof MessageImpossible && error.code === 'SKIPPED');
    if (isSkipped) return 'skipped';
    throw error;
  }
}

const known = { ann: { external_id: 'ann', email: 'ann@example.com', in_vip: true } };
const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

const SERVICES: readonly (readonly [
  file: string,
  authorization: string,
  make: (has: Map<string, unknown>) => StandIn,
])[] = [
  ['rest-list.json', 'Bearer list-token', restList],
  ['hubspot-contacts.json', 'Bearer hubspot-token', hubspot],
  ['braze-users-track.json', 'Bearer braze-key', braze],
  ['customer-io.json', basic('site:key'), customerIo],
  ['slack.json', '', () => slack([])],
  ['salesforce-web-to-lead.json', '', () => webToLead([])],
  ['segment.json', basic('write-key:'), segment],
];

const LACKING: readonly (readonly [what: string, profile: JsonObject])[] = [
  ['no email', { first_name: 'Ann' }],
  ['an empty email', { email: '', first_name: '' }],
  ['a blank email', { email: ' ', first_name: null }],
  ['no profile', {}],
];

test.each(SERVICES.flatMap(([file, ...service]) => LACKING.map((lack) => [file, ...lack, ...service] as const)))(
  '%s, %s: nothing is written over what the service has',
  (file, _, profile, authorization, make) => {
    const has = new Map<string, unknown>(Object.entries(known));
    const service = make(has);
    for (const [event, user] of [
      ['enter', 'ann'],
      ['exit', 'ann'],
      ['exit', 'stranger'],
    ] as const) {
      const request = requestOf(file, event, user, profile);
      if (request === 'skipped') continue;
      const { method = 'POST', url, body, headers } = request;
      const type = headers[headers.indexOf('content-type') + 1];
      const got = {
        method,
        path: url === undefined ? '' : url.pathname + url.search,
        headers: { authorization, ...(body === null ? {} : { 'content-type': type }) },
        body: String(body ?? ''),
      };
      expect(got).toEqual({ ...got, body: expect.not.stringMatching(/:\s*(?:null|"\s*")/) });
      expect([200, 201, 204, 404, 429]).toContain(service(got));
    }
    // A list has nobody who has left it; the others still have the address of whom they knew, and nobody new.
    if (file === 'rest-list.json') expect([...has]).toEqual([]);
    else expect([...has].filter(([user]) => user === 'stranger')).toEqual([]);
    if (has.has('ann')) expect(has.get('ann')).toMatchObject({ email: 'ann@example.com' });
  },
);

const TOKEN = 'Bearer sk/live+12"34 56&78=';
const BARE = TOKEN.slice('Bearer '.length);

test.each([
  ['as it is', `no: ${TOKEN}!`, 'no: …!'],
  ['without its scheme', `no: ${BARE}!`, 'no: …!'],
  ['in upper case', `no: ${TOKEN.toUpperCase()}!`, 'no: …!'],
  ['in JSON', `no: ${JSON.stringify({ key: BARE })}!`, 'no: {"key":"…"}!'],
  ['in JSON with escaped slashes', `no: ${JSON.stringify(BARE).replaceAll('/', '\\/')}!`, 'no: "…"!'],
  ['in HTML', 'no: sk/live+12&quot;34 56&amp;78=!', 'no: …!'],
  ["in HTML as Go's templates write it", 'no: sk/live&#43;12&#34;34 56&amp;78=!', 'no: …!'],
  ['in HTML as Handlebars writes it', 'no: sk/live+12&quot;34 56&amp;78&#x3D;!', 'no: …!'],
  ['in JSON as Go writes it', String.raw`no: "sk/live+12\"34 56\u002678="!`, 'no: "…"!'],
  ['in a URL', `no: ?key=${encodeURIComponent(BARE)}!`, 'no: ?key=…!'],
  ['in a URL of small letters', `no: ?key=${encodeURIComponent(BARE).toLowerCase()}!`, 'no: ?key=…!'],
  ['in a form', `no: key=${encodeURIComponent(BARE).replaceAll('%20', '+')}!`, 'no: key=…!'],
  ['in hex', `no: ${Buffer.from(BARE).toString('hex').toUpperCase()}!`, 'no: …!'],
  ['twice', `${BARE} ${BARE}`, '… …'],
])('a secret that is echoed %s is removed', (_, answer, kept) => {
  expect(withoutSecrets(answer, ['short', TOKEN])).toBe(kept);
});

test.each(['secret', 'p@ss!(word)~*', `it's a "key"!`])(
  'the parameter %s is removed as it was sent, and as an endpoint or an error page may write it',
  (secret) => {
    const sent = new URLSearchParams({ key: secret }).toString();
    const quoted = secret.replaceAll('"', '&quot;').replaceAll("'", '&#39;');
    for (const answer of [
      sent,
      sent.replaceAll('+', '%20'),
      `key=${quoted}`,
      `key=${quoted.replaceAll('&quot;', '&#34;')}`,
    ])
      expect(withoutSecrets(`no: ${answer}`, [secret])).toBe('no: key=…');
  },
);

test('a secret is removed from base64 wherever it is in the text, except for characters shared with its neighbours', () => {
  const secret = fc.string({ minLength: 6, maxLength: 40 });
  always(
    fc.property(
      secret,
      fc.string({ maxLength: 5 }),
      fc.constantFrom<BufferEncoding>('base64', 'base64url'),
      (...given) => {
        const [text, before, encoding] = given;
        const value = text.trim();
        fc.pre(value.length >= 6 && !/\s/.test(value));
        const echoed = Buffer.from(`${before}${value}after`).toString(encoding);
        const kept = withoutSecrets(echoed, [value]);
        expect(kept).toContain('…');
        // Two characters shared with a neighbour, the mask, and the padding.
        expect(kept.length).toBeLessThanOrEqual(Math.ceil((Buffer.byteLength(`${before}after`) * 4) / 3) + 2 + 1 + 2);
      },
    ),
  );
});

test('secrets that overlap are removed completely', () => {
  expect(withoutSecrets('xx abcdefghi xx', ['abcdef', 'defghi'])).toBe('xx … xx');
  expect(withoutSecrets('abababab!', ['ababab'])).toBe('…!');
});

test('a cut answer never ends with the beginning of a secret, wherever the cut and however it is written', () => {
  const secret = 'QRSTUVW"/XYZ';
  const spelt = [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret), btoa(secret)];
  for (const form of spelt) {
    for (let length = 0; length <= form.length; length++)
      expect(withoutSecrets(`0: ${form.slice(0, length)}…`, [`Key ${secret}`])).toBe('0: …');
  }
});

test('blanks around a secret, which are never sent, do not hide it', () => {
  expect(withoutSecrets('no: s3cret-key!', [' s3cret-key\n'])).toBe('no: …!');
});

test('an answer that was not cut keeps its end', () => {
  expect(withoutSecrets('wrong key s3', ['s3cret-s3cret'])).toBe('wrong key s3');
});

test('a secret of fewer than 6 characters is removed where it stands alone, but not from words', () => {
  expect(withoutSecrets('{"pin":"1234"} order 12345, line 1234', ['1234'])).toBe('{"pin":"…"} order 12345, line …');
});

test.each([[[]], [['']], [[' ']], [['another-secret']], [['\ud800'.repeat(6)]]])(
  'without secrets to find, an answer stays as it is: %j',
  (secrets) => {
    expect(withoutSecrets('no such field: Zoë 😀', secrets)).toBe('no such field: Zoë 😀');
  },
);

test.each([
  [
    '/hooks/T00000000/abcdefghijkl?t=s3cretvalue',
    'Cannot POST /hooks/T00000000/abcdefghijkl?t=s3cretvalue',
    'Cannot POST …',
  ],
  ['/hooks/T00000000/abcdefghijkl?t=s3cretvalue', 'no hook abcdefghijkl, t is s3cretvalue', 'no hook …, t is …'],
  ['/hooks/in', 'a hook in the hooks', 'a hook in the hooks'],
  ['/hooks/abc%2Fdef%3D%3D%3D', 'no hook abc/def=== (abc%2Fdef%3D%3D%3D)', 'no hook … (…)'],
  ['/hooks/100%25%zz-abcdef', 'no hook 100%25%zz-abcdef', 'no hook …'],
  ['/in?s3cretvalue', 'what is s3cretvalue?', 'what is …?'],
  ['/in?t=its!a%7Esecret', 'its!a%7Esecret, its!a~secret', '…, …'],
  ['/', 'GET / is not POST /', 'GET / is not POST /'],
])('for the URL %s, the worker keeps the answer "%s" as "%s"', (path, answer, kept) => {
  expect(withoutSecrets(answer, secretsIn(new URL(path, 'https://a.example')))).toBe(kept);
});
