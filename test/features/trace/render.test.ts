import { expect, test } from '@jest/globals';
import { attemptLines, TraceStory } from '../../../src/features/trace/render.ts';
import type { Attempt, PersonStanding, TraceEvent } from '../../../src/app/export-jobs.ts';

const nowMs = Date.parse('2026-11-25T14:03:22Z');
const line = { jobId: 'vip-to-crm', runId: 'r' };
const at = '2026-11-25T14:03:21.000000000Z';

const attempt: Attempt = {
  ...line,
  sliceId: 1,
  endedAt: at,
  user: '7076027172059065053',
  event: 'enter',
  audience: 'vip',
  triggerAt: '2026-11-25T14:03:20.118Z',
  deliveryId: 'f1c51a9fc5c236e243f8fd8f4530bbd3',
  outcome: 'failed',
  verdict: 'transient',
  status: 503,
  durationMs: 84.4,
  answer: 'busy',
};
const attempted = (changed: Partial<Attempt> & { attempt?: number } = {}): TraceEvent => ({
  kind: 'attempted',
  at,
  attempt: 1,
  ...attempt,
  ...changed,
});
const received: TraceEvent = { kind: 'received', ...line, at, event: 'enter', audience: 'vip' };

function stands(changed: Partial<PersonStanding> = {}): TraceEvent {
  const standing: PersonStanding = {
    state: 'running',
    waits: {},
    waiting: [],
    waitingCount: 0,
    pendingDeadLetters: 0,
    inPages: false,
    ...changed,
  };
  return { kind: 'stands', jobId: line.jobId, at, standing };
}
const waits = (changed: Partial<PersonStanding>): TraceEvent =>
  stands({ waiting: [{ event: 'enter', audience: 'vip', at }], waitingCount: 1, ...changed });

function told(...events: TraceEvent[]): string[] {
  const story = new TraceStory({ nowMs });
  return events.flatMap((event) => story.lines(event));
}
/** What the last event comes to, after the others. */
function last(...events: TraceEvent[]): string {
  const story = new TraceStory({ nowMs });
  const lines = events.map((event) => story.lines(event)).at(-1) ?? [];
  return lines
    .filter((text) => text.startsWith(' '))
    .join(' ')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

test('a trigger signalled again with the same time, however spelled, is called a repeat; without a time, never', () => {
  const first: TraceEvent = { ...received, triggerAt: '2026-11-25T14:03:20.118Z' };
  const same: TraceEvent = { ...received, triggerAt: '2026-11-25T15:03:20.118000+01:00' };
  expect(last(first, { ...received, event: 'exit', triggerAt: '2026-11-25T14:03:20.118Z' })).not.toContain('repeat');
  expect(last(first, same)).toBe('14:03:21 enter vip received again: a repeat (at 2026-11-25 14:03:20.118 UTC)');
  expect(last(first, { ...same, jobId: 'another' })).not.toContain('repeat');
  expect(last(received, received)).not.toContain('repeat');
});

test('a story: when, what, what came of it, and where things stand now', () => {
  const story = told(
    { ...received, triggerAt: '2026-11-25T14:03:20.118Z' },
    attempted(),
    attempted({ outcome: 'delivered', attempt: 2, status: 200 }),
    stands(),
  );
  expect(story).toEqual([
    'Job vip-to-crm',
    '  2026-11-25, UTC',
    '  14:03:21  enter vip received (at 2026-11-25 14:03:20.118 UTC)',
    '  14:03:21  enter vip, attempt 1: HTTP 503 in 84 ms "busy"',
    '  14:03:21  enter vip, attempt 2: delivered, HTTP 200 in 84 ms; webhook-id',
    '            f1c51a9fc5c2…',
    '  Nothing waits.',
  ]);
});

test('a redelivery is a return to the job, never a delivery; one that the job refused is not a return either', () => {
  const redelivered = { ...received, redelivery: 1 };
  expect(last(redelivered)).toContain('enter vip returned to the job from its dead letter');
  const refused = last({ ...redelivered, refused: 'the job was stopped' });
  expect(refused).toContain('did not take it back from its dead letter: the job was stopped');
});

test('no line is wider than 80 columns, however much an endpoint says', () => {
  const story = told(attempted({ answer: 'x'.repeat(200) }), attempted({ answer: 'long words '.repeat(20) }));
  expect(Math.max(...story.map((text) => text.length))).toBeLessThanOrEqual(80);
});

test('a trace escapes text from endpoints and signals, so it cannot control the terminal', () => {
  const evil = '\u001B[2Jgone';
  const story = told(
    { ...received, audience: evil, refused: evil },
    attempted({ answer: evil, audience: evil }),
    { kind: 'left-out', jobId: evil, at, reason: evil },
    { kind: 'stands', jobId: 'j', at, notice: evil },
    waits({ state: 'stopped', reason: evil, waiting: [{ event: 'enter', audience: evil, at }] }),
  );
  expect(story.join('\n')).not.toContain('\u001B');
});

test('a trace says in words how things stand now', () => {
  const ready = { place: 'ready', ahead: 0, failures: 0, profileTries: 0 } as const;
  const held = {
    place: 'delayed',
    failures: 1,
    profileTries: 0,
    nextAttemptAt: '2026-11-25T14:03:26.000000000Z',
  } as const;
  const nobody = { waiting: [], waitingCount: 0 };
  const gatheringUntil = '2026-11-25T14:03:32.000000000Z';
  const throttledUntil = '2026-11-25T14:04:21.000000000Z';
  const standings: Record<string, Partial<PersonStanding>> = {
    held: { chain: held },
    'lost with its worker again and again': { chain: { ...held, failures: 0, losses: 3 } },
    'being sent': { chain: { place: 'running', failures: 0, profileTries: 0 } },
    next: { chain: ready },
    'behind others': { chain: { ...ready, ahead: 1200 } },
    paused: { state: 'paused', reason: 'Paused by an operator.' },
    throttled: { waits: { endpoint: throttledUntil } },
    'in quiet hours': { waits: { quiet: '2026-11-26T07:00:00.000000000Z', endpoint: throttledUntil } },
    'over the quota': { waits: { quota: '2026-11-30T00:00:00.000000000Z' }, chain: { ...ready, ahead: 3 } },
    'limited by a rate, in a batch': {
      waits: { rate: '2026-11-25T14:04:02.000000000Z', batch: gatheringUntil },
      chain: { ...ready, ahead: 1, failures: 1 },
    },
    'held by a throttle of a newer worker': { waits: { stale: throttledUntil }, chain: ready },
    'before an end': { endsAt: '2026-11-30T01:00:00+01:00', chain: ready },
    unhealthy: {
      endpoint: { state: 'unhealthy', nextProbeAt: gatheringUntil },
      lastFailure: { at, code: 'ECONNREFUSED' },
    },
    'in a holder': { waiting: [{ event: 'exit', audience: 'vip', at, holder: '7' }] },
    'a member': { ...nobody, inPages: true },
    'a member, in a batch': { ...nobody, inPages: true, waits: { batch: gatheringUntil } },
    'one is becoming a dead letter': { ...nobody, pendingDeadLetters: 1 },
    'two are becoming dead letters': { ...nobody, pendingDeadLetters: 2 },
  };
  const died: TraceEvent = {
    kind: 'died',
    jobId: line.jobId,
    at,
    deadLetterId: 'f1c51a9fc5c236e243f8fd8f4530bbd3-0',
    event: 'enter',
    audience: 'vip',
    triggerAt: at,
    failure: 'HTTP 422',
    attempts: 1,
    state: 'waiting',
  };
  expect({
    ...Object.fromEntries(Object.entries(standings).map(([name, standing]) => [name, last(waits(standing))])),
    'held, after a failure of the story': last(attempted(), waits({ chain: held })),
    'next to a dead letter that waits for a decision': last(died, stands()),
    'next to one that is decided': last({ ...died, state: 'discarded' }, stands()),
    'not known': last({ kind: 'stands', jobId: 'j', at, notice: 'No worker polls.' }),
  }).toMatchSnapshot();
});

test('a trace says in words what happened', () => {
  const discarded: TraceEvent = { ...line, kind: 'discarded', at };
  const late = { ...received, triggerAt: '2026-11-25T09:00:00Z', newerAt: '2026-11-25T10:00:00.000000000Z' };
  const attempts: Record<string, Partial<Attempt>> = {
    'a refusal': {},
    'asked to wait': { verdict: 'throttled', status: 429, retryAfterMs: 30_000 },
    'asked never to be called again': { verdict: 'endpoint-gone', status: 410 },
    'too large': { verdict: 'unsendable', status: undefined as never, code: 'PAYLOAD_TOO_LARGE', durationMs: 0 },
    'of a lost slice': { outcome: 'unknown' },
  };
  expect({
    'came late and was dropped': last(late),
    'dropped by a stop': last(discarded),
    'was a replay': last({ ...line, ...attempt, kind: 'attempted', at, outcome: 'delivered', lane: 'replay' }),
    ...Object.fromEntries(
      Object.entries(attempts).map(([name, changed]) => [name, attemptLines({ ...attempt, ...changed })]),
    ),
  }).toMatchSnapshot();
});
