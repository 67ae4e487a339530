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

/** What an authorization adds to a request to this endpoint. */
async function given(one: Omit<Inputs[string], 'origins'>): Promise<RequestAuthorization> {
  const found = await authorizationsOf({ crm: { origins: ['https://hooks.example.com'], ...one } }).lookUp(
    'crm',
    new URL('https://hooks.example.com/x'),
  );
  if (!found.ok) throw new Error(found.code);
  return found.authorization;
}

test('an endpoint that needs no authorization is sent none', async () => {
  expect(await lookUp(null, 'https://anywhere.example')).toMatchObject({
    ok: true,
    authorization: { headers: [], query: '', signingKeys: [], secrets: [] },
  });
});

test.each(['https://hooks.example.com/any?path=1', 'https://HOOKS.example.com:443/', 'https://eu.example.com:8443/'])(
  '%s is sent the headers, the query and the keys, since they are bound to its origin',
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
])('[S21] %s is sent nothing, since it is at another origin', async (url) => {
  expect(await lookUp('crm', url)).toEqual({ ok: false, code: 'AUTHORIZATION_ELSEWHERE' });
});

test.each(['other', 'CRM', '', '__proto__', 'constructor'])('an authorization named "%s" is unknown', async (name) => {
  expect(await lookUp(name, 'https://hooks.example.com/')).toEqual({ ok: false, code: 'AUTHORIZATION_UNKNOWN' });
});

test('Basic is in UTF-8, and a password may have colons', async () => {
  const { headers } = await given({ basic: { username: 'ünter', password: 'a:b:ß' } });
  expect(headers).toEqual(['authorization', `Basic ${Buffer.from('ünter:a:b:ß').toString('base64')}`]);
});

test('all secrets of an authorization are listed, so that no answer that is kept repeats them', async () => {
  const { secrets } = await given({
    headers: { 'x-api-key': 'Key in-header' },
    queryParameters: { k: 'in-query' },
    basic: { username: 'in-user', password: 'in-basic' },
  });
  const credentials = Buffer.from('in-user:in-basic').toString('base64');
  // Some services take the key as the user name.
  expect(secrets).toEqual(['Key in-header', 'in-query', 'in-user', 'in-basic', credentials]);
  expect((await given({ bearer: 'in-bearer' })).secrets).toEqual(['in-bearer']);
});

test('[S25] a secret with an end signs until then, and not afterwards', async () => {
  const secondsFromNow = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString();
  const withEnd = async (until: string) =>
    (await given({ signingSecrets: [SECRET, { secret: SECRET, until }] })).signingKeys.length;
  expect([await withEnd(secondsFromNow(60)), await withEnd(secondsFromNow(-1))]).toEqual([2, 1]);
});

test('[S25] an end that is reached while the worker runs takes effect', async () => {
  const until = new Date(Date.now() + 300).toISOString();
  const origins = ['https://hooks.example.com'];
  const authorizations = authorizationsOf({ crm: { origins, signingSecrets: [SECRET, { secret: SECRET, until }] } });
  const keys = async (): Promise<number> => {
    const found = await authorizations.lookUp('crm', new URL('https://hooks.example.com'));
    return found.ok ? found.authorization.signingKeys.length : 0;
  };
  expect(await keys()).toBe(2);
  while (Date.now() < Date.parse(until)) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(await keys()).toBe(1);
});

test('a changed configuration takes effect: removed authorizations are unknown, new ones known, changed ones changed', async () => {
  const origins = ['https://a.example'];
  const authorizations = authorizationsOf({ changes: { origins, bearer: 'old' }, goes: { origins, bearer: 't' } });
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

test('the names can be listed, and the secrets are not shown', () => {
  const authorizations = authorizationsOf(CRM);
  expect(authorizations.names).toEqual(['crm']);
  expect(inspect(authorizations, { depth: 9 }) + JSON.stringify(authorizations)).not.toMatch(/s3cret|AQEB/);
});
