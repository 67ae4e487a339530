import { expect, test } from '@jest/globals';
import { beginBackfill, operateBackfill, pauseJob, resumeJob, stopJob } from '../../../src/domain/job/operating.ts';
import { loseSlice, returnPermits } from '../../../src/domain/job/settling.ts';
import { carryJob, restoreJob } from '../../../src/domain/job/carrying.ts';
import { permitsInUse } from '../../../src/domain/job/state.ts';
import { AJob } from './a-job.ts';
import { jobRecord } from './a-record.ts';

const numbered = (what: string, count: number) => Array.from({ length: count }, (_, i) => `${what} ${i + 1}`);

test('permits that a slice gives back serve others at once, and are given back once', () => {
  const job = new AJob(2).signals('1', '2');
  const [slice] = job.dispatch();
  const { sliceId = 0, permits } = job.running[0] ?? {};
  expect([slice?.triggers.length, permits]).toEqual([2, 1]);
  job.dispatchEach(['3']);
  job.signal('4');
  expect(job.dispatch()).toEqual([]);
  returnPermits(job.state, { sliceId, left: 0 }, job.now);
  returnPermits(job.state, { sliceId, left: 0 }, job.now);
  expect(permitsInUse(job.state)).toBe(1);
});

test.each([
  null,
  'x',
  {},
  { sliceId: 1 },
  { sliceId: 1, left: -1 },
  { sliceId: 1, left: 99 },
  { sliceId: 77, left: 0 },
])('garbage instead of permits given back changes nothing: %j', (raw) => {
  const job = new AJob(1);
  job.dispatchEach(['1']);
  returnPermits(job.state, raw, job.now);
  expect(permitsInUse(job.state)).toBe(1);
});

test('after the count was lowered, the old slices end before new ones are dispatched', () => {
  const job = new AJob(4);
  job.dispatchEach(['1', '2', '3', '4']);
  job.edit({ parallelRequestCount: 1 });
  job.signal('5');
  for (let i = 0; i < 3; i++) {
    job.end();
    expect(job.dispatchedUsers()).toEqual([]);
  }
  job.end();
  expect(job.dispatchedUsers()).toEqual([['5']]);
});

test('a new URL forgets what the old one did, and late answers of the old one too', () => {
  const job = new AJob(4);
  job.dispatchEach(['1', '2', '3', '4']);
  job.end({ 0: { status: 429, retryAfterMs: 60_000 } });
  job.end({ 0: { status: 410 } });
  job.edit({ webhookUrl: 'https://new.example' });
  job.end({ 0: { status: 410 } });
  job.end({ 0: { status: 429, retryAfterMs: 60_000 } });
  expect(job.status).toMatchObject({ state: 'running', waiting: 4 });
  expect(job.dispatch()[0]?.settings).toMatchObject({ webhookUrl: 'https://new.example', revision: 2 });
});

test('a new URL is tried at once by those who waited for the old one', () => {
  const job = new AJob(1).signals('1');
  job.fail({ status: 500 });
  job.edit({ webhookUrl: 'https://new.example' });
  expect(job.dispatchedUsers()).toEqual([['1']]);
});

test('triggers of an audience that was edited away are still sent, by its name', () => {
  const job = new AJob(1).signals('1');
  const [a, b] = job.state.job.audiences;
  if (a === undefined || b === undefined) throw new Error('The model has two audiences.');
  job.edit({}, { audiences: [b], formerAudiences: [a] });
  expect(job.dispatch()[0]).toMatchObject({ audiences: [a], triggers: [{ audience: a.id }] });
  expect(job.signal('2')).toBe('the job does not subscribe to audience "a"');
});

test('a paused job accepts and keeps triggers; a resumed one sends them', () => {
  const job = new AJob(1);
  pauseJob(job.state);
  job.signal('1');
  expect([job.dispatchedUsers(), job.waitsMs, job.status.state]).toEqual([[], undefined, 'paused']);
  resumeJob(job.state);
  expect(job.dispatchedUsers()).toEqual([['1']]);
});

test('a lost slice gives back what its last heartbeat did not know of, in order', () => {
  const job = new AJob(1);
  for (const event of ['enter', 'exit', 'enter'] as const) job.signal('1', event);
  const [slice] = job.dispatch();
  loseSlice(job.state, slice?.sliceId ?? 0, { delivered: [[0, 0]], failed: [] }, job.now);
  expect(job.dispatch()[0]?.triggers.map(({ event }) => event)).toEqual(['exit', 'enter']);
  expect(job.status).toMatchObject({ delivered: 1, waiting: 2 });
});

test('a slice keeps its bytes, and a trigger that is larger goes alone', () => {
  const job = new AJob(1);
  for (const user of numbered('person', 6)) job.signal(user, 'enter', { profile: { text: 'x'.repeat(40_000) } });
  const sizes: number[] = [];
  for (let slices = job.dispatch(); slices.length > 0; slices = job.dispatch()) {
    sizes.push(...slices.map(({ triggers }) => triggers.length));
    job.end();
  }
  expect(sizes).toEqual([3, 3]);
});

test('the settings that go with every slice are counted among its bytes', () => {
  const record = jobRecord(16);
  const exportFields = numbered('x'.repeat(240), 1000);
  const job = new AJob(16, { definition: { ...record.definition, exportFields } }).signals('1');
  const step = job.step();
  expect(step.kind === 'deliver' ? step.bytes : 0).toBeGreaterThan(JSON.stringify(exportFields).length);
});

test('stopping sends what is waiting, then finishes', () => {
  const job = new AJob(1);
  pauseJob(job.state);
  job.signal('1');
  stopJob(job.state, 'deliver');
  expect(job.dispatchedUsers()).toEqual([['1']]);
  expect(job.status.state).toBe('stopping');
  job.end();
  expect(job.step()).toEqual({ kind: 'finish' });
});

test('stopping with discard cancels a backfill that runs; its child is signalled once', () => {
  const job = new AJob(1);
  job.backfill(['1', '2'], { last: false });
  expect(job.step().kind).toBe('start-backfill');
  stopJob(job.state, 'discard');
  expect(job.step()).toEqual({ kind: 'cancel-backfill', n: 1 });
  expect(job.step()).toEqual({ kind: 'finish' });
});

test('a backfill child that is silent for three minutes is looked for', () => {
  const job = new AJob(1);
  job.backfill(['1'], { last: false });
  job.send();
  job.now += 179_999;
  job.dispatch();
  expect(job.waitsMs).toBe(1);
  job.now += 1;
  expect(job.step()).toEqual({ kind: 'look-for-backfill', n: 1 });
});

test.each([
  [
    'the backfill',
    (job: AJob) => operateBackfill(job.state, 'pause'),
    (job: AJob) => operateBackfill(job.state, 'resume'),
  ],
  ['the job', (job: AJob) => pauseJob(job.state), (job: AJob) => resumeJob(job.state)],
])(
  'pausing %s stops the look for its child and sets no timer for that; resuming starts it again',
  (_, pause, resume) => {
    const job = new AJob(1);
    job.backfill(['1'], { last: false });
    job.send();
    job.dispatch();
    pause(job);
    job.now += 3_600_000;
    expect(job.step()).toEqual({ kind: 'wait' });
    resume(job);
    expect(job.step()).toEqual({ kind: 'look-for-backfill', n: 1 });
  },
);

test('an old run ends when no slice happens to run; a very old one dispatches no more until then', () => {
  const job = new AJob(1);
  job.dispatchEach(['1']);
  job.signal('2');
  job.facts({ signals: 1000 });
  job.end();
  expect(job.dispatchedUsers()).toEqual([['2']]);
  job.signal('3');
  job.facts({ signals: 4000 });
  job.end();
  expect(job.facts({ signals: 4000, busy: true }).step()).toMatchObject({ kind: 'wait' });
  expect(job.facts({ signals: 4000 }).step()).toEqual({ kind: 'continue-as-new' });
});

test('a state that is larger than it is estimated never brings the job to a standstill', () => {
  const job = new AJob(1);
  // No estimate counts the bytes of its time.
  beginBackfill(job.state, ['a'.repeat(32)], job.now, { at: '2'.repeat(1_900_000) });
  expect(job.step().kind).toBe('start-backfill');
  for (const user of numbered('person', 3)) job.signal(user, 'enter', { profile: { text: 'x'.repeat(60_000) } });
  job.facts({ signals: 9999 });
  expect(job.step().kind).toBe('deliver');
});

test('a server that allows little makes no empty job look full', () => {
  const job = new AJob(1, { serverLimits: { payloadBytes: 64 * 1024, signalsPerRun: 100, eventsPerRun: 1000 } });
  expect(job.status.notices).toEqual([]);
});

test('under limits as small as the configuration allows, an empty job still has room', () => {
  const job = new AJob(1, {
    serverLimits: { payloadBytes: 16 * 1024, signalsPerRun: 10, eventsPerRun: 100 },
  });
  expect(job.facts({ signals: 9 }).step()).toEqual({ kind: 'continue-as-new' });
});

test('the next run goes on where this one stood', () => {
  const job = new AJob(2).signals('1');
  job.fail({ status: 500 });
  job.signal('2');
  job.backfill(['3'], { last: false });
  const before = carryJob(job.state);
  job.state = restoreJob(structuredClone(before));
  expect(carryJob(job.state)).toEqual(before);
  expect(job.dispatchedUsers().flat()).toEqual(['2', '3']);
});
