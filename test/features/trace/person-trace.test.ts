import type { JobFact } from '../../../src/client/calls/job-fact.ts';
import { expect, test } from '@jest/globals';
import type { RedeliveryRefusal } from '../../../src/contract/dead-letter.ts';
import type { SliceReport, SliceTrigger } from '../../../src/contract/slice.ts';
import { carryJob } from '../../../src/domain/job/carrying.ts';
import { PersonTrace } from '../../../src/features/trace/person-trace.ts';
import { readReport } from '../../../src/domain/slice.ts';
import { packTriggers } from '../../../src/domain/job/queue/chain.ts';
import { aDeadLetter } from '../../domain/job/a-dead-letter.ts';
import { AJob } from '../../domain/job/a-job.ts';
import { AUDIENCES, jobRecord } from '../../domain/job/a-record.ts';

const [A] = AUDIENCES;
const came = { runId: 'run', atMs: Date.UTC(2026, 10, 25, 14, 3, 21) };
const at = '2026-11-25T08:30:00Z';

type Arrival = Extract<JobFact, { kind: 'signalled' }>['arrivals'][number];

const signalled = (...arrivals: Arrival[]): JobFact => ({ ...came, kind: 'signalled', name: 'triggers', arrivals });
const entered = (trigger: object): JobFact => signalled({ kind: 'trigger', raw: { at, ...trigger }, event: 'enter' });
const prepared: JobFact = { ...came, kind: 'prepared', result: { ok: true, audiences: AUDIENCES } };

/** @param more of each trigger. */
function sliceOf(
  users: readonly string[],
  report: Partial<SliceReport> = {},
  more: Partial<SliceTrigger> = {},
): JobFact {
  const job = new AJob(1);
  for (const user of users) job.signal(user, 'enter', { at });
  const [slice] = job.dispatch();
  const read = readReport({ failed: [], unsent: [], sendingMs: 1, ...report }, users.length);
  if (slice === undefined || read === undefined) throw new Error('A slice was dispatched, and its report can be read.');
  return {
    ...came,
    kind: 'slice',
    slice: { ...slice, triggers: users.map((user) => ({ user, audience: A?.id ?? '', event: 'enter', at, ...more })) },
    end: { kind: 'reported', report: read },
  };
}

/** A trace that knows the job's audiences. */
function trace(user = 'p'): PersonTrace {
  const made = new PersonTrace('job', user);
  made.take(prepared);
  return made;
}

test('a signal with many triggers reports those of the person, and of nobody else', () => {
  const raws = [{ user: 'p' }, { user: 'q' }, { user: 'p' }].map((one) => ({ audience: 'a', at, ...one }));
  const told = trace().take(
    signalled(...raws.map((raw) => ({ kind: 'trigger' as const, raw, event: 'exit' as const }))),
  );
  expect(told).toHaveLength(2);
  expect(told[0]).toEqual({
    kind: 'received',
    jobId: 'job',
    runId: 'run',
    at: '2026-11-25T14:03:21.000000000Z',
    event: 'exit',
    audience: 'a',
    triggerAt: at,
  });
});

test('an audience that is named by its id is reported by its slug', () => {
  expect(trace().take(entered({ user: 'p', audience: A?.id }))).toMatchObject([{ audience: A?.slug }]);
});

test('a refused trigger is reported with the reason: its audience, or its mistake', () => {
  expect(trace().take(entered({ user: 'p', audience: 'other' }))).toMatchObject([
    { kind: 'received', refused: 'the job does not subscribe to audience "other"' },
  ]);
  expect(trace().take(entered({ user: 'p', audience: 'a', at: 'yesterday' }))).toMatchObject([
    { kind: 'received', refused: expect.stringContaining('RFC 3339') },
  ]);
});

test('a trigger that came before its job knew its audiences is reported once it does', () => {
  const early = new PersonTrace('job', 'p');
  expect(early.take(entered({ user: 'p', audience: A?.id }))).toEqual([]);
  expect(early.take(prepared)).toMatchObject([{ kind: 'received', audience: A?.slug }]);
  expect(early.take(prepared)).toEqual([]);
});

test('after an edit the audiences are those of the edit', () => {
  const edited = trace();
  edited.take({ ...came, kind: 'prepared', result: { ok: true, audiences: AUDIENCES.slice(1) } });
  const [told] = edited.take(entered({ user: 'p', audience: A?.slug }));
  expect(told).toHaveProperty('refused');
});

test('an edit that was refused changes nothing', () => {
  const same = trace();
  same.take({ ...came, kind: 'prepared', result: { ok: false, problems: [] } });
  expect(same.take(entered({ user: 'p', audience: 'a' }))[0]).not.toHaveProperty('refused');
});

test('an attempt has the number that its slice gives it, but only if the endpoint was asked', () => {
  const one = trace();
  const failed = (attempt: object) => one.take(sliceOf(['p'], { failed: [{ index: 0, durationMs: 1, ...attempt }] }));
  expect(failed({ status: 503 })).toMatchObject([{ attempt: 1 }]);
  expect(failed({ code: 'SOURCE_UNAVAILABLE' })[0]).not.toHaveProperty('attempt');
  expect(one.take(sliceOf(['p'], {}, { attempts: 3, failures: 1 }))).toMatchObject([
    { attempt: 4, outcome: 'delivered' },
  ]);
});

test('a trigger that was replaced is told once, with what replaced it', () => {
  const one = trace();
  const superseded = { event: 'enter', at: '2026-11-25T08:00:00Z', attempts: 1 } as const;
  expect(one.take(sliceOf(['p'], {}, { superseded }))).toMatchObject([
    {
      outcome: 'superseded',
      triggerAt: superseded.at,
      lane: 'backfill',
      answer: `replaced by the newer enter of ${at}`,
    },
    { outcome: 'delivered', triggerAt: at },
  ]);
  expect(one.take(sliceOf(['p'], {}, { superseded }))).toHaveLength(1);
});

test('unsent triggers behind a failure of the same person are not reported; one that was unsent by itself is', () => {
  const failed = [{ index: 0, durationMs: 1, status: 503 }];
  expect(trace().take(sliceOf(['p', 'p', 'p'], { failed, unsent: [1, 2] }))).toMatchObject([{ outcome: 'failed' }]);
  expect(trace().take(sliceOf(['q', 'p', 'p'], { failed, unsent: [1, 2] }))).toMatchObject([{ outcome: 'unsent' }]);
});

const PAGE = { subscriptionId: 's', n: 1, audience: A?.id, readAt: 0, last: true, ids: [] };

test('what is told again is reported trigger by trigger, each with its own time', () => {
  const told = packTriggers(
    (['enter', 'exit'] as const).map((event, second) => ({
      user: 'p',
      trigger: { audience: A?.id ?? '', event, at: `2026-01-01T00:00:0${second}Z` },
    })),
  );
  expect(trace().take(signalled({ kind: 'page', raw: { ...PAGE, number: 1, told } }))).toMatchObject([
    { kind: 'found', audience: A?.slug, event: 'enter', triggerAt: '2026-01-01T00:00:00Z', backfill: 1 },
    { kind: 'found', audience: A?.slug, event: 'exit', triggerAt: '2026-01-01T00:00:01Z', backfill: 1 },
  ]);
});

test('a page that is sent twice is reported once', () => {
  const page: Arrival = { kind: 'page', raw: { ...PAGE, number: 3, ids: ['o', 'p'] } };
  const one = trace();
  expect(one.take(signalled(page))).toMatchObject([{ kind: 'found', audience: A?.slug, backfill: 1 }]);
  expect(one.take(signalled(page))).toEqual([]);
  expect(trace('stranger').take(signalled(page))).toEqual([]);
});

/** A question of a dead letter of `p`, and the answer of the job. */
function redelivery(question: number, more: object = {}): JobFact {
  const asking = { workflowId: 'dead-letter-1', runId: 'one run', question };
  const trigger = { audience: A?.id, event: 'enter', at, redelivery: 1 };
  const raw = { subscriptionId: '5b'.repeat(16), asking, user: 'p', trigger, ...more };
  return signalled({ kind: 'redelivery', raw });
}
function answered(question: number, refusal?: RedeliveryRefusal): JobFact {
  const answer = { runId: 'one run', question, ...(refusal === undefined ? {} : { refusal }) };
  return { ...came, kind: 'answered', answers: [{ workflowId: 'dead-letter-1', answer }] };
}

test('a dead letter, and that its job took it back', () => {
  const letter = aDeadLetter({ user: 'p' });
  expect(trace().take({ ...came, kind: 'died', letters: [aDeadLetter({ user: 'q' }), letter] })).toMatchObject([
    { kind: 'died', deadLetterId: `${letter.deliveryId}-${letter.redeliveries}`, at: letter.diedAt },
  ]);
  const one = trace();
  const told = (...facts: JobFact[]) => facts.flatMap((fact) => one.take(fact));
  expect(told(redelivery(1, { isWithdrawn: true }), answered(1, 'withdrawn'))).toEqual([]);
  expect(told(redelivery(2), redelivery(3))).toEqual([]);
  const taken = { kind: 'received', redelivery: 1, audience: A?.slug, triggerAt: at };
  expect(told(answered(2))).toMatchObject([taken]);
  // It asked once more, since it had not heard.
  expect(told(answered(3))).toEqual([]);
});

test('a dead letter that its job refused is reported with the reason, and not as taken', () => {
  const one = trace();
  for (const refusal of ['other-subscription', 'stopped', 'discarding', 'audience-left', 'unreadable'] as const) {
    one.take(redelivery(1));
    expect(one.take(answered(1, refusal))).toMatchObject([{ redelivery: 1, refused: expect.any(String) }]);
  }
  one.take(redelivery(2));
  expect(one.take(answered(2))[0]).not.toHaveProperty('refused');
});

test('garbage among the signals belongs to nobody', () => {
  const one = trace();
  for (const raw of [undefined, null, 7, 'p', ['p'], { user: 7 }])
    for (const kind of ['redelivery', 'page', 'trigger'] as const)
      expect(one.take(signalled({ kind, raw, event: undefined }))).toEqual([]);
});

test('a job that ended before it began reports its signals, and its stop with discard once', () => {
  const made = new PersonTrace('job', 'p');
  expect(made.take(entered({ user: 'p', audience: 'vip' }))).toEqual([]);
  expect(made.take(signalled({ kind: 'trigger', raw: { user: 'p' }, event: 'enter' }))).toEqual([]);
  const stop = { ...came, kind: 'stop-asked' as const, waiting: 'discard' };
  expect([...made.take(stop), ...made.take(stop)]).toMatchObject([{ kind: 'discarded' }]);
  const told = made.take({ ...came, atMs: came.atMs + 1000, kind: 'closed' });
  expect(told).toMatchObject([
    { kind: 'received', audience: 'vip', triggerAt: at },
    { kind: 'received', refused: expect.stringContaining('audience') },
  ]);
  expect(told[0]).not.toHaveProperty('refused');
});

test('a trigger dropped as late is reported with the newer change, also if an earlier run took that change', () => {
  const definition = { ...jobRecord(1).definition, stale: 'drop' as const };
  const newerAt = '2026-11-25T08:30:00.000000001Z';
  const job = new AJob(1, { definition });
  job.signal('p', 'exit', { at: newerAt });
  const args = [carryJob(job.state)];
  const earlier = [{ ...came, kind: 'began' as const, args }];
  const live = [
    { ...prepared, result: { ok: true, audiences: AUDIENCES, definition } },
    entered({ user: 'p', audience: 'a', at: newerAt }),
  ];
  for (const facts of [earlier, live]) {
    const told = new PersonTrace('job', 'p');
    for (const fact of facts) told.take(fact);
    expect(told.take(entered({ user: 'p', audience: 'a' }))).toMatchObject([{ triggerAt: at, newerAt }]);
    for (const more of [{ audience: 'b' }, { audience: 'a', at: newerAt }, { audience: 'a', at: null }])
      expect(told.take(entered({ user: 'p', ...more }))[0]).not.toHaveProperty('newerAt');
  }
});

test('a job that sends late changes does not report them as dropped', () => {
  const told = trace();
  for (const later of ['2026-11-25T08:30:01Z', at])
    expect(told.take(entered({ user: 'p', audience: 'a', at: later }))[0]).not.toHaveProperty('newerAt');
});
