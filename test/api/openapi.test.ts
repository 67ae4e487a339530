import { beforeAll, describe, expect, test } from '@jest/globals';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import { ApiMetrics } from '../../src/api/service-routes.ts';
import { IngestRecords, Ingests } from '../../src/features/ingests/senders.ts';
import { SharedOverview } from '../../src/api/overview-routes.ts';
import type { JobOverview } from '../../src/app/export-jobs.ts';
import { ingestsSchema } from '../../src/features/ingests/config.ts';
import { createLog } from '../../src/worker/log.ts';
import { apiWithoutTemporal, askOf, timersThatHold } from './an-api.ts';

// What a client makes of it that is generated from it: test/examples/start-job.test.ts.

interface Operation {
  readonly operationId: string;
  readonly requestBody?: { readonly required?: boolean; readonly content: object };
  readonly responses: Readonly<Record<string, { readonly content?: object }>>;
  readonly security?: readonly object[];
}

let document: { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> };
beforeAll(async () => {
  const api = await apiWithoutTemporal();
  document = (await askOf(api, '/openapi.json')).body as unknown as typeof document;
  await api.close();
});

const operation = (method: string, path: string): Operation => {
  const found = document.paths[path]?.[method];
  if (found === undefined) throw new Error(`There is no ${method} ${path}.`);
  return found;
};

test('the linter of OpenAPI has nothing to say against /openapi.json', async () => {
  const config = await createConfig({ extends: ['recommended-strict'] });
  const found = await lintFromString({ source: JSON.stringify(document), absoluteRef: 'openapi.json', config });
  expect(found.map(({ ruleId, message, location }) => `${ruleId}: ${message} (${location[0]?.pointer ?? ''})`)).toEqual(
    [],
  );
});

test('each operation has a name of its own, and all say what they fail with', () => {
  const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
  const names = operations.map(({ operationId }) => operationId);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toEqual(expect.arrayContaining(['postTriggers', 'getJobsByJob', 'postJobsByJobPause']));
  for (const { responses } of operations)
    for (const failure of ['4XX', '5XX'])
      expect(Object.keys(responses[failure]?.content ?? {})).toEqual(['application/problem+json']);
});

test('it says which bodies may be left out, that triggers may come as NDJSON, and what needs no key', () => {
  expect(operation('post', '/v1/jobs').requestBody?.required).toBe(true);
  expect(operation('post', '/v1/jobs/{job}/stop').requestBody?.required).toBe(false);
  expect(operation('post', '/v1/jobs/{job}/pause').requestBody?.required).toBe(false);
  for (const path of ['/v1/triggers', '/v1/jobs/{job}/triggers'])
    expect(Object.keys(operation('post', path).requestBody?.content ?? {})).toEqual([
      'application/json',
      'application/x-ndjson',
    ]);
  expect(operation('post', '/v1/ingest/{ingest}').security).toEqual([]);
  expect(Object.keys(operation('get', '/v1/jobs/{job}/status/stream').responses['200']?.content ?? {})).toEqual([
    'text/event-stream',
  ]);
});

describe('the log', () => {
  /** Ingests, and the lines of their log as it is written. */
  function open(configured: object) {
    const lines: Record<string, unknown>[] = [];
    const log = createLog('info', { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) }); // One line, as JSON has it.
    return { ingests: new Ingests(ingestsSchema.parse(configured), log), lines };
  }

  const proof = { header: { name: 'x', value: 's3cret-of-16-letters' } };
  const change = { user: 'u', event: 'enter', audiences: ['vip'] } as const;

  test('the log says which ingest has no secret', () => {
    const { lines } = open({ proved: { preset: 'segment', ...proof }, bare: { preset: 'segment' } });
    expect(lines).toEqual([expect.objectContaining({ ingest: 'bare', msg: expect.stringContaining('no signature') })]);
    expect(lines[0]).not.toHaveProperty('omitted');
  });

  test('the log says once that the first twenty requests of an ingest had no change', () => {
    const { ingests, lines } = open({
      misspelt: { preset: 'segment', ...proof },
      right: { preset: 'segment', ...proof },
    });
    ingests.countRequest('right', { changes: [change] });
    for (let i = 0; i < 19; i++) for (const name of ['misspelt', 'right']) ingests.countRequest(name, { changes: [] });
    expect(lines).toEqual([]);
    for (let i = 0; i < 50; i++) for (const name of ['misspelt', 'right']) ingests.countRequest(name, { changes: [] });
    expect(lines).toEqual([
      expect.objectContaining({ ingest: 'misspelt', count: 20, msg: expect.stringContaining('tells of a change') }),
    ]);
  });

  test('the log says once a minute how much each ingest refused, and how much no running job subscribes to', () => {
    const lines: object[] = [];
    let now = 0;
    const log = { warn: (fields: object, message: string) => void lines.push({ ...fields, message }) };
    const records = new IngestRecords(new ApiMetrics(), log, () => now);
    const told = { audiences: ['newslettr'], reason: 'it does not say which audience it is about' };
    const taken = (ingest: string, unmatched: number, refused: number) =>
      records.takenInBy(ingest, { accepted: 1, ignored: 1, unmatched, refused }, told);
    taken('shop', 0, 0);
    expect(lines).toEqual([]);
    for (let i = 0; i < 10; i++) taken('shop', 2, 1);
    taken('crm', 3, 0);
    const unmatched = { audiences: ['newslettr'], message: 'dropped: no running job subscribes' };
    const refused = { reason: told.reason, message: 'an ingest refused changes' };
    expect(lines.splice(0)).toEqual([
      { ingest: 'shop', count: 2, ...unmatched },
      { ingest: 'shop', count: 1, ...refused },
      { ingest: 'crm', count: 3, ...unmatched },
    ]);
    now = 60_000;
    taken('shop', 2, 0);
    taken('shop', 2, 1);
    expect(lines).toEqual([
      { ingest: 'shop', count: 20, ...unmatched },
      { ingest: 'shop', count: 10, ...refused },
    ]);
  });
});

describe('the overview', () => {
  /** An overview whose questions are answered when the test says so; each answer has a job named after its number. */
  function shared() {
    let now = 1_000;
    const waiting: (() => void)[] = [];
    let asked = 0;
    const overview = new SharedOverview(
      async () => {
        const jobs = [{ jobId: `job-${++asked}` } as JobOverview]; // All that is looked at here.
        await new Promise<void>((resolve) => waiting.push(resolve));
        return jobs;
      },
      () => now,
    );
    return {
      overview,
      asked: () => asked,
      pass: (ms: number) => (now += ms),
      /** The one asked last first. */
      answer: () =>
        waiting
          .splice(0)
          .reverse()
          .forEach((resolve) => resolve()),
    };
  }

  test('all who ask at the same time, and for two seconds after, get one answer', async () => {
    const { overview, asked, pass, answer } = shared();
    const both = [overview.get(), overview.get()];
    answer();
    const [first, second] = await Promise.all(both);
    expect(first).toMatchObject({ atMs: 1_000, jobs: [{ jobId: 'job-1' }] });
    expect(second).toBe(first);
    pass(1_999);
    expect(await overview.get()).toBe(first);
    pass(1);
    const next = overview.get();
    answer();
    expect(await next).toMatchObject({ atMs: 3_000, jobs: [{ jobId: 'job-2' }] });
    expect(asked()).toBe(2);
  });

  test('the overview asks jobs less often when answers take long, and leaves them alone most of the time', async () => {
    const { overview, asked, pass, answer } = shared();
    const first = overview.get();
    pass(5_000);
    answer();
    await first;
    pass(19_999);
    await overview.get();
    expect(asked()).toBe(1);
    pass(1);
    const next = overview.get();
    answer();
    await next;
    expect(asked()).toBe(2);
  });

  test('after a change the next answer is a new one', async () => {
    const { overview, answer } = shared();
    const first = overview.get();
    answer();
    await first;
    overview.forget();
    const next = overview.get();
    answer();
    expect(await next).toMatchObject({ jobs: [{ jobId: 'job-2' }] });

    overview.forget();
    const before = overview.get();
    overview.forget();
    const after = overview.get();
    answer();
    expect(await before).toMatchObject({ jobs: [{ jobId: 'job-3' }] });
    expect(await after).toMatchObject({ jobs: [{ jobId: 'job-4' }] });
    expect(await overview.get()).toBe(await after);
  });

  test('a question that fails is asked again by the next', async () => {
    let tries = 0;
    const overview = new SharedOverview(async () => {
      tries += 1;
      await Promise.resolve();
      if (tries === 1) throw new Error('away');
      return [];
    });
    await expect(overview.get()).rejects.toThrow('away');
    expect((await overview.get()).jobs).toEqual([]);
  });
});

describe('bodies', () => {
  // Alone in this file: what other tests left behind would be counted, too.
  test('the rest of a refused body is not waited for once the API has ended', async () => {
    const before = timersThatHold();
    const server = await apiWithoutTemporal({ boss: { hash: `sha256:${'0'.repeat(64)}`, may: ['read'] } });
    expect(
      await askOf(server, '/v1/jobs/crm/triggers', { body: { audience: 'vip', user: '1', event: 'enter' } }),
    ).toMatchObject({ status: 401 });
    await server.close();
    expect(timersThatHold()).toBe(before);
  });
});
