import { DifferenceDoubtful } from '../../../src/features/reconcile/errors.ts';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { afterEach, expect, jest, test } from '@jest/globals';
import { request } from 'undici';
import type { Api } from '../../../src/app/api.ts';
import type { CompareOptions } from '../../../src/features/reconcile/compare.ts';
import { JobNotFound, OutcomeUnknown } from '../../../src/client/calls/errors.ts';
import type { Difference, ExportJobs } from '../../../src/app/export-jobs.ts';
import { until } from '../../support/patience.ts';
import { apiWithoutTemporal, askOf, timersThatHold } from '../../api/an-api.ts';

const CSV = { 'content-type': 'text/csv' };
const PATH = '/v1/jobs/crm/reconcile';
const DIFFERENCE: Difference = {
  id: '7a0f1d7e-5a43-4c54-9b0e-0c6b5c6c9a11',
  audience: { id: 'b', slug: 'vip', name: 'VIP' },
  theirs: 2,
  members: 2,
  both: 1,
  enters: 1,
  exits: 1,
  first: { enters: [], exits: [] },
};
const NOTHING = { ...DIFFERENCE, both: 2, enters: 0, exits: 0 };

/** Jobs that compare at once, and what they were asked. */
class Comparing {
  readonly asked: unknown[] = [];
  difference = DIFFERENCE;
  waitsFor: (options: CompareOptions) => Promise<void> = async () => await Promise.resolve();
  failure: Error | undefined;

  compare = async (job: string, list: AsyncIterable<string>, options: CompareOptions): Promise<Difference> => {
    const ids = [];
    for await (const id of list) ids.push(id);
    this.asked.push(['compare', job, ids, options.audience]);
    await this.waitsFor(options);
    return this.difference;
  };
  reconcile = async (job: string, { id }: Difference, { force }: { force?: boolean }): Promise<object> => {
    this.asked.push(['reconcile', job, id, force]);
    if (this.failure !== undefined) throw this.failure;
    return await Promise.resolve({ jobId: job });
  };
  forget = async (job: string, { id }: Difference): Promise<void> => {
    this.asked.push(['forget', job, id]);
    await Promise.resolve();
  };
}

let api: Api | undefined;
afterEach(async () => {
  await api?.close();
});

async function serving(jobs: Comparing): Promise<Api> {
  return (api = await apiWithoutTemporal({}, { jobs: jobs as unknown as ExportJobs })); // No more of it is used.
}

const { id } = DIFFERENCE;
const FORGOTTEN = ['forget', 'crm', id];

test('the list, its column, the audience and what is meant all the same are passed on', async () => {
  const jobs = new Comparing();
  const body = 'mail,person\nx,1\ny,2\n';
  const answer = await askOf(await serving(jobs), `${PATH}?column=person&audience=vip&force=1`, { body, headers: CSV });
  expect(answer).toMatchObject({ status: 200, body: { difference: DIFFERENCE, status: { jobId: 'crm' } } });
  expect(jobs.asked).toEqual([
    ['compare', 'crm', ['1', '2'], 'vip'],
    ['reconcile', 'crm', id, true],
  ]);
});

const doubtful = new DifferenceDoubtful(DIFFERENCE, ['exits']);
const unknown = new OutcomeUnknown('backfill', { action: 'status', job: 'crm' }, new Error('no answer'));
test.each([
  ['that is asked for only', { query: '?dryRun=1' }, 200, [FORGOTTEN]],
  ['that is none', { difference: NOTHING }, 200, [['forget', 'crm', id]]],
  ['that is doubtful', { failure: doubtful }, 422, [['reconcile', 'crm', id, false], FORGOTTEN]],
  [
    'that the job does not take',
    { failure: new JobNotFound('crm') },
    404,
    [['reconcile', 'crm', id, false], FORGOTTEN],
  ],
  ['that is sent', {}, 200, [['reconcile', 'crm', id, false]]],
  ['that may be sent', { failure: unknown }, 504, [['reconcile', 'crm', id, false]]],
] as const)('a difference %s leaves nothing behind that nobody needs', async (_, how, status, then) => {
  const { query = '', ...more } = { query: undefined, ...how };
  const jobs = Object.assign(new Comparing(), more);
  const answer = await askOf(await serving(jobs), `${PATH}${query}`, { body: 'id\n1\n', headers: CSV });
  expect(answer.status).toBe(status);
  expect(jobs.asked.slice(1)).toEqual(then);
});

test('the API stops comparing when its caller goes away', async () => {
  const jobs = new Comparing();
  let signal: AbortSignal | undefined;
  jobs.waitsFor = async (options) => {
    signal = options.signal;
    if (signal !== undefined) await once(signal, 'abort');
    signal?.throwIfAborted();
  };
  const { url } = await serving(jobs);
  const gone = new AbortController();
  const asking = request(`${url}${PATH}`, { method: 'POST', headers: CSV, body: 'id\n1\n', signal: gone.signal });
  await until(() => signal !== undefined);
  gone.abort();
  await expect(asking).rejects.toThrow();
  await until(() => signal?.aborted === true);
  expect(jobs.asked).toHaveLength(1);
});

test('when the API ends, a comparison is given up at once, and its client gets an answer', async () => {
  const jobs = new Comparing();
  let isAsked = false;
  jobs.waitsFor = async ({ signal }) => {
    isAsked = true;
    if (signal !== undefined) await once(signal, 'abort');
    signal?.throwIfAborted();
  };
  const server = await serving(jobs);
  const asking = askOf(server, PATH, { body: 'id\n1\n', headers: CSV });
  await until(() => isAsked);
  const began = performance.now();
  const [answer] = await Promise.all([asking, server.close()]);
  expect(answer).toMatchObject({ status: 503, body: { code: 'Closing' } });
  expect(performance.now() - began).toBeLessThan(5_000);
});

test('when the API ends, a client of an endless answer gets one, too, and nothing goes on waiting', async () => {
  const before = timersThatHold();
  const jobs = new Comparing();
  let isAsked = false;
  jobs.waitsFor = async () => {
    isAsked = true;
    await new Promise(() => undefined);
  };
  let isPausing = false;
  const pause = async () => {
    isPausing = true;
    await new Promise(() => undefined);
  };
  const server = await serving(Object.assign(jobs, { pause }));
  const asking = askOf(server, PATH, { body: 'id\n1\n', headers: CSV });
  await until(() => isAsked);
  const pausing = askOf(server, '/v1/jobs/crm/pause', { method: 'POST' });
  await until(() => isPausing);
  const [answer, paused] = await Promise.all([asking, pausing, server.close()]);
  for (const one of [answer, paused]) expect(one).toMatchObject({ status: 503, body: { code: 'Closing' } });
  expect(timersThatHold()).toBe(before);
});

test('a connection on which nothing happens while it is compared is kept for an hour', async () => {
  const silence = jest.spyOn(Socket.prototype, 'setTimeout');
  await askOf(await serving(new Comparing()), PATH, { body: 'id\n1\n', headers: CSV });
  expect(silence).toHaveBeenCalledWith(3_600_000);
  silence.mockRestore();
});
