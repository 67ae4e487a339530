import { expect, test } from '@jest/globals';
import { carriedBytes, carryJob } from '../../../src/domain/job/carrying.ts';
import { applyEdit, describeRevision, note, pauseJob } from '../../../src/domain/job/operating.ts';
import { recoverJob } from '../../../src/client/jobs/recovering.ts';
import { readBy, takeBy } from '../../../src/domain/requests.ts';
import { AJob } from './a-job.ts';

const ADA = { who: 'ada@laptop', door: 'cli' } as const;

const edited = (job: AJob, change: object): void => {
  const { job: record } = job.state;
  const next = { ...record, revision: record.revision + 1, definition: { ...record.definition, ...change } };
  applyEdit(job.state, next, job.now, ADA);
};
const latest = (job: AJob) => job.state.audit.describe()[0];

test('a job tells its last 50 entries, newest first, also in its next run', () => {
  const job = new AJob(1);
  for (let i = 1; i <= 60; i++) note(job.state, { action: 'retry' }, ADA, job.now + i);
  job.nextRun();
  note(job.state, { action: 'pause' }, { ...ADA, reason: 'why' }, job.now + 61);
  const entries = job.state.audit.describe();
  expect(entries.map(({ n }) => n)).toEqual(Array.from({ length: 50 }, (_, i) => 61 - i));
  expect(entries[0]).toEqual({
    n: 61,
    at: '2026-01-01T00:00:00.061000000Z',
    action: 'pause',
    reason: 'why',
    ...ADA,
  });
});

test('what a job remembers of edits is bounded in bytes, and counts as its state', () => {
  const job = new AJob(1);
  const { auditBytes, replacedBytes } = job.state.budgets;
  const before = [carriedBytes(carryJob(job.state)), job.status.stateBytes] as const;
  for (let i = 0; i < 100; i++)
    edited(job, { label: `\u0001${i}${'€'.repeat(3_000)}`, headers: { 'x-a': `${i}${'"'.repeat(3_000)}` } });
  edited(job, { label: 'L', headers: null });
  const grown = carriedBytes(carryJob(job.state)) - (before[0] ?? 0);
  expect(grown).toBeGreaterThan(replacedBytes / 2);
  expect(grown).toBeLessThan(auditBytes + replacedBytes + 200);
  expect(job.status.stateBytes - (before[1] ?? 0)).toBeGreaterThanOrEqual(grown - 200);
  expect(JSON.stringify(latest(job)).length).toBeLessThan(2_000);
});

test('what the delivery log was told counts for nothing, as in 0.1.0: each release replays runs of the other', () => {
  const job = new AJob(1);
  const bytesBefore = job.state.audit.bytes;
  note(job.state, { action: 'retry' }, ADA, job.now);
  const { told, ...counted } = job.state.audit.carry();
  expect(told).toBeDefined();
  expect(job.state.audit.bytes).toBe(JSON.stringify(counted).length);
  expect(job.state.audit.bytes).toBeGreaterThan(bytesBefore);
});

test('what a replay sends again counts only once it is handed on, as in 0.1.0, which does not keep it', () => {
  const until = '2026-12-01T08:00:00Z';
  const [job, older] = [new AJob(1), new AJob(1)];
  // More than fits, so that old ones go.
  const by = { ...ADA, reason: 'why'.repeat(150) };
  for (let i = 0; i < 60; i++) {
    const deed = { action: 'replay' } as const;
    note(job.state, { ...deed, replay: { until, enters: i, exits: 0 } }, by, job.now);
    note(older.state, deed, by, older.now);
  }
  expect(job.state.audit.describe().length).toBeLessThan(50);
  expect(job.state.audit.bytes).toBe(older.state.audit.bytes);
  job.nextRun();
  note(job.state, { action: 'retry' }, ADA, job.now);
  const { told: _, ...counted } = job.state.audit.carry();
  expect(job.state.audit.bytes).toBe(JSON.stringify(counted).length);
});

test('an edit is told field by field, before and after, with what is secret masked and what is long cut', () => {
  const job = new AJob(1);
  edited(job, { webhookUrl: 'https://a.example/s3cret?token=s3cret', parallelRequestCount: 9 });
  edited(job, {
    webhookUrl: 'https://a.example/0ther?token=0ther',
    onEnter: { webhookUrl: 'https://b.example/s3cret' },
    description: 'd'.repeat(300),
  });
  const told = job.state.audit.describe();
  expect(JSON.stringify(told)).not.toMatch(/s3cret|0ther/);
  expect(told).toMatchObject([
    {
      revision: 3,
      changes: [
        { field: 'description', from: null, to: `${'d'.repeat(200)}…` },
        { field: 'webhookUrl', from: 'https://a.example/…?token=…', to: 'https://a.example/…?token=…' },
        { field: 'onEnter', from: null, to: { webhookUrl: 'https://b.example/…' } },
      ],
    },
    { revision: 2, changes: [{ field: 'webhookUrl' }, { field: 'parallelRequestCount', from: 1, to: 9 }] },
  ]);
});

test('a job knows the way back to each revision that it remembers, also in its next run', () => {
  const job = new AJob(1);
  const { webhookUrl } = job.state.job.definition;
  edited(job, { webhookUrl: 'https://a.example/2', label: 'two' });
  edited(job, { webhookUrl: 'https://a.example/3' });
  edited(job, { parallelRequestCount: 4, label: 'four' });
  job.nextRun();
  expect(describeRevision(job.state, 1)).toEqual({
    oldest: 1,
    current: 4,
    edit: { label: 'model', webhookUrl, parallelRequestCount: 1 },
  });
  expect(describeRevision(job.state, 2).edit).toEqual({
    label: 'two',
    webhookUrl: 'https://a.example/2',
    parallelRequestCount: 1,
  });
  expect(describeRevision(job.state, 4).edit).toEqual({});
  for (const unknown of [0, 5, 1.5, '1', null]) expect(describeRevision(job.state, unknown).edit).toBeUndefined();
});

test('a revision whose edit is no longer remembered is not known', () => {
  const job = new AJob(1);
  for (let i = 0; i < 60; i++) edited(job, { label: `label ${i}` });
  expect(describeRevision(job.state, 10)).toEqual({ oldest: 11, current: 61 });
  expect(describeRevision(job.state, 11).edit).toEqual({ label: 'label 9' });
});

test('what a job does by itself is told as such: its endpoint pauses it, its end comes', () => {
  const job = new AJob(1).signals('1');
  job.fail({ status: 410 });
  expect(latest(job)).toMatchObject({ action: 'pause', who: 'endpoint', door: 'job', reason: 'HTTP 410' });
  job.edit({ endsAt: '2026-01-01T01:00:00Z' });
  job.now += 3_600_000;
  job.step();
  expect(latest(job)).toMatchObject({ action: 'stop', who: 'job', door: 'job', waiting: 'keep' });
});

test('who recovered a job is told, after all that was told before', () => {
  const job = new AJob(1);
  note(job.state, { action: 'pause' }, ADA, job.now);
  const remains = { carried: carryJob(job.state), ends: [], arrivals: [] };
  const [recovered, looked] = [ADA, undefined].map((by) => recoverJob(remains, false, job.now, by).audit.describe());
  expect(recovered).toMatchObject([
    { n: 2, action: 'recover', ...ADA },
    { n: 1, action: 'pause' },
  ]);
  expect(looked).toMatchObject([{ action: 'pause' }]);
});

test('the delivery log is told of entries, too, for which the job itself has no room', () => {
  const job = new AJob(1);
  for (let n = 0; n < 60; n++) note(job.state, { action: 'pause' }, { ...ADA, reason: '漢'.repeat(490) }, job.now);
  expect(job.state.audit.describe().length).toBeLessThan(60);
  expect(job.state.audit.takeUntold().map(({ n }) => n)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
});

test('each entry is there for the delivery log once, in whatever run and after a recovery', () => {
  const job = new AJob(1);
  const untold = (state = job.state) => state.audit.takeUntold().map(({ n, action }) => [n, action]);
  note(job.state, { action: 'pause' }, ADA, job.now);
  note(job.state, { action: 'resume' }, ADA, job.now);
  const before = carryJob(job.state);
  expect(untold()).toEqual([
    [1, 'pause'],
    [2, 'resume'],
  ]);
  expect(untold()).toEqual([]);
  job.nextRun();
  expect(untold()).toEqual([]);
  const remains = { carried: carryJob(job.state), ends: [], arrivals: [] };
  expect(untold(recoverJob(remains, false, job.now, ADA))).toEqual([[3, 'recover']]);
  // A job from before there was a log for them has told none.
  const { told: _, ...audit } = before.audit ?? job.state.audit.carry();
  expect(untold(recoverJob({ ...remains, carried: { ...before, audit } }, false, job.now))).toHaveLength(2);
  expect(job.status.stateBytes).toBeGreaterThanOrEqual(carriedBytes(carryJob(job.state)));
});

test('the status of a paused job names who paused it, and why', () => {
  const job = new AJob(1);
  pauseJob(job.state, { who: 'ada@laptop', reason: 'their database moves.' });
  job.nextRun();
  expect(job.status.reason).toMatch(/^Paused by ada@laptop: their database moves\. Triggers/);
  pauseJob(job.state);
  expect(job.status.reason).toMatch(/^Paused by an operator\. Triggers/);
});

test('who asks is read from the second argument; whatever it says, it is short, and its door is a known one', () => {
  expect(takeBy([{ a: 1 }, { ...ADA, reason: 'because' }])).toEqual({
    by: { ...ADA, reason: 'because' },
    rest: [{ a: 1 }],
  });
  expect(takeBy([{}]).by).toEqual({ door: 'temporal' });
  expect(takeBy([{}, null]).by).toEqual({ door: 'temporal' });
  expect(readBy({ who: 7, door: 'job', reason: ' two\n\tlines ' })).toEqual({ door: 'temporal', reason: 'two lines' });
  const long = readBy({ who: 'x'.repeat(5_000), reason: 'y'.repeat(5_000) });
  expect([long.who?.length, long.reason?.length]).toEqual([100, 500]);
});

test.each([['keep'], [[]], [{ waiting: 'keep' }], [{ ...ADA, raeson: 'x' }]])(
  'a second argument that does not say who asks is one too many: %j',
  (other) => {
    expect(takeBy([{}, other]).rest).toEqual([{}, other]);
    expect(takeBy([{}, ADA, other]).rest).toEqual([{}, other]);
  },
);
