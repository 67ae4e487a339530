import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { authorizationSchema } from '../../src/authorizations/authorization-config.ts';
import { checkDestinations } from '../../src/worker/authorizations-reload.ts';
import { loadConfig } from '../../src/app/config.ts';
import { ConfigError } from '../../src/config/problems.ts';

const SECRET = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
const ORIGINS = ['https://hooks.example.com'];

/** What is wrong with an authorization, in the words of the configuration's error; empty when nothing is. */
function problemOf(changes: object): string {
  const { error } = authorizationSchema.safeParse({ origins: ORIGINS, queryParameters: { key: 'k' }, ...changes });
  return error === undefined ? '' : z.prettifyError(error);
}

test.each([
  'https://hooks.example.com/path',
  'https://user@hooks.example.com',
  'https://hooks.example.com?x=1',
  'mailto:a@example.com',
  'hooks.example.com',
])('%s is not an origin, so no secret can be bound to it', (origin) => {
  expect(problemOf({ origins: [origin] })).toMatch(/An origin .*https:\/\/hooks\.example\.com/);
});

test.each(['https://hooks.example.com', 'https://hooks.example.com/', 'http://127.0.0.1:8080'])(
  '%s is an origin',
  (origin) => expect(problemOf({ origins: [origin] })).toBe(''),
);

test.each([
  'host',
  'Content-Length',
  'content-type',
  'transfer-encoding',
  'connection',
  'Upgrade',
  'te',
  'trailer',
  'expect',
  'Proxy-Authorization',
  'keep-alive',
  'HTTP2-Settings',
  'user-agent',
  'webhook-id',
  'Webhook-Signature',
  'traceparent',
  'TraceState',
])('[S18] the header "%s" cannot be set', (name) => {
  expect(problemOf({ headers: { [name]: 'x' } })).toContain('The worker sets this header itself.');
});

test.each(['x y', '', 'a:b', 'a\r\nb', 'ä', '"x"', 'x\0'])('[S18] no header may be named %j', (name) => {
  expect(problemOf({ headers: { [name]: 'x' } })).toContain('The name of header number 1 is not valid.');
});

test.each(['a\r\nx-evil: 1', 'a\nb', 'a\rb', 'a\0', '\u{1F600}', '\x7f', ' a', 'Bearer ', '\x1b[2J'])(
  '[S18] no header may have the value %j',
  (value) => {
    expect(problemOf({ headers: { 'x-api-key': value } })).toContain(
      'A header value must be one line of plain characters, without blanks around it.',
    );
  },
);

test('a header value may contain blanks and Latin-1', () => {
  expect(problemOf({ headers: { 'x-name': 'caf\u00e9 \t\u00ff!' } })).toBe('');
});

test('[S18] the same header in two spellings is refused, and so are too many headers', () => {
  expect(problemOf({ headers: { 'X-Key': 'a', 'x-key': 'b' } })).toContain('This header is given twice.');
  const many = Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`x-${index}`, 'v']));
  expect(problemOf({ headers: many })).toContain('At most 50 headers.');
});

test.each([
  ['a signing secret of plain text', { signingSecrets: ['s3cret'] }],
  ['a short signing secret', { signingSecrets: [`whsec_${Buffer.from('s3cret').toString('base64')}`] }],
  ['a signing secret with a wrong character', { signingSecrets: [SECRET.replace('A', '!')] }],
  [
    'a signing secret with an end that is not a signing secret',
    { signingSecrets: [SECRET, { secret: 's3cret', until: '2026-12-31' }] },
  ],
  ['a header as a line', { headers: { 'authorization: Bearer s3cret': 'x' } }],
  ['a header of two lines', { headers: { 'x-api-key': 's3cret\n' } }],
  ['a header that is a list', { headers: { 'x-api-key': ['s3cret'] } }],
  ['a token of two words', { bearer: 's3cret s3cret' }],
  ['a password of two lines', { basic: { username: 'me', password: 's3cret\n' } }],
  ['a user name with a colon', { basic: { username: 'me:s3cret', password: 'x' } }],
  [
    'a token URL with a password',
    { oauth2: { tokenUrl: 'https://me:s3cret@a.example', clientId: 'a', clientSecret: 'b' } },
  ],
  [
    'a client secret that is a number',
    { oauth2: { tokenUrl: 'https://a.example', clientId: 's3cret', clientSecret: 7 } },
  ],
  ['a certificate that is not one', { clientCertificate: { certificate: 's3cret', key: 's3cret' } }],
  ['a query parameter that is a list', { queryParameters: { key: ['s3cret'] } }],
  ['a query parameter without a name', { queryParameters: { '': 's3cret' } }],
  ['a kind that does not exist', { bearer: 7, token: 's3cret' }],
])('[S22] %s is an error that says where and does not repeat it', (_, changes) => {
  const problem = problemOf(changes);
  expect(problem).toMatch(/✖ .+/);
  expect(problem).not.toMatch(/s3cret|czNjcmV0|AQEB/);
});

test.each<[ways: string[], changes: object]>([
  [['bearer', 'basic'], { bearer: 'a', basic: { username: 'a', password: 'b' } }],
  [['headers', 'bearer'], { headers: { Authorization: 'x' }, bearer: 'a' }],
  [['oauth2', 'bearer'], { oauth2: { tokenUrl: 'https://a.example', clientId: 'a', clientSecret: 'b' }, bearer: 'a' }],
])('%j cannot both be in the header "authorization"', (_, changes) => {
  expect(problemOf(changes)).toContain('Only one of headers.authorization, basic, bearer and oauth2');
});

test('one way to fill the header "authorization" can be combined with everything else', () => {
  const rest = { headers: { 'x-tenant': '7' }, queryParameters: { v: '2' }, signingSecrets: [SECRET] };
  expect(problemOf({ bearer: 'a.b-c', ...rest })).toBe('');
});

test('[S25] a signing secret may have an end, but one must be without', () => {
  const ending = { secret: SECRET, until: '2026-12-31T00:00:00Z' };
  expect(problemOf({ signingSecrets: [SECRET, ending] })).toBe('');
  expect(problemOf({ signingSecrets: [ending] })).toContain('must have no "until"');
  expect(problemOf({ signingSecrets: [SECRET, { ...ending, until: 'tomorrow' }] })).toMatch(/at signingSecrets/);
});

const CONFIG = loadConfig({ env: {} });
const HOOK = 'https://alerts.example.com/hook';
const oauth2 = (tokenUrl: string) =>
  authorizationSchema.parse({
    origins: ['https://hooks.example.com'],
    oauth2: { tokenUrl, clientId: 'me', clientSecret: 's3cret' },
  });

test('alerts and tokens that the worker may ask for are no problem', () => {
  const alerts = { ...CONFIG.alerts, url: HOOK };
  expect(() =>
    checkDestinations({ ...CONFIG, alerts, authorizations: { crm: oauth2('https://login.example.com/') } }),
  ).not.toThrow();
});

test.each(['http://alerts.example.com/hook', 'https://10.0.0.1/hook', 'https://alerts.example.com:22/hook'])(
  'alerts to %s would never arrive, and are refused',
  (url) => {
    const check = () => checkDestinations({ ...CONFIG, alerts: { ...CONFIG.alerts, url } });
    expect(check).toThrow(ConfigError);
    expect(check).toThrow(/nothing can be sent to "alerts\.url"/);
  },
);

test('a token URL that the worker may not ask is refused, with the name of its authorization', () => {
  const check = () => checkDestinations({ ...CONFIG, authorizations: { crm: oauth2('http://10.0.0.1/token') } });
  expect(check).toThrow(/nothing can be sent to "authorizations\.crm\.oauth2\.tokenUrl".*by https only/);
});

test('the authorization of the alerts cannot be taken away from a running worker', () => {
  const alerts = { ...CONFIG.alerts, url: HOOK, authorization: 'operators' };
  expect(() => checkDestinations({ ...CONFIG, alerts, authorizations: {} })).toThrow(
    /alerts with the authorization "operators", which is no longer there/,
  );
});
