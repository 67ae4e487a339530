import { expect, test } from '@jest/globals';
import { admitRedelivery } from '../../../src/domain/job/arriving.ts';
import { Breaker, UNPROVEN } from '../../../src/domain/job/throttles/breaker.ts';
import { deadLetterOf } from '../../../src/domain/job/dead-letter.ts';
import { forgetPerson, pauseJob, resumeJob, stopJob } from '../../../src/domain/job/operating.ts';
import { RETRY_DELAYS_MS } from '../../../src/domain/retry.ts';
import { statusRows } from '../../../src/words/status-rows.ts';
import { AJob } from './a-job.ts';

test("a refused trigger becomes a dead letter at once, and that person's next one is sent", () => {
  const job = new AJob(1).signals('1');
  job.signal('1', 'exit');
  job.send({ 0: { status: 400, answer: 'no such field' } }, [1]);
  expect(job.dispatchedMessages()).toEqual(['1 exit a']);
  expect(job.dead).toMatchObject([
    { user: '1', trigger: { event: 'enter' }, failure: { status: 400, answer: 'no such field' }, attempts: 1 },
  ]);
  expect(job.status).toMatchObject({ deadLetters: 1, waiting: 1 });
});

test('an answer that means "dead-letter" makes a dead letter at once, even if the endpoint has accepted nothing', () => {
  const job = new AJob(1);
  job.state.breaker = new Breaker(UNPROVEN);
  job.signal('1');
  job.send({ 0: { status: 400, as: 'given-up' } });
  job.dispatch();
  expect(job.dead).toMatchObject([{ user: '1', failure: { status: 400, as: 'given-up' }, attempts: 1 }]);
  expect(job.status).toMatchObject({ lastFailure: { as: 'given-up' } });
});

test('at an answer at which it is to pause, a job pauses with everything kept, and says why', () => {
  const job = new AJob(1).signals('1');
  job.send({ 0: { status: 423, as: 'pausing' } });
  expect(job.dispatch()).toEqual([]);
  expect(job.status).toMatchObject({ state: 'paused', waiting: 1 });
  expect(job.status.reason).toBe(
    'The endpoint answered HTTP 423, at which this job pauses ("answers"). Everything is kept. Resume it once that is put right.',
  );
  expect(job.alerts).toMatchObject([
    { text: 'The endpoint answered HTTP 423. The job is paused, and everything is kept.' },
  ]);
  job.nextRun();
  expect(job.status.reason).toContain('HTTP 423');
  stopJob(job.state, 'keep');
  resumeJob(job.state);
  expect(job.state.pause).toBeUndefined();
});

test('an answer that means "retry" delays its trigger: no dead letter, and no advice to check the set-up', () => {
  const job = new AJob(1);
  job.state.breaker = new Breaker(UNPROVEN);
  job.signal('1');
  job.send({ 0: { status: 404, as: 'transient' } });
  expect(job.dispatch()).toEqual([]);
  expect(job.dead).toEqual([]);
  expect(job.status).toMatchObject({ delayed: 1, endpoint: { state: 'new' } });
  expect(job.status.endpoint).not.toHaveProperty('advice');
});

test.each(['pausing', 'misconfigured', 'delivered', 'nonsense', 7])(
  'a report with the outcome %s for an answer is read as far as possible',
  (as) => {
    const job = new AJob(1).signals('1');
    job.send({ 0: { status: 422, as: as as never } });
    expect(job.status.state).toBe(as === 'pausing' ? 'paused' : 'running');
    job.dispatch();
    expect(job.dead).toHaveLength(as === 'pausing' ? 0 : 1);
  },
);

test('a dead letter shows its profile in readable form, and is redelivered with the same profile', () => {
  const job = new AJob(1);
  const profile = { loyalty: 9007199254740993n };
  job.signal('1', 'enter', { profile });
  job.send({ 0: { status: 422 } });
  job.step();
  const [dead] = job.dead;
  if (dead === undefined) throw new Error('Nothing died.');
  const letter = deadLetterOf(job.state.job, dead, 'export-job-a', job.now);
  expect(letter.profile).toEqual(profile);
  job.redeliver({ ...DEAD, profile: letter.profile });
  expect(job.dispatch()).toMatchObject([{ triggers: [{ user: '1', profile: '{"loyalty":9007199254740993}' }] }]);
});

test('until a dead letter is kept, its trigger counts as waiting and is carried', () => {
  const job = new AJob(1).signals('1');
  job.send({ 0: { status: 422 } });
  const step = job.rawStep();
  expect(step).toMatchObject({ kind: 'keep-dead-letters' });
  expect(job.status).toMatchObject({ deadLetters: 0, waiting: 1 });
  expect(job.rawStep().kind).toBe('wait');
});

test('at the end of its schedule a trigger becomes a dead letter', () => {
  const job = new AJob(2).signals('1');
  for (let failures = 0; failures <= RETRY_DELAYS_MS.length; failures++) {
    expect(job.dead).toEqual([]);
    job.dispatchEach(['fine']);
    while (job.running.length > 0) job.end(job.running[0]?.triggers[0]?.user === '1' ? { 0: { status: 500 } } : {});
    job.now += 13 * 60 * 60 * 1000;
  }
  job.dispatch();
  expect(job.dead).toMatchObject([{ user: '1', failure: { status: 500 }, attempts: RETRY_DELAYS_MS.length + 1 }]);
  expect(job.status.waiting).toBe(0);
});

test('a job that says how long it tries gives up then, and an edit counts from the next failure on', () => {
  const job = new AJob(2);
  const attempt = () => {
    job.dispatchEach(['fine']);
    while (job.running.length > 0) job.end(job.running[0]?.triggers[0]?.user === '1' ? { 0: { status: 500 } } : {});
  };
  job.edit({ retryFor: '1m' });
  expect(statusRows(job.status, { time: (at) => at })).toContainEqual({
    name: 'Retries',
    value: 'for 1m: again after 5 s, 30 s, 25 s',
  });
  job.signal('1');
  attempt();
  expect(job.waitsMs).toBeLessThanOrEqual(6000);
  for (let failures = 1; failures <= 3; failures++) {
    expect(job.dead).toEqual([]);
    job.now += 36_000;
    attempt();
  }
  job.dispatch();
  expect(job.dead).toMatchObject([{ user: '1', failure: { status: 500 }, attempts: 4 }]);
  job.edit({ retryFor: null });
  job.signal('1', 'exit');
  for (let failures = 0; failures < 4; failures++) {
    attempt();
    job.now += 3_600_000;
  }
  job.edit({ retryFor: '7d' });
  attempt();
  job.edit({ retryFor: '1m' });
  job.now += 3_600_000;
  expect(job.dead).toHaveLength(1);
  attempt();
  job.dispatch();
  expect(job.dead).toMatchObject([{}, { user: '1', attempts: 6 }]);
});

/** A job whose endpoint has accepted somebody, and then refuses so many, one after the other, as fast as the job tries them. */
function refusing(people: number): AJob {
  const job = new AJob(10).signals('accepted');
  job.send();
  for (let i = 0; i < people; i++) {
    job.signal(`person ${i}`);
    const { isOpen, barredUntil } = job.state.breaker;
    if (!isOpen) job.now = Math.max(job.now, barredUntil);
    job.dispatch();
    if (job.running.length > 0) job.end({ 0: { status: 422 } });
  }
  return job;
}

test('people refused by an endpoint that accepts others become dead letters at once, and the next ones are sent', () => {
  const job = refusing(59);
  job.signal('next');
  expect(job.dispatchedUsers()).toEqual([['next']]);
  expect(job.dead).toHaveLength(59);
  expect(job.status).not.toHaveProperty('endpoint');
});

test('an endpoint that refuses everybody gets single probes and makes no more dead letters; status and alert give advice', () => {
  const job = refusing(130);
  job.dispatch();
  expect(job.dead).toHaveLength(119);
  expect(job.status.waiting).toBe(11);
  const said =
    'All of the last 120 people were refused (HTTP 422); it last accepted somebody at 2026-01-01T00:00:00Z. Check the webhook URL, the authorization and the templates; every trigger is kept. If they are right, edit the job\'s "answers": 422=dead-letter makes dead letters of such triggers.';
  expect(job.alerts.at(-1)?.text).toBe(said);
  // A job at rest does not age: what it says holds whenever it is read.
  job.now += 3_600_000;
  expect(job.status.endpoint).toMatchObject({
    state: 'unhealthy',
    refusedInRow: 120,
    acceptedAt: '2026-01-01T00:00:00.000000000Z',
    advice: said,
  });
  job.edit({ answers: { 422: 'dead-letter' } });
  expect(job.dispatch().length).toBeGreaterThan(1);
});

test.each(['nobody', 'somebody'])(
  'after a 401 of an endpoint that has accepted %s, status and alert first name the authorization whose secret to check',
  (accepted) => {
    const job = new AJob(3);
    job.edit({ authorization: 'crm' });
    job.state.breaker = new Breaker();
    if (accepted === 'somebody') job.dispatchEach(['0']);
    job.endAll();
    job.dispatchEach(['1', '2', '3']);
    job.failAll({ status: 401 });
    job.dispatch();
    for (const said of [job.status.endpoint?.advice, job.alerts.at(-1)?.text]) {
      expect(said).toContain('First check the authorization: the secret of "crm".');
      // Its people would be given up for a secret that has expired.
      expect(said).not.toContain('401=dead-letter');
    }
  },
);

test.each(['PAYLOAD_TOO_LARGE', 'PAYLOAD_IMPOSSIBLE'])(
  '[S20] a message that can never be sent (%s) is a dead letter at once, and proves nothing about the endpoint',
  (code) => {
    const job = new AJob(5);
    job.state.breaker = new Breaker(UNPROVEN);
    for (let i = 0; i < 20; i++) job.signal(`person ${i}`);
    for (let i = 0; i < 20; i++) {
      job.send({ 0: { code } });
    }
    job.dispatch();
    expect(job.dead.map(({ failure, attempts }) => [failure?.code, attempts])).toEqual(
      Array.from({ length: 20 }, () => [code, 0]),
    );
    expect(job.status.endpoint).toBeUndefined();
    expect([job.state.breaker.isUnproven, job.state.counters.retried]).toEqual([true, 0]);
  },
);

test('a dead letter that comes back goes last, with its time, and its next death is another one', () => {
  const job = new AJob(1);
  job.signal('1', 'enter', { at: '2026-01-01T00:00:00.5Z' });
  job.send({ 0: { status: 422 } });
  job.dispatch();
  job.signal('1', 'exit');
  const first = job.dead[0];
  if (first === undefined) throw new Error('Nobody died.');
  const letter = deadLetterOf(job.state.job, first, 'export-job-1', job.now);
  const trigger = { ...first.trigger, redelivery: 1 };
  job.redeliver(trigger);
  expect(job.dispatchedMessages()).toEqual(['1 exit a', '1 enter a']);
  job.end({ 1: { status: 422 } });
  job.dispatch();
  const second = job.dead[1];
  if (second === undefined) throw new Error('It did not die again.');
  const again = deadLetterOf(job.state.job, second, 'export-job-1', job.now);
  expect(again).toEqual({ ...letter, redeliveries: 1, failure: again.failure });
});

test('a slice says which of its triggers came back, and how often', () => {
  const job = new AJob(1);
  job.redeliver({ ...DEAD, redelivery: 3 });
  job.signal('2', 'enter');
  const triggers = [...job.dispatch(), ...endedAndDispatched(job)].flatMap((slice) => slice.triggers);
  expect(triggers.map(({ user, redelivery }) => [user, redelivery])).toEqual([
    ['2', undefined],
    ['1', 3],
  ]);
});

function endedAndDispatched(job: AJob) {
  job.end();
  return job.dispatch();
}

const DEAD = { audience: 'a'.repeat(32), event: 'enter', at: '2026-01-01T00:00:00Z', redelivery: 1 };

test.each([
  ['another job', { subscriptionId: '6'.repeat(32), user: '1', trigger: DEAD }],
  ['nothing', undefined],
  ['a text', 'redeliver'],
])('a redelivery of %s is refused', (_, raw) => {
  const job = new AJob(1);
  expect(admitRedelivery(job.state, raw, job.now)).toMatch(/dead letter/);
  expect(job.status).toMatchObject({ waiting: 0, rejected: 1 });
});

test.each([
  [{ audience: undefined }],
  [{ audience: 5 }],
  [{ event: 'left' }],
  [{ at: undefined }],
  [{ at: 5 }],
  [{ at: 'yesterday' }],
  [{ redelivery: undefined }],
  [{ redelivery: '1' }],
  [{ profile: 'x' }],
  [{ profile: { text: 'x'.repeat(70_000) } }],
])('a redelivery of a trigger with %j is refused, and breaks nothing', (more) => {
  const job = new AJob(1);
  expect(job.redeliver({ ...DEAD, ...more })).toMatch(/does not hold a dead letter: /);
  expect(job.status).toMatchObject({ waiting: 0, rejected: 1 });
});

test('when thousands of people fail next to others that do not, those that failed for long make room', () => {
  const job = new AJob(1);
  for (let i = 0; i < 6000; i++) {
    job.state.chains.addLive(`failing ${i}`, { audience: 'a'.repeat(32), event: 'enter', at: '2026-01-01T00:00:00Z' });
    const chain = job.state.chains.get(`failing ${i}`);
    if (chain === undefined) throw new Error('Nobody waits.');
    job.state.chains.startRunning(chain, 1);
    chain.failures = 3 + (i % 6);
    job.state.chains.delay(chain, job.now + 10 * 60 * 60 * 1000);
  }
  expect(job.state.chains.delayedBytes).toBeGreaterThan((job.state.budgets.chainBytes * 3) / 4);
  job.step();
  expect(job.dead).toEqual([]);
  job.state.lastDeliveredAt = job.now;
  pauseJob(job.state);
  job.step();
  expect(job.dead).toEqual([]);
  resumeJob(job.state);
  job.dispatch();
  expect(job.dead.length).toBeGreaterThan(500);
  expect(Math.min(...job.dead.map(({ attempts }) => attempts))).toBeGreaterThanOrEqual(5);
  expect(job.state.chains.delayedBytes).toBeLessThanOrEqual(job.state.budgets.chainBytes / 2);
});

/** The oldest slice ends at an endpoint that fails people called "failing". Like a worker, it stops after three in a row. Returns how many it took. */
function endWithFailing(job: AJob): number {
  const failed: Record<number, { status: number }> = {};
  const unsent: number[] = [];
  let inRow = 0;
  for (const [index, { user }] of (job.running[0]?.triggers ?? []).entries()) {
    if (inRow === 3) unsent.push(index);
    else if (user.startsWith('failing')) failed[index] = { status: 500 };
    inRow = inRow === 3 || user.startsWith('failing') ? Math.min(3, inRow + 1) : 0;
  }
  const taken = (job.running[0]?.triggers.length ?? 0) - Object.keys(failed).length - unsent.length;
  job.end(failed, unsent);
  return taken;
}

test('more people who fail for good than a job can keep waiting do not hold up the others', () => {
  const job = new AJob(5);
  for (let i = 0; i < 7500; i++) {
    job.signal(`failing ${i}`);
    for (const who of ['a', 'b', 'c']) job.signal(`fine ${i} ${who}`);
  }
  const end = job.now + 6 * 60 * 60 * 1000;
  let told = 0;
  while (told < 22_500 && job.now < end) {
    job.dispatch();
    job.now += job.running.length > 0 ? 1000 : (job.waitsMs ?? 0);
    while (job.running.length > 0) told += endWithFailing(job);
  }
  expect(told).toBe(22_500);
  // No more of those who fail are given up than was needed for it.
  expect(job.dead.length).toBeGreaterThan(0);
  expect(job.dead.length).toBeLessThan(1500);
  expect(job.status.waiting + job.dead.length).toBe(7500);
});

test('a trigger that a template skips leaves without a request, and its person goes on', () => {
  const job = new AJob(1).signals('1');
  job.signal('1', 'exit');
  job.send({ 0: { code: 'SKIPPED', answer: 'no mail' } }, [1]);
  expect(job.status).toMatchObject({ filtered: 1, delivered: 0, waiting: 1, deadLetters: 0, retried: 0 });
  expect(job.status).not.toHaveProperty('lastFailure');
  expect(job.dispatchedMessages()).toEqual(['1 exit a']);
  job.end();
  expect(job.status).toMatchObject({ filtered: 1, delivered: 1, waiting: 0 });
  expect(job.dead).toEqual([]);
});

test('a status says nothing of what was filtered before anything is', () => {
  expect(new AJob(1).status).not.toHaveProperty('filtered');
});

test('a template that fails at an endpoint that has accepted others costs a dead letter, and counts no request', () => {
  const job = new AJob(2).signals('1', '2');
  job.send({ 1: { code: 'TEMPLATE_FAILED', answer: 'body: Line 1' } });
  job.dispatch();
  expect(job.dead).toMatchObject([{ user: '2', failure: { code: 'TEMPLATE_FAILED', answer: 'body: Line 1' } }]);
  expect(job.status).toMatchObject({ delivered: 1, retried: 0, lastFailure: { code: 'TEMPLATE_FAILED' } });
});

test('a template that fails for many people holds up nobody else at an endpoint that has accepted others', () => {
  const job = new AJob(20).signals('first');
  job.send();
  for (let i = 0; i < 15; i++) job.signal(`p${i}`);
  job.send(Object.fromEntries(Array.from({ length: 15 }, (_, i) => [i, { code: 'TEMPLATE_FAILED' }])));
  job.dispatchEach(['healthy']);
  expect(job.status).not.toHaveProperty('endpoint');
  expect(job.running.flatMap(({ triggers }) => triggers.map(({ user }) => user))).toEqual(['healthy']);
  job.end();
  job.dispatch();
  expect(job.dead).toHaveLength(15);
});

test('a template that fails at a new endpoint is tried again, with advice about the template', () => {
  const job = new AJob(2);
  job.state.breaker = new Breaker(UNPROVEN);
  job.signal('1');
  job.send({ 0: { code: 'TEMPLATE_FAILED', answer: 'body: Line 1' } });
  expect(job.dead).toEqual([]);
  expect(job.status).toMatchObject({
    waiting: 1,
    endpoint: { state: 'new', advice: expect.stringMatching(/template.*body: Line 1.*skip/) },
  });
});

test("a slice says how often a person's oldest trigger failed, for templates and the delivery log", () => {
  const job = new AJob(1).signals('1');
  job.signal('1', 'exit');
  job.send({ 0: { status: 503 } }, [1]);
  job.now += 60_000;
  expect(job.dispatch()[0]?.triggers[0]).toMatchObject({ failures: 1 });
  job.end({ 0: { status: 200 } });
  const [slice] = job.dispatch();
  for (const trigger of slice?.triggers ?? []) expect(trigger).not.toHaveProperty('failures');
});

test('the wait that an endpoint asked for wakes the job at its end, though nothing waits any more', () => {
  const job = new AJob().signals('1');
  job.send({ 0: { status: 429, retryAfterMs: 60_000 } });
  forgetPerson(job.state, '1');
  expect(job.step()).toEqual({ kind: 'wait', until: job.now + 60_000 });
});
