import { createHash } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { request } from 'undici';
import type { Right } from '../../src/config/api-config.ts';
import { apiWithoutTemporal, askOf } from './an-api.ts';

/** What an API without Temporal answers to a key: whoever gets past the key waits for Temporal. */
async function answerTo(may: readonly Right[], jobs: readonly string[] | undefined, path: string, body: object) {
  const secret = 'trg_of-a-test';
  const hash = `sha256:${createHash('sha256').update(secret).digest('hex')}`;
  const api = await apiWithoutTemporal({
    crm: { hash, may: [...may], ...(jobs === undefined ? {} : { jobs: [...jobs] }) },
  });
  try {
    return await askOf(api, path, { body, headers: { authorization: `Bearer ${secret}` } });
  } finally {
    await api.close();
  }
}

test.each(['redeliver', 'discard'])(
  'a key for some jobs that would %s without naming one hears of no other job',
  async (name) => {
    for (const filter of [{ all: true }, { user: 'd*' }, { failure: 'HTTP 422', dryRun: true }])
      expect(await answerTo(['operate'], ['crm'], `/v1/dead-letters/${name}`, filter)).toMatchObject({
        status: 403,
        body: { detail: 'This API key is for some jobs only: name one of them, as "jobId".' },
      });
  },
);

test('whoever may not read is not shown a person by a test', async () => {
  expect(await answerTo(['operate'], undefined, '/v1/test', { jobId: 'crm', user: '1' })).toMatchObject({
    status: 403,
    body: { code: 'NotAllowed', detail: expect.stringContaining('"read"') },
  });
});

test('a key for some jobs is not shown the metrics, which are of all jobs and keys', async () => {
  const read = (secret: string, jobs?: string[]) => ({
    hash: `sha256:${createHash('sha256').update(secret).digest('hex')}`,
    may: ['read'] satisfies Right[],
    ...(jobs === undefined ? {} : { jobs }),
  });
  const api = await apiWithoutTemporal({ crm: read('trg_some', ['crm']), prometheus: read('trg_all') });
  const scraped = async (secret: string) =>
    await request(`${api.url}/metrics`, { headers: { authorization: `Bearer ${secret}` } }).then(
      async ({ statusCode, body }) => ({ statusCode, text: await body.text() }),
    );
  try {
    expect(await scraped('trg_all')).toMatchObject({
      statusCode: 200,
      text: expect.stringContaining('key="prometheus"'),
    });
    const refused = await scraped('trg_some');
    expect(refused.statusCode).toBe(403);
    expect(refused.text).not.toContain('prometheus');
    expect(refused.text).not.toContain('triggers_api');
  } finally {
    await api.close();
  }
});
