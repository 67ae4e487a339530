import { afterAll, expect, test } from '@jest/globals';
import type { ConfiguredApiKeys } from '../../src/config/api-keys.ts';
import { newApiKey } from '../../src/config/references.ts';
import { apiOf, askOf, type Question } from '../api/an-api.ts';
import { labOfFile, NEWS, VIP } from '../support/lab.ts';
import { configured } from '../webhook/an-authorization.ts';
import { afterFile } from '../webhook/a-server.ts';

// Two parties share an installation: ours has the audience "vip" and the authorization "ours", the other one "news" and "theirs".

/** Nothing listens there. */
const OUR_URL = 'http://127.0.0.1:20999/ours';
const origins = ['http://127.0.0.1:20999'];
const lab = await labOfFile({
  config: {
    authorizations: configured({
      ours: { origins, bearer: 'our-secret' },
      theirs: { origins, bearer: 'their-secret' },
      bound: { origins, bearer: 'bound-secret', jobs: ['lab-bound'], paths: ['/ours'] },
    }),
  },
  content: { audiences: [VIP, NEWS].map((one) => ({ ...one, members: [] })) },
});
const ours = { audiences: ['vip'], webhookUrl: OUR_URL, authorization: 'ours' };
const job = await lab.start({ ...ours, authorization: 'theirs', memberships: true });
// Once, somebody else gave our job what is theirs.
await lab.jobs.edit(job, { authorization: 'ours', memberships: false });
const their = await lab.start({ audiences: ['news'], webhookUrl: OUR_URL, authorization: 'theirs' });
const next = `${job}-next`;

const unexpected: object[] = [];
afterAll(() => expect(unexpected).toEqual([]));
const { secret, hash } = newApiKey();
const api = await apiOf(lab, {}, (fields) => unexpected.push(fields));
afterFile(() => api.close());

type Key = Partial<ConfiguredApiKeys[string]>;
const ask = async (path: string, { key, ...question }: Question & { readonly key?: Key } = {}) => {
  api.replaceKeys({ ours: { hash, may: ['read', 'operate'], jobs: [job, next], ...key } });
  return await askOf(api, path, { ...question, headers: { authorization: `Bearer ${secret}`, ...question.headers } });
};
const status = async (...question: Parameters<typeof ask>) => (await ask(...question)).status;

const THEIRS: readonly (readonly [field: string, edit: object])[] = [
  ['authorization', { authorization: 'theirs' }],
  ['authorization', { authorization: ' theirs ' }],
  ['audiences[0]', { audiences: ['news'] }],
  ['audiences[1]', { audiences: ['vip', NEWS.id] }],
  ['audiences[0]', { audiences: [' news '] }],
  ['memberships', { memberships: true }],
];

test.each(THEIRS)('[S34] [S47] a key for some jobs puts into them nothing of others: %s of %j', async (field, edit) => {
  const refused = { status: 403, body: { code: 'NotAllowed', problems: [{ field }] } };
  const form = { label: 'Next', ...ours, ...edit };
  for (const query of ['', '?validateOnly=1']) {
    expect(await ask(`/v1/jobs/${job}${query}`, { method: 'PATCH', body: edit })).toMatchObject(refused);
    const start = `/v1/jobs?id=${next}${query.replace('?', '&')}`;
    expect(await ask(start, { body: form })).toMatchObject(refused);
  }
  expect(await lab.jobs.status(job)).toMatchObject({ authorization: 'ours', audiences: [VIP], memberships: false });
  await expect(lab.jobs.status(next)).rejects.toThrow();
});

test('[S34] a key for some jobs cannot take one back to a revision that had what is of others', async () => {
  for (const query of ['', '?validateOnly=1'])
    expect(await ask(`/v1/jobs/${job}${query}`, { method: 'PATCH', body: { toRevision: 1 } })).toMatchObject({
      status: 403,
      body: { problems: [{ field: 'authorization' }, { field: 'memberships' }] },
    });
});

test('[S47] an answer to a key for some jobs does not tell a name of others from none', async () => {
  const told = async (edit: object) =>
    (await ask(`/v1/jobs/${job}?validateOnly=1`, { method: 'PATCH', body: edit })).body;
  expect(await told({ authorization: 'nosuch' })).toEqual(await told({ authorization: 'theirs' }));
  expect(await told({ audiences: ['nosuch'] })).toEqual(await told({ audiences: ['news'] }));
  const started = async (form: object) =>
    (await ask(`/v1/jobs?id=${next}&validateOnly=1`, { body: { label: 'Next', ...ours, ...form } })).body;
  const begun = async (form: object) =>
    (await ask(`/v1/jobs?id=${next}`, { body: { label: 'Next', ...ours, ...form } })).body;
  for (const told of [started, begun]) {
    expect(await told({ authorization: 'nosuch' })).toEqual(await told({ authorization: 'theirs' }));
    expect(await told({ audiences: ['nosuch'] })).toEqual(await told({ audiences: ['news'] }));
  }
  // Given to it, and not there: a worker would list those that are.
  const key = { audiences: ['nosuch', 'vip'], authorizations: ['nosuch', 'ours'] };
  const edit = { audiences: ['nosuch'], authorization: 'nosuch' };
  const answer = await ask(`/v1/jobs/${job}?validateOnly=1`, { method: 'PATCH', body: edit, key });
  expect(answer).toMatchObject({ status: 422, body: { problems: [{ field: 'audiences[0]' }, {}] } });
  expect(JSON.stringify(answer.body)).not.toMatch(/news|theirs/);
  const fields = async (audience: string) => (await ask(`/v1/audiences/${audience}/fields`)).status;
  expect([await fields('news'), await fields('nosuch'), await fields('vip')]).toEqual([404, 404, 200]);
});

test('[S47] a key for some jobs is listed the audiences and authorizations that it may use', async () => {
  const listed = async (key: Key = {}) => [
    (await ask('/v1/audiences', { key })).body,
    (await ask('/v1/authorizations', { key })).body,
  ];
  expect(await listed()).toMatchObject([
    { audiences: [{ slug: 'vip' }], total: 1 },
    { authorizations: [{ name: 'ours' }] },
  ]);
  expect(await listed({ audiences: ['news'], authorizations: [] })).toMatchObject([
    { audiences: [{ slug: 'news' }], total: 1 },
    { authorizations: [] },
  ]);
});

test('a key for some jobs may use in each what any of them has, also after the end of that job', async () => {
  const key = { jobs: [job, their] };
  expect(await status(`/v1/jobs/${job}?validateOnly=1`, { method: 'PATCH', body: { audiences: ['news'] }, key })).toBe(
    200,
  );
  expect(await status(`/v1/jobs?id=${next}`, { body: { label: 'Next', ...ours } })).toBe(201);
  await lab.jobs.stop(next, { waiting: 'discard' });
  const restarted = { jobs: [next] };
  expect(await status(`/v1/jobs?id=${next}&validateOnly=1`, { body: { label: 'Next', ...ours }, key: restarted })).toBe(
    200,
  );
});

test('[S34] a key that was given less than its job has neither edits it nor sends by it', async () => {
  const csv = { 'content-type': 'text/csv' };
  for (const key of [{ audiences: ['news'] }, { authorizations: ['theirs'] }, { authorizations: [] }]) {
    const answers = [
      await status(`/v1/jobs/${job}`, { method: 'PATCH', body: { webhookUrl: `${OUR_URL}/x` }, key }),
      await status(`/v1/jobs/${job}/backfill`, { body: {}, key }),
      await status(`/v1/jobs/${job}/backfill`, { body: { audiences: ['vip'] }, key }),
      await status(`/v1/jobs/${job}/replay`, { body: { since: '2026-01-01T00:00:00Z' }, key }),
      await status(`/v1/jobs/${job}/reconcile?audience=vip&dryRun=1`, { body: 'id\n', headers: csv, key }),
      await status('/v1/render', { body: { jobId: job }, key }),
      await status('/v1/test', { body: { jobId: job, audience: 'vip' }, key }),
    ];
    expect([key, answers]).toEqual([key, [403, 403, 403, 403, 403, 403, 403]]);
  }
  const given = { audiences: ['vip'], authorizations: ['ours'] };
  expect(await status(`/v1/jobs/${job}/backfill`, { body: {}, key: given })).toBe(200);
});

test('[S21] an authorization for some jobs is refused for others by every way to start or change one', async () => {
  const form = { label: 'Bound', ...ours, authorization: 'bound' };
  const key = { jobs: undefined };
  const refused = { status: 422, body: { code: 'InvalidJob', problems: [{ field: 'authorization' }] } };
  const edit = { method: 'PATCH', body: { authorization: 'bound' }, key };
  for (const query of ['', '?validateOnly=1'])
    expect(await ask(`/v1/jobs/${job}${query}`, edit)).toMatchObject(refused);
  for (const query of ['', '&validateOnly=1'])
    expect(await ask(`/v1/jobs?id=lab-other${query}`, { body: form, key })).toMatchObject(refused);
  expect(await lab.jobs.plan({ 'lab-other': form })).toMatchObject({ ok: false });
  expect(await ask('/v1/jobs?id=lab-bound&validateOnly=1', { body: form, key })).toMatchObject({ status: 200 });
  const elsewhere = { ...form, webhookUrl: `${OUR_URL}-not` };
  expect(await ask('/v1/jobs?id=lab-bound', { body: elsewhere, key })).toMatchObject(refused);
});

test('[S21] a job whose authorization is for some paths can be edited, and leaves them neither by URL nor by authorization', async () => {
  const form = { label: 'Bound', ...ours, webhookUrl: 'http://127.0.0.1:20999/elsewhere' };
  const key = { jobs: undefined };
  const edit = async (body: object) => await ask('/v1/jobs/lab-bound', { method: 'PATCH', body, key });
  expect(await status('/v1/jobs?id=lab-bound', { body: form, key })).toBe(201);
  const refused = { status: 422, body: { code: 'InvalidJob', problems: [{ field: 'authorization' }] } };
  expect(await edit({ authorization: 'bound' })).toMatchObject(refused);
  expect(await edit({ authorization: 'bound', webhookUrl: OUR_URL })).toMatchObject({ status: 200 });
  expect(await edit({ description: 'Ours.' })).toMatchObject({ status: 200 });
  expect(await edit({ webhookUrl: form.webhookUrl })).toMatchObject(refused);
});

test('[S47] a key for some jobs that asks for dead letters about an audience is not told whether there is one', async () => {
  const told = async (audience: string) => [
    await status(`/v1/dead-letters?audience=${audience}`),
    await status('/v1/dead-letters/discard', { body: { jobId: job, audience, dryRun: true } }),
  ];
  expect([await told('news'), await told('nosuch'), await told('vip')]).toEqual([
    [403, 403],
    [403, 403],
    [200, 200],
  ]);
});

test('[S47] a key for some audiences learns of a job only that it subscribes to one of them', async () => {
  const key = { may: ['trigger'] as const, jobs: undefined, audiences: ['vip'] };
  const told = async (jobId: string) => {
    const trigger = { audience: 'vip', user: 'ada', event: 'enter', profile: {} };
    const { status: code, body } = await ask(`/v1/jobs/${jobId}/triggers`, {
      body: trigger,
      key: key as unknown as Key,
    });
    return [code, JSON.stringify(body).replaceAll(jobId, '')];
  };
  expect(await told(their)).toEqual(await told('nosuch'));
  expect((await told(job))[0]).toBe(202);
});

test('[S34] [S47] a slug that has passed to an audience of others does not take it along', async () => {
  lab.source.rename(VIP.id, 'vip-before');
  lab.source.rename(NEWS.id, 'vip');
  try {
    const refused = { status: 403, body: { code: 'NotAllowed', problems: [{ field: 'audiences[0]' }] } };
    const form = { label: 'Next', ...ours };
    for (const query of ['', '?validateOnly=1']) {
      const body = { audiences: ['vip'] };
      expect(await ask(`/v1/jobs/${job}${query}`, { method: 'PATCH', body })).toMatchObject(refused);
      expect(await ask(`/v1/jobs?id=${next}${query.replace('?', '&')}`, { body: form })).toMatchObject(refused);
    }
    expect(await ask('/v1/audiences')).toMatchObject({ body: { audiences: [{ id: VIP.id }], total: 1 } });
  } finally {
    lab.source.rename(VIP.id, 'vip');
    lab.source.rename(NEWS.id, 'news');
  }
});
