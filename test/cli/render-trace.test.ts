import { describe, expect, test } from '@jest/globals';
import { arrivalText, attemptLines, TraceStory } from '../../src/cli/render-trace.ts';
import type { Attempt, PersonStanding, TraceEvent } from '../../src/client/export-jobs.ts';

test('whoever posts to the receiver, its terminal shows what arrived and does nothing else', () => {
  const hostile = '\u001b[2J\u202e';
  const line = arrivalText({
    arrivedAtMs: Date.UTC(2026, 10, 25, 8, 30),
    deliveryId: '\u001b[2J',
    inFlight: 1,
    message: { user: hostile, slug: hostile, audience: '', event: 'enter', at: '' },
  } as Parameters<typeof arrivalText>[0]); // The rest of an arrival is not shown.
  expect(line).toContain(String.raw`08:30:00.000  enter  \u001b[2J\u202e  \u001b[2J\u202e`);
  expect(line).not.toMatch(/[\p{Cc}\u202e]/u);
});

test('of a batch each element is shown, up to twenty, and nothing of it can control a terminal', () => {
  const message = { user: '7\u001b[2J', slug: 'vip', audience: '', event: 'exit', at: '' } as const;
  const elements = [
    { deliveryId: 'f1c51a9fc5c236e2', message },
    { deliveryId: undefined, message: undefined },
  ];
  const text = (more: typeof elements) =>
    arrivalText({
      arrivedAtMs: Date.UTC(2026, 10, 25, 8, 30),
      deliveryId: '0123456789abcdef',
      inFlight: 2,
      message: undefined,
      elements: [...elements, ...more],
      number: 1,
      answered: undefined,
      endedAtMs: undefined,
    });
  expect(text([]).split('\n')).toEqual([
    '08:30:00.000  a batch of 2  (2 in flight)  0123456789ab',
    String.raw`              exit   7\u001b[2J  vip  f1c51a9fc5c2`,
    '              something that is not a trigger message',
  ]);
  const many = text(Array.from({ length: 500 }, () => elements).flat()).split('\n');
  expect([many.length, many.at(-1)]).toEqual([22, '              … and 982 more']);
});

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
    waiting: [],
    waitingCount: 0,
    dying: 0,
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

test('what was signalled twice is called a repeat the second time, however its time is spelled; without a time it never is', () => {
  const first: TraceEvent = { ...received, triggerAt: '2026-11-25T14:03:20.118Z' };
  const same: TraceEvent = { ...received, triggerAt: '2026-11-25T15:03:20.118000+01:00' };
  expect(last(first, { ...received, event: 'exit', triggerAt: '2026-11-25T14:03:20.118Z' })).not.toContain('repeat');
  expect(last(first, same)).toBe('14:03:21 enter vip received again: a repeat (at 2026-11-25T15:03:20.118000+01:00)');
  expect(last(first, { ...same, jobId: 'another' })).not.toContain('repeat');
  expect(last(received, received)).not.toContain('repeat');
});

test('what came late and was dropped is told with the newer change', () => {
  const late = { ...received, triggerAt: '2026-11-25T09:00:00Z', newerAt: '2026-11-25T10:00:00.000000000Z' };
  expect(last(late)).toContain(
    '14:03:21 enter vip received late (at 2026-11-25T09:00:00Z) and dropped: the job had accepted a newer change, of 2026-11-25T10:00:00.000000000Z',
  );
});

test('a story: when, what, what came of it, and where things stand now', () => {
  const story = told(
    { ...received, triggerAt: '2026-11-25T14:03:20.118Z' },
    attempted(),
    attempted({ outcome: 'delivered', attempt: 2 }),
    stands(),
  );
  expect(story).toEqual([
    'Job vip-to-crm',
    '  2026-11-25, UTC',
    '  14:03:21  enter vip received (at 2026-11-25T14:03:20.118Z)',
    '  14:03:21  enter vip, attempt 1: HTTP 503 in 84 ms "busy"',
    '  14:03:21  enter vip, attempt 2: delivered; webhook-id f1c51a9fc5c2…',
    '  Nothing waits.',
  ]);
});

test('no line is wider than 80 columns, however much an endpoint says', () => {
  const story = told(attempted({ answer: 'x'.repeat(200) }), attempted({ answer: 'long words '.repeat(20) }));
  expect(Math.max(...story.map((text) => text.length))).toBeLessThanOrEqual(80);
});

test('what endpoints and signals say is spelt out, and drives no terminal', () => {
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

describe('how it stands now', () => {
  test.each<[string, Partial<PersonStanding>, string]>([
    [
      'held',
      { chain: { place: 'held', failures: 1, profileTries: 0, nextAttemptAt: '2026-11-25T14:03:26.000000000Z' } },
      '1 trigger waits: enter vip. The next attempt is due at 14:03:26 (in 4 s), after 1 failed attempt.',
    ],
    ['sent', { chain: { place: 'running', failures: 0, profileTries: 0 } }, 'The first is being sent now.'],
    ['next', { chain: { place: 'ready', ahead: 0, failures: 0, profileTries: 0 } }, 'They are next.'],
    [
      'behind',
      { chain: { place: 'ready', ahead: 1200, failures: 0, profileTries: 0 } },
      '1,200 people are ahead of them.',
    ],
    ['paused', { state: 'paused', reason: 'Paused by an operator.' }, 'Paused by an operator.'],
    ['throttled', { throttledUntil: '2026-11-25T14:04:21.000000000Z' }, 'wait until 14:04:21 (in 59 s).'],
    [
      'quiet',
      { quietUntil: '2026-11-26T07:00:00.000000000Z', throttledUntil: '2026-11-25T14:04:21.000000000Z' },
      'These are quiet hours, until 2026-11-26 07:00:00 UTC (in 17 h).',
    ],
    [
      'over the quota',
      {
        quotaUntil: '2026-11-30T00:00:00.000000000Z',
        chain: { place: 'ready', ahead: 3, failures: 0, profileTries: 0 },
      },
      "The job's quota is used; first attempts are made again from 2026-11-30 00:00:00 UTC on (in 4 days).",
    ],
    [
      'limited by a rate, in a batch',
      {
        rateLimitedUntil: '2026-11-25T14:04:02.000000000Z',
        gatheringUntil: '2026-11-25T14:03:32.000000000Z',
        chain: { place: 'ready', ahead: 1, failures: 1, profileTries: 0 },
      },
      "1 person is ahead of them. The job's rate lets the next request go at 14:04:02 (in 40 s). Their batch goes when it is full, or at 14:03:32 (in 10 s).",
    ],
    [
      'before an end',
      {
        endsAt: '2026-11-30T01:00:00+01:00',
        chain: { place: 'ready', ahead: 0, failures: 0, profileTries: 0 },
      },
      'They are next. The job ends by itself at 2026-11-30 00:00:00 UTC (in 4 days), and keeps what it cannot send then.',
    ],
    [
      'a member, in a batch',
      { waiting: [], waitingCount: 0, inPages: true, gatheringUntil: '2026-11-25T14:03:32.000000000Z' },
      'what it sends waits for its turn. Their batch goes when it is full, or at 14:03:32 (in 10 s).',
    ],
    [
      'unhealthy',
      {
        endpoint: { state: 'unhealthy', nextProbeAt: '2026-11-25T14:03:32.000000000Z' },
        lastFailure: { at, code: 'ECONNREFUSED' },
      },
      'The endpoint is unhealthy (connection refused); only single probes are sent, the next one at 14:03:32 (in 10 s).',
    ],
    ['in a holder', { waiting: [{ event: 'exit', audience: 'vip', at, holder: '7' }] }, 'in holder 7, behind'],
    [
      'a member',
      { waiting: [], waitingCount: 0, inPages: true },
      'Found by a backfill; what it sends waits for its turn.',
    ],
    ['dying', { waiting: [], waitingCount: 0, dying: 1 }, '1 trigger is becoming a dead letter.'],
    ['dying, both', { waiting: [], waitingCount: 0, dying: 2 }, '2 triggers are becoming dead letters.'],
  ])('%s', (_, changed, says) => {
    expect(last(waits(changed))).toContain(says);
  });

  test('the last failure of the story is why it waits', () => {
    const chain = {
      place: 'held' as const,
      failures: 1,
      profileTries: 0,
      nextAttemptAt: '2026-11-25T14:03:26.000000000Z',
    };
    expect(last(attempted(), waits({ chain }))).toContain('since the last one failed: HTTP 503.');
  });

  test('next to a dead letter that waits for a decision, nothing else does', () => {
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
    expect(last(died, stands())).toBe('Nothing else waits.');
    expect(last({ ...died, state: 'discarded' }, stands())).toBe('Nothing waits.');
  });

  test('when nobody can say, that is said', () => {
    expect(last({ kind: 'stands', jobId: 'j', at, notice: 'No worker polls.' })).toBe(
      'What waits is not known. No worker polls.',
    );
  });
});

test('what a stop dropped is told with its time', () => {
  const teller = new TraceStory({ nowMs: 0 });
  const event: TraceEvent = {
    kind: 'discarded',
    jobId: 'j',
    runId: 'r',
    at: '2026-11-25T14:03:21Z',
    event: 'enter',
    audience: 'vip',
    triggerAt: '2026-11-25T08:30:00Z',
  };
  expect(teller.lines(event).slice(2).join('\n')).toBe(
    '  14:03:21  enter vip dropped: the job was stopped with --waiting discard (at\n            2026-11-25T08:30:00Z)',
  );
});

test('an attempt of the list: whose, what came of it, and its webhook-id', () => {
  expect(attemptLines(attempt)).toEqual([
    '  14:03:21  enter of 7076027172059065053, vip: HTTP 503 in 84 ms "busy";',
    '            webhook-id f1c51a9fc5c2…',
  ]);
});

test.each<[Partial<Attempt>, string]>([
  [{ verdict: 'throttled', status: 429, retryAfterMs: 30_000 }, 'asks the whole job to wait 30 s'],
  [{ verdict: 'endpoint-gone', status: 410 }, 'asks never to be called again'],
  [
    { verdict: 'unsendable', status: undefined as never, code: 'PAYLOAD_TOO_LARGE', durationMs: 0 },
    'too large to be sent;',
  ],
  [{ outcome: 'unknown' }, 'its slice was lost, so it may have been sent'],
])('what an attempt came to is in words: %j', (changed, says) => {
  expect(attemptLines({ ...attempt, answer: '', ...changed }, { columns: 300 }).join('')).toContain(says);
});
