import { inspect } from 'node:util';
import { expect, test } from '@jest/globals';
import type { RequestAuthorization } from '../../src/webhook/authorizations.ts';
import { authorizationsOf, configured, type Inputs } from './an-authorization.ts';

const SECRET = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
const CRM: Inputs = {
  crm: {
    origins: ['https://hooks.example.com', 'https://eu.example.com:8443'],
    headers: { authorization: 'Bearer s3cret', 'x-tenant': '7' },
    queryParameters: { key: 's3cret&more' },
    signingSecrets: [SECRET],
  },
};

const lookUp = (name: string | null, url: string) => authorizationsOf(CRM).lookUp(name, new URL(url));

/** What a request to this endpoint gets of an authorization. */
async function given(one: Omit<Inputs[string], 'origins'>): Promise<RequestAuthorization> {
  const found = await authorizationsOf({ crm: { origins: ['https://hooks.example.com'], ...one } }).lookUp(
    'crm',
    new URL('https://hooks.example.com/x'),
  );
  if (!found.ok) throw new Error(found.code);
  return found.authorization;
}

test('an endpoint that needs none gets none', async () => {
  expect(await lookUp(null, 'https://anywhere.example')).toMatchObject({
    ok: true,
    authorization: { headers: [], query: '', signingKeys: [], secrets: [] },
  });
});

test.each(['https://hooks.example.com/any?path=1', 'https://HOOKS.example.com:443/', 'https://eu.example.com:8443/'])(
  '%s gets the headers, the query and the keys, since it is of an origin that they are bound to',
  async (url) => {
    expect(await lookUp('crm', url)).toMatchObject({
      ok: true,
      authorization: {
        headers: ['authorization', 'Bearer s3cret', 'x-tenant', '7'],
        query: 'key=s3cret%26more',
        signingKeys: [expect.anything()],
      },
    });
  },
);

test.each([
  'http://hooks.example.com/',
  'https://hooks.example.com:8443/',
  'https://evil.example/hooks.example.com',
  'https://hooks.example.com.evil.example/',
  'https://sub.hooks.example.com/',
  'https://eu.example.com/',
])('[S21] %s gets nothing: it is elsewhere', async (url) => {
  expect(await lookUp('crm', url)).toEqual({ ok: false, code: 'AUTHORIZATION_ELSEWHERE' });
});

test.each(['other', 'CRM', '', '__proto__', 'constructor'])('an authorization named "%s" is unknown', async (name) => {
  expect(await lookUp(name, 'https://hooks.example.com/')).toEqual({ ok: false, code: 'AUTHORIZATION_UNKNOWN' });
});

test('Basic is the user and the password as RFC 7617 has them', async () => {
  const { headers } = await given({ basic: { username: 'Aladdin', password: 'open sesame' } });
  expect(headers).toEqual(['authorization', 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==']);
});

test('a bearer token is in the header', async () => {
  expect((await given({ bearer: 'abc.def' })).headers).toEqual(['authorization', 'Bearer abc.def']);
});

test('whatever is secret in it is told apart, so that no kept answer repeats it', async () => {
  const { secrets } = await given({
    headers: { 'x-api-key': 'Key in-header' },
    queryParameters: { k: 'in-query' },
    basic: { username: 'a-key', password: 'in-basic' },
  });
  expect(secrets).toEqual(
    expect.arrayContaining(['Key in-header', 'in-query', 'a-key', 'in-basic', btoa('a-key:in-basic')]),
  );
});

test('[S25] a secret that is on its way out signs until its end, and not after', async () => {
  const secondsFromNow = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString();
  const withEnd = async (until: string) =>
    (await given({ signingSecrets: [SECRET, { secret: SECRET, until }] })).signingKeys.length;
  expect([await withEnd(secondsFromNow(60)), await withEnd(secondsFromNow(-1))]).toEqual([2, 1]);
});

test('a changed configuration is taken over: what is gone is unknown, what is new is there, what is changed is changed', async () => {
  const origins = ['https://a.example'];
  const authorizations = authorizationsOf({ changes: { origins, bearer: 'old' }, goes: { origins } });
  authorizations.replace(configured({ changes: { origins, bearer: 'new' }, comes: { origins, bearer: 'newer' } }));
  expect(authorizations.names).toEqual(['changes', 'comes']);
  const url = new URL('https://a.example');
  expect(await authorizations.lookUp('goes', url)).toMatchObject({ ok: false });
  for (const [name, bearer] of [
    ['changes', 'new'],
    ['comes', 'newer'],
  ] as const) {
    expect(await authorizations.lookUp(name, url)).toMatchObject({
      authorization: { headers: ['authorization', `Bearer ${bearer}`] },
    });
  }
});

test('the names may be told, the secrets do not show', () => {
  const authorizations = authorizationsOf(CRM);
  expect(authorizations.names).toEqual(['crm']);
  expect(inspect(authorizations, { depth: 9 }) + JSON.stringify(authorizations)).not.toMatch(/s3cret|AQEB/);
});
