import { NoSample } from '../../src/features/preview/no-sample.ts';
import { expect, test } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { request } from 'undici';
import type { ApiOptions } from '../../src/app/api.ts';
import { DeadLetterNotFound, JobNotFound } from '../../src/client/calls/errors.ts';
import { ExportJobs, type SampleOf, type SampleWish } from '../../src/app/export-jobs.ts';
import type { Right } from '../../src/config/api-keys.ts';
import { newApiKey } from '../../src/config/references.ts';
import { apiWithoutTemporal, askOf } from './an-api.ts';

/** The answer of an API without Temporal to a key: a request with a valid key waits for Temporal. */
async function answerTo(
  may: readonly Right[],
  jobs: readonly string[] | undefined,
  path: string,
  body?: object,
  more?: Partial<ApiOptions>,
) {
  const { secret, hash } = newApiKey();
  const key = { hash, may: [...may], ...(jobs === undefined ? {} : { jobs: [...jobs] }) };
  const api = await apiWithoutTemporal({ crm: key }, more);
  try {
    return await askOf(api, path, { body, headers: { authorization: `Bearer ${secret}` } });
  } finally {
    await api.close();
  }
}

test.each(['redeliver', 'discard'])(
  'a key for some jobs that would %s without naming one learns of no other job',
  async (name) => {
    for (const filter of [{ all: true }, { user: 'd*' }, { failure: 'HTTP 422', dryRun: true }])
      expect(await answerTo(['operate'], ['crm'], `/v1/dead-letters/${name}`, filter)).toMatchObject({
        status: 403,
        body: { detail: 'This API key is for some jobs only: name one of them, as "jobId".' },
      });
  },
);

test.each(['render', 'test'])(
  '[S47] a key for some jobs is shown by %s only members of their audiences, whatever it asks for',
  async (name) => {
    const wishes: SampleWish[] = [];
    const jobs = new ExportJobs(new Client({ connection: Connection.lazy({ address: '127.0.0.1:1' }) }));
    const asked = async (_of: SampleOf, wish: SampleWish = {}): Promise<never> => {
      wishes.push(wish);
      return await Promise.reject(new NoSample({ field: 'user', message: 'Nobody.' }));
    };
    Object.assign(jobs, { sample: asked, test: asked });
    for (const own of [['crm'], undefined])
      await answerTo(['read', 'operate'], own, `/v1/${name}`, { jobId: 'crm', onlyMembers: false }, { jobs });
    expect(wishes).toEqual([{ onlyMembers: true }, { onlyMembers: false }]);
    await jobs.close();
  },
);

test('[S47] only a key that may read a job or a dead letter is told that its name is similar', async () => {
  const letter = 'a'.repeat(32);
  const jobs = new ExportJobs(new Client({ connection: Connection.lazy({ address: '127.0.0.1:1' }) }));
  const fails = (error: Error) => async () => await Promise.reject(error);
  Object.assign(jobs, {
    list: async () => await Promise.resolve([{ jobId: 'crm-usa' }, { jobId: 'crm-ux' }]),
    status: fails(new JobNotFound('crm-us')),
    stop: fails(new JobNotFound('crm-us')),
    deadLetters: {
      show: fails(new DeadLetterNotFound(`${letter}-0`)),
      waiting: async function* () {
        yield await Promise.resolve({ id: `${letter}-1`, jobId: 'crm-usa' });
      },
    },
  });
  const said = async (may: Right[], own: string[] | undefined, path: string, body?: object) => {
    const answer = await answerTo(may, own, path, body, { jobs });
    expect(answer.status).toBe(404);
    return /Did you mean \\"(.*?)\\"/.exec(JSON.stringify(answer.body))?.[1];
  };
  const [job, one] = ['/v1/jobs/crm-us', `/v1/dead-letters/${letter}-0`];
  expect(await said(['read'], undefined, job)).toBe('crm-usa');
  expect(await said(['read'], undefined, one)).toBe(`${letter}-1`);
  expect(await said(['read'], ['crm-us', 'crm-ux'], job)).toBe('crm-ux');
  expect(await said(['read'], ['crm-ux'], one)).toBeUndefined();
  expect(await said(['operate'], undefined, `${job}/stop`, {})).toBeUndefined();
  await jobs.close();
});

test('a key that may not read is shown no person by a test', async () => {
  expect(await answerTo(['operate'], undefined, '/v1/test', { jobId: 'crm', user: '1' })).toMatchObject({
    status: 403,
    body: { code: 'NotAllowed', detail: expect.stringContaining('"read"') },
  });
});

test('[S34] a key that may not read is shown nobody by a replay or a reconcile that only counts', async () => {
  const jobs = new ExportJobs(new Client({ connection: Connection.lazy({ address: '127.0.0.1:1' }) }));
  const answers = async (what: object) => await Promise.resolve(what);
  const counts = { enters: 1, exits: 0 };
  Object.assign(jobs, {
    findTold: async () => await answers({ ...counts, first: [{ user: 'ada' }] }),
    compare: async () => await answers({ ...counts, first: { enters: ['ada'], exits: [] } }),
    forget: async () => await answers({}),
  });
  const asked = async (may: Right[]) => {
    const replay = await answerTo(may, undefined, '/v1/jobs/crm/replay', { dryRun: true }, { jobs });
    const { secret, hash } = newApiKey();
    const api = await apiWithoutTemporal({ crm: { hash, may } }, { jobs });
    const headers = { authorization: `Bearer ${secret}`, 'content-type': 'text/csv' };
    const reconcile = await askOf(api, '/v1/jobs/crm/reconcile?dryRun=1', { body: 'id\n', headers });
    await api.close();
    return [replay, reconcile].map(({ status, body }) => [status, JSON.stringify(body)]);
  };
  const shown = [200, expect.stringContaining('ada')];
  const hidden = [200, expect.stringMatching(/^(?=.*"enters":1)(?!.*ada)/)];
  expect(await asked(['operate'])).toEqual([hidden, hidden]);
  expect(await asked(['read', 'operate'])).toEqual([shown, shown]);
  await jobs.close();
});

test.each(['/v1/dead-letters', '/v1/dead-letters/failures', '/v1/trace'])(
  '[S47] a key for some jobs that names another at %s is not told whether there is one',
  async (path) => {
    expect(await answerTo(['read'], ['crm'], `${path}?jobId=theirs&user=1`)).toMatchObject({
      status: 403,
      body: { code: 'NotAllowed' },
    });
  },
);

test('[S47] a key for some jobs is not shown the ingests, which send to all', async () => {
  expect(await answerTo(['read'], ['crm'], '/v1/ingests')).toMatchObject({ status: 403 });
  expect(await answerTo(['read'], undefined, '/v1/ingests')).toMatchObject({ status: 200 });
});

test('a key for some jobs is not shown the metrics, which are of all jobs and keys', async () => {
  const [some, all] = [newApiKey(), newApiKey()];
  const may: Right[] = ['read'];
  const keys = { crm: { hash: some.hash, may, jobs: ['crm'] }, prometheus: { hash: all.hash, may } };
  const api = await apiWithoutTemporal(keys);
  const scraped = async (secret: string) =>
    await request(`${api.url}/metrics`, { headers: { authorization: `Bearer ${secret}` } }).then(
      async ({ statusCode, body }) => ({ statusCode, text: await body.text() }),
    );
  try {
    expect(await scraped(all.secret)).toMatchObject({
      statusCode: 200,
      text: expect.stringContaining('key="prometheus"'),
    });
    const refused = await scraped(some.secret);
    expect(refused.statusCode).toBe(403);
    expect(refused.text).not.toContain('prometheus');
    expect(refused.text).not.toContain('triggers_api');
  } finally {
    await api.close();
  }
});
