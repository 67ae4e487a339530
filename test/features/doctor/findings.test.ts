import { expect, test } from '@jest/globals';
import {
  alertFindings,
  type AnsweringWorker,
  attributeFindings,
  endedFindings,
  expiringFindings,
  factsInWords,
  type Finding,
  healthOf,
  jobFindings,
  keyEnds,
  ownFindings,
  queueFindings,
  retentionFindings,
  temporalFindings,
  unknownFindings,
  watchFindings,
  WORKER_CHECKS,
  workerFindings,
} from '../../../src/features/doctor/findings.ts';

const NOW = Date.parse('2026-11-25T08:00:00Z');
const DAY_MS = 86_400_000;
const GIB = 2 ** 30;

const worker = (changes: Partial<AnsweringWorker> = {}): AnsweringWorker => ({
  worker: '1@a',
  release: '0.1.0',
  nowMs: NOW,
  payloadKeys: [],
  authorizations: [],
  hasDeliveryLog: true,
  problems: {},
  disks: [{ folder: '/log', freeBytes: 50 * GIB }],
  expiring: [],
  aheadMs: 0,
  askerAheadMs: 0,
  ...changes,
});

const asked = (...answers: AnsweringWorker[]) => ({ taskQueue: 'q', answers });
const of = (...answers: AnsweringWorker[]): Finding[] => workerFindings(asked(...answers), [], NOW);
/** What is not well. */
const codes = (findings: readonly Finding[]) =>
  findings.filter(({ state }) => state !== 'ok').map(({ check, state }) => `${check} ${state}`);

test('the worst comes first, and its state is that of the whole', () => {
  const [retention, temporal] = [retentionFindings(DAY_MS / 2, 'default'), temporalFindings(undefined, {})];
  const failed = alertFindings([{ workflowId: 'alerts-a', job: 'a', attempts: 3, problem: 'HTTP 500' }]);
  const { state, findings } = healthOf([...temporal, ...retention, ...unknownFindings('why', ['disk']), ...failed]);
  expect(state).toBe('failed');
  expect(findings.map((one) => one.state)).toEqual(['failed', 'warning', 'unknown', 'ok']);
});

test('a watch is not well when its rounds fail or are held, or it does not answer', () => {
  const failing = (failures: number) => ({ since: '2026-11-25T08:00:00Z', failures, notHere: 0, reason: 'Away.' });
  const held = { exits: 30, members: 100, at: '2026-11-25T08:00:00Z' };
  const seen = [
    { slug: 'failing', status: { trouble: failing(3) } },
    { slug: 'retrying', status: { trouble: failing(2) } },
    { slug: "it's held", status: { held } },
    { slug: 'silent', status: undefined },
  ].map(({ slug, status }) => ({ audience: { slug }, status }));
  expect(watchFindings(seen)).toMatchObject([
    { check: 'watches', state: 'failed', remedy: expect.any(String), affects: [] },
    {
      check: 'watches',
      state: 'warning',
      remedy: expect.stringContaining(String.raw`triggers watch 'it'\''s held' --accept`),
    },
    { check: 'watches', state: 'unknown' },
  ]);
  expect(watchFindings(seen.slice(1, 2))).toMatchObject([{ state: 'ok', facts: { running: 1 } }]);
});

test('somebody who may see some jobs gets only what is about these', () => {
  const unhealthy = { waiting: 1, endpoint: 'unhealthy' };
  const found = jobFindings([
    { jobId: 'own', numbers: unhealthy },
    { jobId: 'other', numbers: unhealthy },
  ]);
  const all = [...found, ...temporalFindings(undefined, {}), ...unknownFindings('why', ['disk'])];
  expect(healthOf(all, (job) => job === 'own')).toMatchObject({
    state: 'warning',
    findings: [{ check: 'endpoints', job: 'own' }],
  });
  expect(healthOf(all, () => false)).toEqual({ state: 'ok', findings: [] });
});

test('somebody who may see some jobs learns that something else affects these, and nothing more of it', () => {
  const isOwn = (job: string) => job === 'own';
  const of = (found: readonly Finding[]) => healthOf(found, isOwn);
  const bare = (check: string, state: string) => ({
    check,
    state,
    facts: {},
    problem: 'It affects your jobs. A key for all jobs shows more.',
  });
  const down = { code: 'ServerUnreachable', message: 'temporal.internal does not answer.' };
  expect(of(temporalFindings(down, { address: 'temporal.internal' })).findings).toEqual([bare('temporal', 'failed')]);
  expect(of(unknownFindings('why'))).toMatchObject({ state: 'unknown' });
  const queue = (jobs: string[]) => queueFindings([{ taskQueue: 'q', jobs, pollers: [] }], asked());
  expect(of(queue(['other', 'own'])).findings).toEqual([bare('workers', 'failed')]);
  expect(of(queue(['other'])).findings).toEqual([]);
  expect(of(jobFindings([], ['own'])).findings).toEqual([bare('jobs', 'unknown'), bare('endpoints', 'unknown')]);
  expect(of(jobFindings([{ jobId: 'other' }], ['another'])).findings).toEqual([]);
  const ofAWatch = { workflowId: 'watch-alerts-a', attempts: 1, problem: 'HTTP 500' };
  expect(
    of([...alertFindings([ofAWatch]), ...workerFindings(asked(worker({ problems: { source: 'away' } })), [], NOW)])
      .findings,
  ).toEqual([]);
  expect(healthOf(queue(['other'])).findings[0]).not.toHaveProperty('affects');
});

test('each job whose workflow task fails is named, and of the others without an answer the first twenty', () => {
  const silent = { attempts: 1, code: '' };
  const jobs = Array.from({ length: 25 }, (_, i) => ({ jobId: `silent-${i}`, silent }));
  const failing = { attempts: 9, code: 'NON_DETERMINISTIC_ERROR' };
  const found = jobFindings([...jobs, { jobId: 'z', silent: failing }]).filter(({ check }) => check === 'jobs');
  expect(found.map(({ job, affects }) => job ?? affects?.length)).toEqual([
    'z',
    ...jobs.slice(0, 20).map(({ jobId }) => jobId),
    5,
  ]);
});

test('each trouble says what to do, and what is not known does not', () => {
  for (const one of [
    ...of(worker({ problems: { source: 'away' } })),
    ...retentionFindings(1, 'default'),
    ...unknownFindings('why'),
  ])
    expect([one.check, one.remedy !== undefined]).toEqual([
      one.check,
      one.state === 'failed' || one.state === 'warning',
    ]);
});

test('without Temporal nothing else is known; the remedy is for why it cannot be used', () => {
  expect(unknownFindings('why').map(({ check }) => check)).toEqual(expect.arrayContaining([...WORKER_CHECKS, 'jobs']));
  const remedies = ['ServerUnreachable', 'NamespaceNotFoundError', 'NotLetIn'].map(
    (code) => temporalFindings({ code, message: '' }, {})[0]?.remedy,
  );
  expect(new Set(remedies).size).toBe(3);
});

test('a retention of less than a day, and missing search attributes, are warnings', () => {
  expect(codes(retentionFindings(DAY_MS, 'default'))).toEqual([]);
  expect(codes(retentionFindings(DAY_MS - 1, 'default'))).toEqual(['retention warning']);
  expect(codes(retentionFindings(undefined, 'default'))).toEqual(['retention unknown']);
  expect(codes(attributeFindings([]))).toEqual([]);
  expect(attributeFindings(['ExportPerson'])).toMatchObject([
    { check: 'search-attributes', state: 'warning', facts: { missing: ['ExportPerson'] } },
  ]);
});

test('a task queue without workers has failed, as has one whose workers do not answer', () => {
  const pollers = [{ worker: '1@a', build: '7' }, { worker: '2@b' }];
  const queues = [
    { taskQueue: 'q', jobs: ['a', 'b'], pollers },
    { taskQueue: 'empty', jobs: ['c'], pollers: [] },
  ];
  const found = queueFindings(queues, asked(worker()));
  expect(found).toMatchObject([
    { state: 'ok', taskQueue: 'q', facts: { jobs: 2, workers: ['1@a (build 7)', '2@b'], releases: ['0.1.0'] } },
    { state: 'failed', taskQueue: 'empty', facts: { jobs: 1 } },
  ]);
  const silent = { taskQueue: 'q', answers: [], problem: { code: 'NoWorker', message: 'm', hasOtherKeys: false } };
  expect(queueFindings(queues, silent)[0]).toMatchObject({ state: 'failed', facts: { code: 'NoWorker' } });
  const otherKeys = { ...silent, problem: { code: 'WorkerFailed', message: 'm', hasOtherKeys: true } };
  expect(queueFindings(queues, otherKeys)[0]).toMatchObject({ state: 'ok' });
  const others = WORKER_CHECKS.slice(1).map((check) => `${check} unknown`);
  expect(codes(workerFindings(otherKeys, [], NOW))).toEqual(['payload-keys failed', ...others]);
});

test('a worker that does not answer while another does is not passed over', () => {
  const queues = [{ taskQueue: 'q', jobs: [], pollers: [{ worker: '1@a' }, { worker: '2@b' }] }];
  const problem = { code: 'NoWorker', message: 'None answered.', hasOtherKeys: false };
  expect(queueFindings(queues, { ...asked(worker()), problem })).toMatchObject([
    { check: 'workers', state: 'warning', problem: 'A question had no answer. None answered.' },
  ]);
  const otherKeys = { ...asked(worker()), problem: { ...problem, hasOtherKeys: true } };
  expect(queueFindings(queues, otherKeys)).toMatchObject([{ state: 'ok' }]);
  expect(codes(workerFindings(otherKeys, [], NOW))).toEqual(['payload-keys failed']);
});

test('a job that was ended from outside has failed as long as something of it may be lost, and says until when', () => {
  const until = '2026-11-26T08:00:00Z';
  const state = (left: object, how = 'terminated') =>
    endedFindings([{ jobId: 'a', state: how, left }]).map((one) => one.state);
  expect(state({ until, waiting: 2_000 })).toEqual(['failed']);
  expect(state({ until })).toEqual(['failed']);
  expect(state({ until, waiting: 0, backfill: true })).toEqual(['failed']);
  // Nothing can be lost any more, or ever.
  expect(state({ until, waiting: 0 })).toEqual(['warning']);
  expect(state({ waiting: 3 }, 'failed')).toEqual(['warning']);
  expect(endedFindings([{ jobId: 'a', state: 'terminated', left: { until, waiting: 2_000 } }])).toMatchObject([
    { check: 'ended-jobs', job: 'a', facts: { waiting: 2_000, until }, remedy: expect.stringMatching(/recover a$/) },
  ]);
  expect(endedFindings([])).toMatchObject([{ state: 'ok' }]);
});

test('dead letters on their last day are a warning of their job', () => {
  const expiring = { letters: 12, firstAt: '2026-11-25T20:00:00Z' };
  expect(expiringFindings([{ job: 'vip', ...expiring }], 64)).toMatchObject([
    { check: 'dead-letters', state: 'warning', job: 'vip', facts: expiring, remedy: expect.stringMatching(/vip$/) },
  ]);
  expect(expiringFindings([], 64)).toMatchObject([{ state: 'ok', facts: { waiting: 64 } }]);
});

test('a command in a remedy can be run as it stands: it names what the finding is about', () => {
  const remedies = [
    ...queueFindings([{ taskQueue: 'the news', jobs: [], pollers: [] }], asked()),
    ...jobFindings([{ jobId: 'vip', numbers: { waiting: 1, endpoint: 'unhealthy' } }]),
    ...retentionFindings(1, 'crm'),
  ].flatMap(({ remedy }) => remedy ?? []);
  expect(remedies).toEqual([
    expect.stringContaining("TRIGGERS_TASK_QUEUE='the news' triggers worker"),
    expect.stringMatching(/triggers status vip$/),
    expect.stringMatching(/--namespace crm$/),
  ]);
});

test('where no worker answers, what only a worker knows is unknown', () => {
  expect(codes(of())).toEqual(WORKER_CHECKS.map((check) => `${check} unknown`));
});

test('a worker that is well has an ok for each check', () => {
  const found = of(worker());
  expect(codes(found)).toEqual([]);
  expect(new Set(found.map(({ check }) => check))).toEqual(new Set(WORKER_CHECKS));
});

test('what a worker says of its source, its configuration and its delivery log is told, with its name', () => {
  expect(codes(of(worker({ problems: { source: 'away' } })))).toEqual(['source failed']);
  expect(codes(of(worker({ problems: { configuration: 'wrong' } })))).toEqual(['configuration warning']);
  const found = of(worker(), worker({ worker: '2@b', problems: { deliveryLog: 'away' } }));
  expect(codes(found)).toEqual(['delivery-log failed']);
  expect(found.find(({ state }) => state === 'failed')).toMatchObject({ worker: '2@b', problem: 'away' });
});

test('a worker that lacks a key that another has, or that a job waits for, has failed', () => {
  const both = of(worker({ payloadKeys: ['new/1', 'old/2'] }), worker({ worker: '2@b', payloadKeys: ['old/2'] }));
  expect(codes(both)).toEqual(['payload-keys failed']);
  expect(both.find(({ state }) => state === 'failed')).toMatchObject({ worker: '2@b', facts: { missing: ['new/1'] } });
  const waits = of(worker({ problems: { payloadKeys: 'crm waits' } }));
  expect(waits).toContainEqual(
    expect.objectContaining({ check: 'payload-keys', state: 'failed', problem: 'crm waits', facts: {} }),
  );
});

test('workers of a task queue that differ in their authorizations or in having a delivery log are warnings', () => {
  const alike = worker({ authorizations: ['crm'], hasDeliveryLog: false });
  expect(codes(of(alike, { ...alike, worker: '2@b' }))).toEqual([]);
  const found = of(alike, worker({ worker: '2@b', authorizations: ['crm', 'mail'] })).filter(
    ({ state }) => state !== 'ok',
  );
  expect(found).toMatchObject([
    { check: 'configuration', state: 'warning', worker: '1@a', facts: { missing: ['mail'] } },
    { check: 'delivery-log', state: 'warning', worker: '1@a' },
  ]);
});

test('an authorization that is not the same in all workers is a warning, which names it and who has the same', () => {
  const has = (name: string, fingerprints?: Record<string, string>) =>
    worker({ worker: name, authorizations: ['crm', 'mail'], ...(fingerprints === undefined ? {} : { fingerprints }) });
  const known = [has('1@a', { crm: 'aa', mail: 'cc' }), has('2@b', { crm: 'aa', mail: 'cc' })];
  expect(codes(of(...known, has('3@c')))).toEqual([]); // Of a release without fingerprints.
  const found = of(...known, has('3@c', { crm: 'bb', mail: 'cc' })).filter(({ state }) => state !== 'ok');
  expect(found).toMatchObject([
    { check: 'configuration', state: 'warning', facts: { authorization: 'crm', workers: ['1@a and 2@b', '3@c'] } },
  ]);
  // Fingerprints stay between the workers and the program that compares them.
  expect(JSON.stringify(found)).not.toMatch(/aa|bb/);
});

test('a clock that is more than half a second apart is a warning: of a worker, and of the program that asks', () => {
  expect(codes(of(worker({ aheadMs: 500, askerAheadMs: -500 })))).toEqual([]);
  expect(of(worker({ aheadMs: 501 }), worker({ worker: '2@b', askerAheadMs: 0 }))).toContainEqual(
    expect.objectContaining({ check: 'clocks', state: 'warning', worker: '1@a', facts: { aheadMs: 501 } }),
  );
  expect(codes(of(worker({ askerAheadMs: -3_000 })))).toEqual(['clocks warning']);
});

test('little room is a warning, and hardly any has failed', () => {
  const disk = (freeBytes: number) => of(worker({ disks: [{ folder: '/log', freeBytes }] }));
  expect(codes(disk(2 * GIB))).toEqual([]);
  expect(codes(disk(2 * GIB - 1))).toEqual(['disk warning']);
  expect(codes(disk(GIB / 10))).toEqual(['disk failed']);
  expect(codes(of(worker({ disks: [] })))).toEqual([]);
  const away = of(worker({ disks: [{ folder: '/log', code: 'EACCES' }] }));
  expect(away).toContainEqual(
    expect.objectContaining({ check: 'disk', state: 'failed', facts: { folder: '/log', code: 'EACCES' } }),
  );
});

test('what ends within two weeks is a warning, and what has ended has failed: here and in workers', () => {
  const ends = (days: number) => [{ of: 'TEMPORAL_API_KEY', at: new Date(NOW + days * DAY_MS).toISOString() }];
  expect(codes(of(worker({ expiring: ends(14) })))).toEqual([]);
  expect(codes(of(worker({ expiring: ends(13) })))).toEqual(['certificates warning']);
  expect(codes(of(worker({ expiring: ends(-1) })))).toEqual(['certificates failed']);
  expect(codes(workerFindings(asked(worker()), ends(-1), NOW))).toEqual(['certificates failed']);
  expect(codes(workerFindings(asked(), ends(-1), NOW))).toContain('certificates failed');
  expect(codes(ownFindings(ends(-1), NOW))).toEqual(['certificates failed']);
  expect(ownFindings(ends(15), NOW)).toEqual([]);
});

test('an API key that expires within two weeks, or has expired, is a warning, which a key for some jobs is not shown', () => {
  const ends = (days: number) => keyEnds([{ name: 'shop', expires: new Date(NOW + days * DAY_MS).toISOString() }]);
  expect(ownFindings([...ends(15), ...keyEnds([{ name: 'boss' }])], NOW)).toEqual([]);
  for (const days of [13, -1]) {
    const found = ownFindings(ends(days), NOW);
    expect(found).toMatchObject([{ check: 'certificates', state: 'warning', facts: { of: 'apiKeys.shop' } }]);
    expect(JSON.stringify(healthOf(found, () => true))).not.toContain('shop');
    expect(healthOf(found, () => true).state).toBe('ok');
  }
});

test('a job whose workflow task fails has failed, by the code of the failure; one that is only silent is unknown', () => {
  const found = jobFindings([
    { jobId: 'fine', numbers: { waiting: 0 } },
    { jobId: 'stuck', silent: { attempts: 4, code: 'NON_DETERMINISTIC_ERROR', reason: 'other code' } },
    { jobId: 'busy', silent: { attempts: 1, code: '' } },
    { jobId: 'left-out' },
  ]);
  expect(found).toMatchObject([
    {
      state: 'failed',
      job: 'stuck',
      facts: { attempts: 4, code: 'NON_DETERMINISTIC_ERROR' },
      problem: 'Its workflow task fails, so nothing is sent. A worker says: other code',
    },
    { state: 'unknown', job: 'busy' },
    { check: 'jobs', state: 'unknown', problem: '1 job could not be asked in time.' },
    { check: 'endpoints', state: 'unknown', problem: '1 job could not be asked in time.' },
  ]);
  const other = jobFindings([{ jobId: 'other', silent: { attempts: 2, code: 'Error' } }]);
  expect(found[0]?.remedy).not.toBe(other[0]?.remedy);
});

test('a job whose workflow task was tried again without a failure, since its worker went away, is unknown', () => {
  expect(jobFindings([{ jobId: 'a', silent: { attempts: 2, code: '' } }])[0]).toMatchObject({ state: 'unknown' });
});

test('jobs that no worker serves are counted, and neither they nor their endpoints are said to be well', () => {
  expect(codes(jobFindings([{ jobId: 'a', numbers: { waiting: 0 } }], ['b', 'c']))).toEqual([
    'jobs unknown',
    'endpoints unknown',
  ]);
  expect(jobFindings([{ jobId: 'a', numbers: { waiting: 0 } }])[0]).toMatchObject({
    state: 'ok',
    facts: { running: 1 },
  });
});

test('the remedy for an unhealthy endpoint that only a person can fix does not say to wait', () => {
  const remedy = (status: number) => {
    const lastFailure = { at: '2026-11-25T07:00:00Z', status };
    return jobFindings([{ jobId: 'a', numbers: { waiting: 7, endpoint: 'unhealthy', lastFailure } }])[1]?.remedy;
  };
  expect(remedy(401)).toMatch(/^Only a person .*triggers status a$/);
  expect(remedy(401)).not.toBe(remedy(503));
});

test('an unhealthy endpoint is a warning with its numbers; one that recovers is not', () => {
  const numbers = { waiting: 7, oldestWaitingAt: '2026-11-25T07:00:00Z', endpoint: 'unhealthy' };
  const lastFailure = { at: '2026-11-25T07:59:00Z', status: 503 };
  expect(jobFindings([{ jobId: 'a', numbers: { ...numbers, lastFailure } }])).toContainEqual(
    expect.objectContaining({
      check: 'endpoints',
      state: 'warning',
      job: 'a',
      facts: { waiting: 7, oldestWaitingAt: '2026-11-25T07:00:00Z' },
      problem: 'Its endpoint is unhealthy (HTTP 503).',
    }),
  );
  expect(codes(jobFindings([{ jobId: 'a', numbers: { ...numbers, endpoint: 'recovering' } }]))).toEqual([]);
});

test('a new endpoint that has accepted nothing is a warning once it has refused something that waits', () => {
  const numbers = { waiting: 3, oldestWaitingAt: '2026-11-25T07:00:00Z', endpoint: 'new' };
  const lastFailure = { at: '2026-11-25T07:59:00Z', status: 400 };
  expect(jobFindings([{ jobId: 'a', numbers: { ...numbers, lastFailure } }])).toContainEqual(
    expect.objectContaining({ check: 'endpoints', state: 'warning', job: 'a' }),
  );
  expect(codes(jobFindings([{ jobId: 'a', numbers }]))).toEqual([]);
  expect(codes(jobFindings([{ jobId: 'a', numbers: { ...numbers, waiting: 0, lastFailure } }]))).toEqual([]);
});

test('a job that its endpoint has made pause is a warning; one that a person has paused is not', () => {
  const at = '2026-11-25T07:59:00Z';
  const pausedBy = (lastFailure: object) =>
    jobFindings([{ jobId: 'a', numbers: { waiting: 3, pauseReason: 'Why.', lastFailure: { at, ...lastFailure } } }]);
  expect(pausedBy({ status: 410 })).toContainEqual(
    expect.objectContaining({
      check: 'endpoints',
      state: 'warning',
      job: 'a',
      facts: { waiting: 3 },
      problem: 'It is paused, so nothing is sent. Why.',
      remedy: expect.stringMatching(/triggers resume a$/),
    }),
  );
  expect(codes(pausedBy({ status: 423, as: 'pausing' }))).toEqual(['endpoints warning']);
  expect(codes(pausedBy({ status: 503 }))).toEqual([]);
  expect(codes(jobFindings([{ jobId: 'a', numbers: { waiting: 3, pauseReason: 'Paused by ops.' } }]))).toEqual([]);
});

test('a job whose workers can make no request is a warning, until something is delivered again', () => {
  const lastFailure = { at: '2026-11-25T07:59:00Z', code: 'AUTHORIZATION_UNKNOWN' };
  const of = (numbers: object) => jobFindings([{ jobId: 'a', numbers: { waiting: 3, lastFailure, ...numbers } }]);
  expect(of({})).toContainEqual(
    expect.objectContaining({
      check: 'endpoints',
      state: 'warning',
      problem: 'Its workers can make no request (the worker has no authorization of that name).',
      remedy: expect.stringMatching(/triggers status a$/),
    }),
  );
  expect(codes(of({ lastDeliveredAt: '2026-11-25T07:58:00Z' }))).toEqual(['endpoints warning']);
  expect(codes(of({ lastDeliveredAt: '2026-11-25T07:59:30Z' }))).toEqual([]);
  expect(codes(of({ waiting: 0 }))).toEqual([]);
  expect(codes(of({ lastFailure: { ...lastFailure, code: 'ECONNREFUSED' } }))).toEqual([]);
});

test('an alert that was not accepted has failed', () => {
  const unsent = { workflowId: 'alerts-a', job: 'a', attempts: 2, problem: 'HTTP 500' };
  expect(alertFindings([])).toMatchObject([{ state: 'ok' }]);
  expect(alertFindings([unsent])).toMatchObject([{ check: 'alerts', state: 'failed', job: 'a', problem: 'HTTP 500' }]);
});

test('facts are words for people', () => {
  const at = '2026-11-25T08:00:00.000000000Z';
  expect(factsInWords({ historyShards: 4, freeGiB: 1.5, missing: [], workers: ['a', 'b'], waiting: 2000, at })).toBe(
    'history shards 4; freeGiB 1.5; workers a, b; waiting 2,000; at 2026-11-25 08:00:00 UTC',
  );
});

test('a fact that the problem names is not told twice, and a part of a longer number does not count as named', () => {
  const facts = { waiting: 3, until: '2026-11-25T08:00:00Z' };
  expect(factsInWords(facts, 'HTTP 503. It ends at 2026-11-25 08:00:00 UTC.')).toBe('waiting 3');
  expect(factsInWords(facts, 'About 3, say.')).toBe('until 2026-11-25 08:00:00 UTC');
});
