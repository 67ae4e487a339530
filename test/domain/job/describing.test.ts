import { expect, test } from '@jest/globals';
import { describePerson, describeStarting } from '../../../src/domain/job/describing.ts';
import { pauseJob } from '../../../src/domain/job/operating.ts';
import { returnPermits } from '../../../src/domain/job/settling.ts';
import { carryJob, restoreJob } from '../../../src/domain/job/carrying.ts';
import { detailsOf } from '../../../src/words/status-rows.ts';
import { setJob } from '../../../src/domain/job/state.ts';
import { AJob } from './a-job.ts';
import { EDITABLE_FIELDS } from '../../../src/domain/form.ts';
import { jobRecord } from './a-record.ts';

const person = (job: AJob, user: string) => describePerson(job.state, user, job.now);

test('the answer about a person without waiting triggers says that nothing waits', () => {
  const { chain, waiting, waitingCount, pendingDeadLetters, inPages, overflow } = person(new AJob(), 'nobody');
  expect({ chain, waiting, waitingCount, pendingDeadLetters, inPages, overflow }).toEqual({
    chain: undefined,
    waiting: [],
    waitingCount: 0,
    pendingDeadLetters: 0,
    inPages: false,
    overflow: undefined,
  });
});

test('a job says as of when its rates are, for callers who look while nothing happens', () => {
  const job = new AJob();
  const startedAt = job.now;
  job.signal('one');
  job.send();
  job.now += 30_000;
  expect(job.status.ratePerSecond).toMatchObject({ meter: { since: startedAt, at: startedAt, one: 1, five: 1 } });
  expect(new AJob().status.ratePerSecond).toMatchObject({ oneMinute: 0, fiveMinutes: 0 });
});

test('a paused job says that a slice may still send, until every slice has said that it starts nothing more', () => {
  const job = new AJob().signals('one');
  const [slice] = job.dispatch();
  expect(job.status.mayStillSend).toBeUndefined();
  pauseJob(job.state);
  expect(job.status.mayStillSend).toBe(true);
  returnPermits(job.state, { sliceId: slice?.sliceId, left: 1 }, job.now);
  expect([job.status.mayStillSend, job.status.inFlight]).toEqual([undefined, 1]);
});

test('the triggers of a person are listed in order, with the number of people ahead', () => {
  const job = new AJob();
  pauseJob(job.state);
  for (const user of ['first', 'second', 'third']) job.signal(user);
  job.signal('third', 'exit');
  expect(person(job, 'third')).toMatchObject({
    state: 'paused',
    waiting: [
      { event: 'enter', audience: 'a' },
      { event: 'exit', audience: 'a' },
    ],
    waitingCount: 2,
    chain: { place: 'ready', ahead: 2 },
  });
});

test('a person in a slice is shown as running, and after a failure as delayed until the next attempt', () => {
  const job = new AJob();
  job.dispatchEach(['one']);
  expect(person(job, 'one').chain).toMatchObject({ place: 'running', failures: 0 });
  job.end({ 0: { status: 500 } });
  const { chain } = person(job, 'one');
  expect(chain).toMatchObject({ place: 'delayed', failures: 1 });
  const dueMs = Date.parse(chain?.nextAttemptAt ?? '') - job.now;
  expect(dueMs).toBe(job.waitsMs);
});

test('the answer says how long the endpoint asked everybody to wait, and that it is unhealthy', () => {
  const job = new AJob(3).signals('1', '2', '3');
  job.fail({ status: 429, retryAfterMs: 60_000 });
  expect(person(job, '1').waits.endpoint).toBe(new Date(job.now + 60_000).toISOString().replace('Z', '000000Z'));

  const unhealthy = new AJob(3).signals('1', '2', '3');
  unhealthy.dispatch();
  unhealthy.failAll({ status: 500 });
  expect(person(unhealthy, '1').endpoint).toMatchObject({ state: 'unhealthy' });
  expect(person(unhealthy, '1').lastFailure).toMatchObject({ status: 500 });
});

test('the answer shows a wait for the rate or a batch, and the planned end, only where they apply', () => {
  const job = new AJob(3);
  const edit = (more: object) => {
    const { job: record } = job.state;
    setJob(job.state, { ...record, definition: { ...record.definition, ...more } });
  };
  edit({ batch: { size: 10, afterMs: 60_000 }, endsAt: '2026-01-01T02:00:00+01:00' });
  job.signal('live');
  job.backfill(['member'], { last: false });
  job.dispatch();
  const batch = (ms: number) => new Date(job.now + ms).toISOString().replace('Z', '000000Z');
  expect(person(job, 'live')).toMatchObject({ waits: { batch: batch(60_000) }, endsAt: '2026-01-01T02:00:00+01:00' });
  expect(person(job, 'nobody').waits).toEqual({});
  edit({ batch: null, requestsPerSecond: 0.1, endsAt: null });
  expect(person(job, 'live')).not.toHaveProperty('endsAt');
  job.signal('next');
  job.send();
  job.dispatch();
  const { rate = '' } = person(job, 'next').waits;
  expect(Date.parse(rate) - job.now).toBeGreaterThan(1000);
  expect(job.status).toMatchObject({ waits: { rate } });
  expect(person(job, 'live').waits).not.toHaveProperty('rate');
});

test('in the overflow, triggers outside of holders are listed, and the holders of the others are named', () => {
  const job = new AJob();
  pauseJob(job.state);
  for (let i = 0; i < 20_000; i++) job.signal(`person ${i}`);
  job.signal('last');
  const before = person(job, 'last');
  expect(before.waitingCount).toBe(1);
  expect(before.overflow?.waiting).toHaveLength(1);
  job.dispatch();
  const { overflow, waitingCount } = person(job, 'person 15000');
  expect({ waitingCount, waiting: overflow?.waiting }).toEqual({ waitingCount: 0, waiting: [] });
  const names = Array.from({ length: (overflow?.next ?? 0) - (overflow?.first ?? 0) }, (_, i) =>
    String((overflow?.first ?? 0) + i),
  );
  expect(new Set(names)).toEqual(new Set(job.holders.keys()));
});

test('the job lists triggers on their way to a holder, and says that this holder is not there yet', () => {
  const job = new AJob();
  pauseJob(job.state);
  for (let i = 0; i < 20_000; i++) job.signal(`person ${i}`);
  const step = job.rawStep();
  if (step.kind !== 'spill') throw new Error('The overflow is worth a holder.');
  const [user = ''] = step.content.triggers[0] ?? [];
  expect(person(job, user)).toMatchObject({
    waitingCount: 1,
    overflow: { notYet: [1], waiting: [{ holder: '1' }] },
  });
});

test('a member that a backfill found waits in its page', () => {
  const job = new AJob();
  pauseJob(job.state);
  job.backfill(['member']);
  expect(person(job, 'member')).toMatchObject({ inPages: true, waitingCount: 0 });
  expect(person(job, 'other').inPages).toBe(false);
});

test('twenty of a thousand triggers that wait for one person are listed, and all are counted', () => {
  const job = new AJob();
  pauseJob(job.state);
  for (let i = 0; i < 1000; i++)
    job.signal('busy', 'enter', { at: `2026-01-01T00:00:00.${String(i).padStart(9, '0')}Z` });
  const { waiting, waitingCount } = person(job, 'busy');
  expect(waitingCount).toBe(1000);
  expect(waiting).toHaveLength(20);
});

test('asking changes nothing', () => {
  const job = new AJob();
  for (let i = 0; i < 20_000; i++) job.signal(`person ${i}`);
  job.send({ 0: { status: 500 } });
  const before = JSON.stringify(carryJob(job.state));
  for (const user of ['person 0', 'person 19999']) person(job, user);
  expect(JSON.stringify(carryJob(job.state))).toBe(before);
});

test('a trigger that is dead, and not kept yet, is on its way to becoming a dead letter', () => {
  const job = new AJob().signals('fine');
  job.send();
  job.signal('dead');
  job.send({ 0: { status: 422 } });
  expect(person(job, 'dead')).toMatchObject({ pendingDeadLetters: 1, waitingCount: 0 });
  expect(describePerson(restoreJob(carryJob(job.state)), 'dead', job.now).pendingDeadLetters).toBe(1);
});

const SECRET = 's3cret';
const webhookUrl = `https://hooks.example.com/services/${SECRET}?token=${SECRET}`;
const record = jobRecord(1);

test('a status shows where a job sends to, and no secret that would let others send there', () => {
  const job = new AJob(1, { definition: { ...record.definition, webhookUrl } });
  expect(job.status.webhookUrl).toBe('https://hooks.example.com/…?token=…');
  expect(JSON.stringify(job.status)).not.toContain(SECRET);
  expect(detailsOf(job.status)).not.toContain(SECRET);
  job.signal('1');
  expect(job.dispatch()[0]?.settings.webhookUrl).toBe(webhookUrl);
});

test.each([
  [{ webhookUrl }, 'https://hooks.example.com/…?token=…'],
  [{ webhookUrl: `https://me:${SECRET}@hooks.example.com/` }, 'https://hooks.example.com/'],
  [{ webhookUrl: SECRET }, '…'],
  [{ webhookUrl: [SECRET] }, ''],
  [SECRET, ''],
])('the status before the definition is checked shows where a job sends to, and no secret: %j', (definition, shown) => {
  const status = describeStarting(definition, 'vip', 0, false);
  expect(status.webhookUrl).toBe(shown);
  expect(JSON.stringify(status)).not.toContain(SECRET);
});

/** As `status --json` has them, in their order. */
const FORM_IN_A_STATUS = [...EDITABLE_FIELDS.filter((field) => field !== 'description'), 'revision'];

test('a status has the fields of the form as they are, in its order, before and after they are checked', () => {
  const { definition, audiences } = jobRecord(7);
  const job = new AJob(7, { definition: { ...definition, backfillPerSecond: 2, exportFields: ['email'] } });
  expect(job.status).toMatchObject({ label: 'model', audiences, exportFields: ['email'], backfillPerSecond: 2 });
  expect(Object.keys(job.status).slice(0, 4 + FORM_IN_A_STATUS.length)).toEqual([
    'v',
    'jobId',
    'subscriptionId',
    'state',
    ...FORM_IN_A_STATUS,
  ]);
  const starting = describeStarting({ label: 'VIP', parallelRequestCount: 'x' }, 'vip', 0, false);
  const before = ['v', 'jobId', 'subscriptionId', 'state', 'reason'];
  expect(Object.keys(starting).slice(0, 5 + FORM_IN_A_STATUS.length)).toEqual([...before, ...FORM_IN_A_STATUS]);
  expect(starting).toMatchObject({ label: 'VIP', audiences: [], exportFields: [], parallelRequestCount: 0 });
  expect(new AJob(1, { definition: { ...definition, description: 'Why' } }).status).toMatchObject({
    description: 'Why',
  });
});

test('the URL of one event is masked as that of the job; templates and headers are shown', () => {
  const { definition } = jobRecord(7);
  const onExit = { webhookUrl: SECRET_URL, headers: { 'x-list': '{{ id }}' } };
  const { status } = new AJob(7, { definition: { ...definition, onExit, body: '{{ id | json }}' } });
  expect(status.onExit).toEqual({ ...onExit, webhookUrl: 'https://hooks.example.com/…' });
  expect([status.body, status.onEnter]).toEqual(['{{ id | json }}', null]);
});

const SECRET_URL = 'https://hooks.example.com/T0ken/{{ id }}';

test('a trend has what was delivered, what failed and what waits', () => {
  const job = new AJob(3).signals('1', '2', '3');
  job.send({ 0: { status: 500 } });
  job.step();
  expect(job.state.trend.describe(job.now).hour).toMatchObject([{ delivered: 2, failed: 1, waiting: 1 }]);
  expect(restoreJob(carryJob(job.state)).trend.describe(job.now)).toEqual(job.state.trend.describe(job.now));
});
