import { inspect } from 'node:util';
import { expect, test } from '@jest/globals';
import { Authorizations } from '../../src/webhook/authorizations.ts';

const SECRET = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
const authorizations = new Authorizations({
  crm: {
    origins: ['https://hooks.example.com', 'https://eu.example.com:8443'],
    headers: { authorization: 'Bearer s3cret', 'x-tenant': '7' },
    signingSecrets: [SECRET],
  },
});

const lookUp = (name: string | null, url: string) => authorizations.lookUp(name, new URL(url));

test('an endpoint that needs none gets none', () => {
  expect(lookUp(null, 'https://anywhere.example')).toEqual({
    ok: true,
    authorization: { headers: [], signingKeys: [] },
  });
});

test.each(['https://hooks.example.com/any?path=1', 'https://HOOKS.example.com:443/', 'https://eu.example.com:8443/'])(
  '%s gets the headers and the keys, since it is of an origin that they are bound to',
  (url) => {
    const found = lookUp('crm', url);
    expect(found.ok && found.authorization.headers).toEqual(['authorization', 'Bearer s3cret', 'x-tenant', '7']);
    expect(found.ok && found.authorization.signingKeys).toHaveLength(1);
  },
);

test.each([
  'http://hooks.example.com/',
  'https://hooks.example.com:8443/',
  'https://evil.example/hooks.example.com',
  'https://hooks.example.com.evil.example/',
  'https://sub.hooks.example.com/',
  'https://eu.example.com/',
])('%s gets nothing: it is elsewhere', (url) => {
  expect(lookUp('crm', url)).toEqual({ ok: false, reason: 'elsewhere' });
});

test.each(['other', 'CRM', '', '__proto__', 'constructor'])('an authorization named "%s" is unknown', (name) => {
  expect(lookUp(name, 'https://hooks.example.com/')).toEqual({ ok: false, reason: 'unknown' });
});

test('the names may be told, the secrets do not show', () => {
  expect(authorizations.names).toEqual(['crm']);
  expect(inspect(authorizations, { depth: 9 }) + JSON.stringify(authorizations)).not.toMatch(/s3cret|AQEB/);
});
