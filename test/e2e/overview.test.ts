import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { request } from 'undici';
import type { Api } from '../../src/app/api.ts';
import type { Attempt, TraceEvent } from '../../src/app/export-jobs.ts';
import type { ConfiguredApiKeys } from '../../src/config/api-keys.ts';
import { ingestsSchema } from '../../src/features/ingests/config.ts';
import { newApiKey } from '../../src/config/references.ts';
import { apiOf, askOf } from '../api/an-api.ts';
import { labOfFile } from '../support/lab.ts';
import { answerWhen, PATIENCE_MS } from '../support/patience.ts';
import { afterFile, afterwards } from '../webhook/a-server.ts';

const OWN = { id: randomBytes(16).toString('hex'), slug: `seen-${randomBytes(4).toString('hex')}`, name: 'Seen' };
const REFUSED = 'a-refused-person';
const key = newApiKey();

/** It delivered one, and one was refused for good. */
let job: string;
let other: string;
const faults: object[] = [];

const lab = await labOfFile({
  receiver: { answer: ({ message }) => (message?.user === REFUSED ? { status: 422, body: 'no e-mail' } : undefined) },
  content: { audiences: [{ ...OWN, members: [] }] },
});
const api = await openApi({});
afterFile(() => api.close());
beforeAll(async () => {
  [job, other] = [await lab.start({ audiences: [OWN.slug] }), await lab.start({ audiences: [OWN.slug] })];
  await lab.jobs.signal(job, [enter('a-person')]);
  await lab.arrives('a-person');
  await lab.jobs.signal(job, [enter(REFUSED)]);
  await lab.jobs.signal(other, [enter('another-person')]);
  await lab.arrives('another-person');
  await lab.jobs.signal(other, [enter(REFUSED)]);
  for (const one of [job, other]) await lab.statusWhen(one, ({ deadLetters }) => deadLetters === 1);
});
afterAll(() => expect(faults).toEqual([]));

const enter = (user: string) => ({ event: 'enter' as const, audience: OWN.slug, user, profile: {} });

async function openApi(keys: ConfiguredApiKeys): Promise<Api> {
  const shop = { preset: 'standard', header: { name: 'x-secret', value: 's3cret-value-of-shop' } };
  return await apiOf(lab, { keys, ingests: ingestsSchema.parse({ shop }) }, (fields) => faults.push(fields));
}

/** As a key that is limited to the one job sees it. */
async function asLimited<T>(ask: (get: (path: string) => Promise<T>) => Promise<void>): Promise<void> {
  const server = await openApi({ one: { hash: key.hash, may: ['read'], jobs: [job] } });
  afterwards(() => server.close());
  const headers = { authorization: `Bearer ${key.secret}` };
  await ask(async (path) => (await askOf(server, path, { headers })).body as T);
}

const get = async <T>(path: string): Promise<T> => (await askOf(api, path)).body as T;

interface Overview {
  readonly at: string;
  readonly jobs: readonly {
    readonly jobId: string;
    readonly numbers?: { readonly deadLettersWaiting?: number };
    readonly lastHour?: { readonly from: string; readonly delivered: readonly number[] };
  }[];
}

test('all jobs are shown with their numbers and their last hour, and a key for one job sees that one', async () => {
  const { at, jobs } = await answerWhen(
    async () => await get<Overview>('/v1/overview'),
    ({ jobs }) => jobs.find(({ jobId }) => jobId === job)?.numbers?.deadLettersWaiting === 1,
  );
  expect(Date.now() - Date.parse(at)).toBeLessThan(PATIENCE_MS);
  const own = jobs.find(({ jobId }) => jobId === job);
  expect(own).toMatchObject({
    label: 'Lab',
    state: 'running',
    audiences: [{ id: OWN.id, slug: OWN.slug }],
    numbers: { delivered: 1, waiting: 0, lastDeliveredAt: expect.any(String), lastFailure: { status: 422 } },
    lastHour: { from: expect.any(String) },
  });
  expect(own?.lastHour?.delivered.reduce((sum, count) => sum + count, 0)).toBe(1);
  expect(jobs.map(({ jobId }) => jobId)).toContain(other);
  await asLimited<Overview>(async (get) =>
    expect((await get('/v1/overview')).jobs.map(({ jobId }) => jobId)).toEqual([job]),
  );
});

interface Failures {
  readonly letters: number;
  readonly failures: readonly object[];
}

test('dead letters are counted by what they failed with, and a filter takes that word', async () => {
  const counted = await answerWhen(
    async () => await get<Failures>(`/v1/dead-letters/failures?jobId=${job}`),
    ({ letters }) => letters === 1,
  );
  expect(counted).toEqual({
    letters: 1,
    isPartial: false,
    failures: [
      {
        failure: 'HTTP 422',
        letters: 1,
        jobs: [{ jobId: job, letters: 1 }],
        oldestDiedAt: expect.any(String),
        newestDiedAt: expect.any(String),
      },
    ],
  });
  const listed = await get<{ deadLetters: object[] }>(`/v1/dead-letters?jobId=${job}&failure=HTTP%20422`);
  expect(listed.deadLetters).toMatchObject([{ user: REFUSED }]);
  await answerWhen(
    async () => await get<Failures>('/v1/dead-letters/failures'),
    ({ failures }) => JSON.stringify(failures).includes(other),
  );
  await asLimited<Failures>(async (get) => {
    expect(await get('/v1/dead-letters/failures')).toEqual(counted);
    expect(await get(`/v1/dead-letters/failures?jobId=${other}`)).toMatchObject({ code: 'NotAllowed' });
  });
});

interface Trace {
  readonly events: readonly TraceEvent[];
  readonly isPartial: boolean;
}

test('a person is found in all jobs, by a key for one job in that one', async () => {
  const traceOf = async (get: (path: string) => Promise<Trace>) =>
    await answerWhen(
      async () => await get(`/v1/trace?user=${REFUSED}`),
      ({ events }) => events.some(({ kind }) => kind === 'died'),
    );
  const { events, isPartial } = await answerWhen(
    async () => await traceOf(get),
    ({ events }) => events.some(({ jobId }) => jobId === other),
  );
  expect(isPartial).toBe(false);
  expect(new Set(events.map(({ jobId }) => jobId))).toEqual(new Set([job, other]));
  await asLimited<Trace>(async (get) => {
    const own = await traceOf(get);
    expect(new Set(own.events.map(({ jobId }) => jobId))).toEqual(new Set([job]));
  });
});

test('a trace names the parts that it could not read in time, instead of showing nothing', async () => {
  const late = AbortSignal.abort();
  for (const options of [{ signal: late }, { jobId: job, signal: late }]) {
    const events: TraceEvent[] = [];
    for await (const event of lab.jobs.trace(REFUSED, options)) events.push(event);
    expect(events).toContainEqual(
      expect.objectContaining({ kind: 'left-out', jobId: job, reason: expect.stringContaining('no time') }),
    );
  }
});

/** Events of a stream as they come. */
async function* eventsOf(url: string, headers: Record<string, string> = {}) {
  const { body, statusCode } = await request(url, { headers });
  expect(statusCode).toBe(200);
  let text = '';
  for await (const chunk of body as AsyncIterable<Buffer>) {
    text += chunk.toString();
    const whole = text.split('\n\n');
    text = whole.pop() ?? '';
    for (const event of whole) {
      const [, name = '', data = ''] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? [];
      if (name !== '') yield { name, data: JSON.parse(data) as Partial<Attempt> };
    }
  }
}

test('attempts come as they are made, after the last ones, until the job has ended', async () => {
  const fleeting = await lab.start({ audiences: [OWN.slug] });
  await lab.jobs.signal(fleeting, [enter('before')]);
  await lab.statusWhen(fleeting, ({ delivered }) => delivered === 1);
  const seen: string[] = [];
  for await (const { name, data } of eventsOf(`${api.url}/v1/jobs/${fleeting}/attempts/stream?last=5`)) {
    seen.push(name === 'attempt' ? `${data.user}: ${data.outcome}` : name);
    if (data.user === 'before') await lab.jobs.signal(fleeting, [enter(REFUSED)]);
    if (data.user === REFUSED) await lab.jobs.signal(fleeting, [enter('after')]);
    if (data.user === 'after') await lab.jobs.stop(fleeting, { waiting: 'discard' });
  }
  expect(seen).toEqual(['before: delivered', `${REFUSED}: failed`, 'after: delivered', 'end']);
  expect((await askOf(api, '/v1/jobs/nix/attempts/stream')).status).toBe(404);
});

test('[S40] a stream ends when the key by which it was opened is taken away, and with the session', async () => {
  const server = await openApi({ boss: { hash: key.hash, may: ['read'] } });
  afterwards(() => server.close());
  const signedIn = await askOf(server, '/v1/session', {
    body: { key: key.secret },
    headers: { 'x-triggers-console': '1' },
  });
  const cookie = String(signedIn.headers['set-cookie']).split(';')[0] ?? '';
  let begun = 0;
  const streams = [{ authorization: `Bearer ${key.secret}` }, { cookie }].flatMap((headers) =>
    ['status', 'attempts'].map(async (what) => {
      const names = new Set<string>();
      for await (const { name } of eventsOf(`${server.url}/v1/jobs/${job}/${what}/stream`, headers)) {
        names.add(name);
        // All of them have begun by then.
        if (names.size === 1) begun += 1;
        if (begun >= 4) server.replaceKeys({});
      }
      return [...names].join();
    }),
  );
  expect(await Promise.all(streams)).toEqual(['status', 'attempt', 'status', 'attempt']);
});
