import { inspect } from 'node:util';
import { expect, test } from '@jest/globals';
import type { RequestAuthorization } from '../../src/webhook/authorization.ts';
import { authorizationsOf, configured, type Inputs } from '../webhook/an-authorization.ts';

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

const HOOKS = 'https://hooks.example.com';
const BOUND = authorizationsOf({
  crm: { origins: [HOOKS], bearer: 's3cret', paths: ['/api/hooks', '/v2/'], jobs: ['crm', 'ads'] },
});
/** Whether a job may be started with a URL, and whether a request to it is made. */
async function reached(url: URL, jobId?: string): Promise<[started: boolean, sent: boolean]> {
  const found = await BOUND.lookUp('crm', new URL(`${HOOKS}/v2`), 'crm');
  if (!found.ok) throw new Error(found.code);
  return [BOUND.refusalOf('crm', url, jobId) === undefined, found.authorization.reaches(url)];
}

test.each([
  '/api/hooks',
  '/api/hooks/',
  '/api/hooks/1?x=/../y',
  '/v2',
  '/v2/a/../b',
  '/api/hooks//a%2Fb',
  '/v2/..a/a..',
])('[S21] an authorization for some paths is sent to %s, which is one of them or below', async (path) => {
  expect(await reached(new URL(HOOKS + path), 'crm')).toEqual([true, true]);
});

test.each([
  '/',
  '/api',
  '/api/hooksmith',
  '/API/hooks',
  '/x/api/hooks',
  '//api/hooks',
  '/api//hooks',
  '/api;x/hooks',
  '/api/hooks/../admin',
  '/api/hooks/%2e%2E/admin',
  '/api/hooks\\..\\admin',
  '/%61pi/hooks',
  '/api/hooks/..%2fadmin',
  '/api/hooks/%2e%2e%2Fadmin',
  '/api/hooks/..%5cadmin',
  '/api/hooks/..;/admin',
  '/api/hooks/%252e%252e/admin',
  '/api/hooks/%25252e./admin',
  '/api/hooks/..%00/admin',
  '/api/hooks/x%2F..',
  `/api/hooks/.%${'25'.repeat(9)}2e/admin`,
])('[S21] an authorization for some paths is not sent to %s, which may lead elsewhere', async (path) => {
  expect(await reached(new URL(HOOKS + path), 'crm')).toEqual([false, false]);
});

test('[S21] with a template, the path before its first tag is one of the paths, and each request is asked about', async () => {
  const started = async (path: string) => (await reached(new URL(HOOKS + path), 'crm'))[0];
  expect(await started('/api/hooks/{{ id }}/{% if a %}b{% endif %}?c={{ d }}')).toBe(true);
  expect(await started('/api/hooks?c={{ d }}')).toBe(true);
  for (const path of ['/api/hooks{{ id }}', '/api/{{ id }}', '/{% if a %}api/hooks/{% endif %}'])
    expect([path, await started(path)]).toEqual([path, false]);
});

test('[S21] a masked path is left to the job, which knows the whole one, and nothing is sent to it', async () => {
  expect(await reached(new URL(`${HOOKS}/…?key=…`), 'crm')).toEqual([true, false]);
  expect(await reached(new URL('https://other.example/…'), 'crm')).toEqual([false, false]);
});

test('[S21] an authorization for some jobs is for no other, and not for what no job sends', async () => {
  const url = new URL(`${HOOKS}/v2`);
  const code = async (jobId?: string) => {
    const found = await BOUND.lookUp('crm', url, jobId);
    return found.ok ? undefined : found.code;
  };
  expect([await code('crm'), await code('ads')]).toEqual([undefined, undefined]);
  for (const other of ['CRM', 'crm2', '', undefined]) expect(await code(other)).toBe('AUTHORIZATION_ELSEWHERE');
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

test('[S50] a fingerprint tells 16 bits, and whether secrets and settings under a name are the same on a task queue', async () => {
  const { crm } = CRM;
  if (crm === undefined) throw new Error('It is above.');
  const of = async (config: Inputs, taskQueue = 'q') => await authorizationsOf(config).fingerprints(taskQueue);
  const { crm: known } = await of(CRM);
  expect(known).toMatch(/^[0-9a-f]{4}$/);
  expect(await of({ crm: { ...crm, headers: { 'x-tenant': '7', ...crm.headers } } })).toEqual({ crm: known });
  const others = await Promise.all([
    of({ crm: { ...crm, queryParameters: { key: 's3cret&mor3' } } }),
    of({ crm: { ...crm, paths: ['/hooks'] } }),
    of({ news: crm }),
    of(CRM, 'r'),
  ]);
  for (const other of others) expect(Object.values(other)).not.toEqual([known]);
});

test('a fingerprint is that of the secret in use, also after a secret was replaced', async () => {
  const [before, after] = ['old', 'new'].map((bearer): Inputs => ({ crm: { origins: [HOOKS], bearer } }));
  const authorizations = authorizationsOf(before ?? {});
  const first = await authorizations.fingerprints('q');
  authorizations.replace(configured(after ?? {}));
  const second = await authorizations.fingerprints('q');
  expect(second).not.toEqual(first);
  expect(second).toEqual(await authorizationsOf(after ?? {}).fingerprints('q'));
});
