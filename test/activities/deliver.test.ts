import { expect, test } from '@jest/globals';
import type { JsonObject } from '../../src/contract/trigger.ts';
import { parseJson } from '../../src/domain/json.ts';
import { SourceError } from '../../src/activities/audience-source.ts';
import { answerWhen } from '../support/patience.ts';
import { bare, people, SliceLab, tracingWith, trigger, WORKER } from './a-slice.ts';

test('a slice in which all goes well gives an empty report', async () => {
  const lab = await SliceLab.open();
  const report = await lab.deliver(people(20));
  expect(report).toEqual({ failed: [], unsent: [], sendingMs: expect.any(Number) });
  expect(lab.receiver.ledger.summary()).toMatchObject({ delivered: 20, duplicates: 0, unreadable: 0 });
});

test.each([1, 3, 8])('[S28] never more than %i requests are in flight, and all of them are used', async (permits) => {
  const lab: SliceLab = await SliceLab.open({ answer: () => lab.answerOnceInFlight(permits) });
  await lab.deliver(people(30), { permits });
  expect(lab.receiver.ledger.mostInFlight).toBe(permits);
});

test("a person's triggers go one after another, in their order, however many permits there are", async () => {
  const lab: SliceLab = await SliceLab.open({ answer: () => lab.answerOnceInFlight(2) });
  const triggers = ['1', '1', '1', '2', '2', '2'].map((user) => trigger(user));
  await lab.deliver(triggers, { permits: 6 });
  expect(lab.receiver.ledger.summary()).toMatchObject({ delivered: 6, outOfOrder: 0, overlaps: 0, mostInFlight: 2 });
});

test('after a failure the later triggers of that person stay unsent, and others go on', async () => {
  const lab = await SliceLab.open({
    answer: ({ message }) =>
      message?.user === '1' && message.event === 'exit' ? { status: 500, body: 'no' } : undefined,
  });
  const report = await lab.deliver([
    trigger('1'),
    trigger('1', { event: 'exit' }),
    trigger('1'),
    trigger('1'),
    trigger('2'),
  ]);
  expect(report).toMatchObject({ failed: [{ index: 1, status: 500, answer: 'no' }], unsent: [2, 3], worker: WORKER });
  expect(lab.receiver.ledger.delivered).toBe(2);
});

test('the activity ends with a report, whatever endpoints do', async () => {
  const lab = await SliceLab.open({
    answer: ({ message }) =>
      message?.user === 'reset'
        ? 'reset'
        : message?.user === 'hang'
          ? 'hang'
          : { status: 429, headers: { 'retry-after': '3' } },
    requestTimeoutMs: 200,
  });
  const report = await lab.deliver([trigger('reset'), trigger('hang'), trigger('slow down')], { permits: 1 });
  expect(report.failed).toMatchObject([
    { index: 0, code: expect.stringMatching(/ECONNRESET|UND_ERR_SOCKET/) },
    { index: 1, code: 'REQUEST_TIMEOUT' },
    { index: 2, status: 429, retryAfterMs: 3000 },
  ]);
});

const ANSWERS = { '404': 'delivered', '400': 'retry', '409': 'dead-letter', '423': 'pause', '202': 'retry' } as const;

test('the worker applies the "answers" of a job, and reports the outcomes that they change', async () => {
  const lab = await SliceLab.open({ answer: ({ message }) => ({ status: Number(message?.user) }) });
  const triggers = ['404', '400', '409', '422', '202', '200'].map((user) => trigger(user));
  const report = await lab.deliver(triggers, { permits: 1, settings: { answers: ANSWERS } });
  expect(report.unsent).toEqual([]);
  expect(report.failed.map(({ index, status, as }) => [index, status, as])).toEqual([
    [1, 400, 'transient'],
    [2, 409, 'given-up'],
    [3, 422, undefined],
    [4, 202, undefined], // It means the same where no table says so: only a job that does has it reported.
  ]);
});

test('"answers" for one event override those of the job, for that event alone', async () => {
  const lab = await SliceLab.open({ answer: ({ message }) => ({ status: Number(message?.user) }) });
  const triggers = ['404', '409', '423'].flatMap((user) => [trigger(user), trigger(`${user}.0`, { event: 'exit' })]);
  const settings = {
    answers: { '404': 'retry' },
    eventAnswers: { exit: { '404': 'delivered', '4xx': 'retry' } },
  } as const;
  const report = await lab.deliver(triggers, { permits: 1, settings });
  expect(report.failed.map(({ index, status, as }) => [index, status, as])).toEqual([
    [0, 404, 'transient'],
    [2, 409, undefined],
    [3, 409, 'transient'],
    [4, 423, undefined],
    [5, 423, 'transient'],
  ]);
});

test('at an answer at which the job is to pause, the slice ends', async () => {
  const lab = await SliceLab.open({ answer: () => ({ status: 423 }) });
  const report = await lab.deliver([trigger('1'), trigger('2')], { permits: 1, settings: { answers: ANSWERS } });
  expect(report).toMatchObject({ failed: [{ index: 0, status: 423, as: 'pausing' }], unsent: [1] });
});

test('when its budget is over it starts nothing more, and returns the rest unsent', async () => {
  const lab = await SliceLab.open({ delayMs: 40 });
  const triggers = [...people(50), trigger('last'), trigger('last')];
  const report = await lab.deliver(triggers, { permits: 1, budgetMs: 100 });
  expect(lab.receiver.ledger.requests).toBeGreaterThan(0);
  expect(lab.receiver.ledger.requests).toBeLessThan(6);
  expect(report.failed).toEqual([]);
  expect(report.unsent).toHaveLength(triggers.length - lab.receiver.ledger.delivered);
});

test('idle permits go back when the budget is over and requests are still open', async () => {
  const lab = await SliceLab.open({ delayMs: 600 });
  const slow = lab.deliver([trigger('1'), trigger('2')], { permits: 4, budgetMs: 50 });
  await slow;
  expect(lab.returned).toEqual([{ workflowId: 'test', sliceId: 7, left: 2 }]);
});

test('permits that are all at work stay', async () => {
  const lab = await SliceLab.open({ delayMs: 500 });
  await lab.deliver([trigger('1'), trigger('2')], { permits: 2, budgetMs: 50 });
  expect(lab.returned).toEqual([]);
});

test('a slice reports settled triggers once a second', async () => {
  const lab = await SliceLab.open({
    answer: ({ message }) =>
      message?.user === '2' ? { status: 500 } : message?.user === '4' ? { status: 200, delayMs: 1300 } : undefined,
  });
  await lab.deliver(['1', '2', '3', '4'].map((user) => trigger(user)));
  expect(lab.heartbeats).toEqual([
    {
      delivered: [
        [0, 0],
        [2, 2],
      ],
      failed: [expect.objectContaining({ index: 1, status: 500 })],
    },
  ]);
});

test('a slice sends heartbeats while nothing settles, but seldom: many slices may hang', async () => {
  const lab = await SliceLab.open({ delayMs: 3500 });
  await lab.deliver([trigger('1')]);
  expect(lab.heartbeats).toEqual([{ delivered: [], failed: [] }]);
});

test.each([500, 404])('three different people in a row who get %i end the slice', async (status) => {
  const lab = await SliceLab.open({ answer: () => ({ status }) });
  const report = await lab.deliver(people(20), { permits: 1 });
  expect(report.failed.map(({ index }) => index)).toEqual([0, 1, 2]);
  expect(report.unsent).toHaveLength(17);
});

test('a success in between keeps it going', async () => {
  const lab = await SliceLab.open({
    answer: ({ message }) => (Number(message?.user.slice(-1)) % 3 === 0 ? undefined : { status: 500 }),
  });
  const report = await lab.deliver(people(9), { permits: 1 });
  expect(report).toMatchObject({ unsent: [] });
  expect(report.failed).toHaveLength(6);
});

test('ten different people in a row whose payload is refused end the slice', async () => {
  const lab = await SliceLab.open({ answer: () => ({ status: 400 }) });
  const report = await lab.deliver(people(30), { permits: 1 });
  expect([report.failed.length, report.unsent.length]).toEqual([10, 20]);
});

test('refused payloads with a success between do not end the slice', async () => {
  const lab = await SliceLab.open({
    answer: ({ number }) => (number % 10 === 0 ? undefined : { status: 400 }),
  });
  const report = await lab.deliver(people(29), { permits: 1 });
  expect(report.failed).toHaveLength(27);
  expect(report.unsent).toEqual([]);
});

test('a slice that is cancelled with open requests says at once that it starts nothing more', async () => {
  const lab = await SliceLab.open({
    delayMs: 1_000,
    onArrival: ({ number }) => {
      if (number === 2) lab.cancel();
    },
  });
  const report = lab.deliver(people(9), { permits: 2 });
  await answerWhen(
    async () => await Promise.resolve(lab.returned),
    (returned) => returned.length > 0,
  );
  expect(lab.returned).toMatchObject([{ sliceId: 7, left: 2 }]);
  expect(lab.receiver.inFlight).toBe(2);
  expect((await report).unsent).toHaveLength(7);
});

test.each([429, 410])('one answer of %i ends the slice', async (status) => {
  const lab = await SliceLab.open({ answer: () => ({ status }) });
  const report = await lab.deliver(people(9), { permits: 1 });
  expect([report.failed.length, report.unsent.length]).toEqual([1, 8]);
});

test('profiles that are missing are looked up once for the whole slice', async () => {
  const lab = await SliceLab.open({ keepBodies: true });
  lab.source.setProfile('1', { email: 'one' });
  lab.source.setProfile('2', { email: 'two' });
  await lab.deliver([bare('1'), bare('1'), bare('2'), trigger('3', { profile: '{"email":"own"}' })], { permits: 1 });
  expect(lab.source.calls.profiles).toBe(1);
  const emails = lab.receiver.ledger.entries.map(({ body = '' }) => /"email":"(\w+)"/.exec(body)?.[1]);
  expect(emails).toEqual(['one', 'one', 'two', 'own']);
});

test('a source that fails holds up only those who need it', async () => {
  const lab = await SliceLab.open();
  lab.source.failure = new Error('down');
  const report = await lab.deliver([bare('1'), bare('1'), trigger('2'), bare('3', { profileOptional: true })]);
  expect(report).toMatchObject({
    failed: [
      { index: 0, code: 'SOURCE_UNAVAILABLE' },
      { index: 3, code: 'SOURCE_UNAVAILABLE' },
    ],
    unsent: [1],
  });
  expect(lab.arrived).toEqual(['2']);
});

test('the reason of a SourceError is reported; the message of any other error is not', async () => {
  const lab = await SliceLab.open();
  lab.source.failure = new SourceError('profiles.ndjson, line 3, is no JSON.');
  expect((await lab.deliver([bare('1')])).failed).toMatchObject([{ answer: 'profiles.ndjson, line 3, is no JSON.' }]);
  lab.source.failure = new Error('a secret');
  expect(JSON.stringify(await lab.deliver([bare('1')]))).not.toContain('secret');
});

test('a job that sends memberships asks once for everybody in a slice, and sends none that are unknown', async () => {
  const lab = await SliceLab.open({ keepBodies: true });
  lab.source.memberships = async (users) => {
    lab.source.calls.memberships++;
    return new Map(users.filter((user) => user !== '2').map((user) => [user, ['news', `of-${user}`]]));
  };
  const sent = { settings: { memberships: true } } as const;
  await lab.deliver([trigger('1'), trigger('2'), trigger('1', { event: 'exit' })], sent);
  const lists = lab.receiver.ledger.entries.map(({ body }) => /"segments_all":(\[.*?\])/.exec(body ?? '')?.[1]);
  expect(lists.filter((list) => list === '["news","of-1"]')).toHaveLength(2);
  expect(lists).toContain('[]');
  expect(lab.source.calls).toMatchObject({ memberships: 1, profiles: 0 });
  await lab.deliver([trigger('3')]);
  expect(lab.receiver.ledger.entries.at(-1)?.body).not.toContain('segments_all');
});

test.each([
  ['fails', async () => await Promise.reject(new SourceError('down')), /down/],
  ['cannot say', undefined, /does not say which audiences somebody is in/],
])('when a source %s which audiences people are in, nothing goes out without', async (_, memberships, why) => {
  const lab = await SliceLab.open();
  lab.source.memberships = memberships;
  const report = await lab.deliver([trigger('1'), bare('2')], { settings: { memberships: true } });
  expect(report.failed).toMatchObject([
    { index: 0, code: 'SOURCE_UNAVAILABLE', answer: expect.stringMatching(why) },
    { index: 1, code: 'SOURCE_UNAVAILABLE' },
  ]);
  expect(lab.arrived).toEqual([]);
});

test('a source that hangs counts as one that fails, after some seconds', async () => {
  const lab = await SliceLab.open();
  lab.source.delayMs = 4200;
  const report = await lab.deliver([bare('1'), trigger('2')]);
  expect(report.failed).toMatchObject([{ index: 0, code: 'SOURCE_UNAVAILABLE' }]);
  expect(lab.arrived).toEqual(['2']);
});

test('a person whom the source does not know is reported, or sent with segment_events alone if that is allowed', async () => {
  const lab = await SliceLab.open({ keepBodies: true });
  const report = await lab.deliver([bare('1'), bare('2', { profileOptional: true })]);
  expect(report.failed).toMatchObject([{ index: 0, code: 'PROFILE_MISSING' }]);
  const [arrival] = lab.receiver.ledger.entries;
  const body = JSON.parse(arrival?.body ?? '') as { data: object };
  expect(Object.keys(body.data)).toEqual(['segment_events']);
});

test.each([
  ['missing', 'AUTHORIZATION_UNKNOWN'],
  ['elsewhere', 'AUTHORIZATION_ELSEWHERE'],
])('[S21] with an authorization that is %s nothing is sent and nothing is asked', async (authorization, code) => {
  const lab = await SliceLab.open();
  const report = await lab.deliver([bare('1'), bare('1'), bare('2')], { settings: { authorization } });
  expect(report.failed.map((failed) => failed.code)).toEqual([code, code, code]);
  expect([lab.receiver.ledger.requests, lab.source.calls.profiles]).toEqual([0, 0]);
});

test('an audience that the slice does not list gets no request', async () => {
  const lab = await SliceLab.open();
  const report = await lab.deliver([trigger('1', { audience: 'f'.repeat(32) }), trigger('2')]);
  expect(report.failed).toMatchObject([{ index: 0, code: 'PAYLOAD_IMPOSSIBLE' }]);
  expect(lab.arrived).toEqual(['2']);
});

test('a failure while signing is a worker fault with its place in the code, not an impossible message', async () => {
  const lab = await SliceLab.open();
  const signingKeys = [
    () => {
      throw new RangeError('of a secret');
    },
  ];
  const found = await lab.authorizations.lookUp(null, new URL(lab.receiver.url));
  if (!found.ok) throw new Error('Nothing may be sent.');
  const authorization = { ...found.authorization, signingKeys };
  lab.authorizations.lookUp = () => Promise.resolve({ ok: true, authorization });
  const report = await lab.deliver([trigger('1'), trigger('2')]);
  expect(report.failed).toMatchObject([
    { index: 0, code: 'REQUEST_NOT_MADE', answer: expect.stringMatching(/^RangeError at deliver\.test\.ts:\d+$/) },
    { index: 1, code: 'REQUEST_NOT_MADE' },
  ]);
  expect(JSON.stringify(report)).not.toContain('of a secret');
  expect(lab.receiver.ledger.requests).toBe(0);
});

test('a profile that cannot be written as JSON is an impossible message', async () => {
  const lab = await SliceLab.open();
  const profile: Record<string, unknown> = {};
  profile['self'] = profile;
  lab.source.setProfile('1', profile as JsonObject);
  const report = await lab.deliver([bare('1'), trigger('2')]);
  expect(report.failed).toMatchObject([{ index: 0, code: 'PAYLOAD_IMPOSSIBLE' }]);
  expect(lab.arrived).toEqual(['2']);
});

test('[S20] a message above 2 MiB is not sent, and reported as too large; a slightly smaller one is sent', async () => {
  const lab = await SliceLab.open();
  const profiles = ['ü'.repeat(1024 * 1024), 'x'.repeat(2 * 1024 * 1024 - 4096), 'x'.repeat(2 * 1024 * 1024)];
  for (const [index, note] of profiles.entries()) lab.source.setProfile(String(index), { note });
  const report = await lab.deliver(['0', '1', '2'].map((user) => bare(user)));
  expect(report.failed).toMatchObject([
    { index: 0, code: 'PAYLOAD_TOO_LARGE' },
    { index: 2, code: 'PAYLOAD_TOO_LARGE' },
  ]);
  expect(lab.arrived).toEqual(['1']);
});

test('[S20] the others of a slice are sent, however many of its messages are too large', async () => {
  const lab = await SliceLab.open();
  const users = Array.from({ length: 12 }, (_, index) => String(index));
  for (const user of users) lab.source.setProfile(user, { note: user === '11' ? '' : 'x'.repeat(2 * 1024 * 1024) });
  await lab.deliver(
    users.map((user) => bare(user)),
    { permits: 1 },
  );
  expect(lab.arrived).toEqual(['11']);
});

test('integers above 2^53 keep their digits from the source to the body', async () => {
  const lab = await SliceLab.open({ keepBodies: true });
  lab.source.setProfile('1', parseJson('{"loyalty":18446744073709551615}') as JsonObject);
  await lab.deliver([bare('1'), trigger('2', { profile: '{"loyalty":9007199254740993}' })], { permits: 1 });
  const bodies = lab.receiver.ledger.entries.map(({ body }) => body);
  expect(bodies[0]).toContain('"loyalty":18446744073709551615');
  expect(bodies[1]).toContain('"loyalty":9007199254740993');
});

test('a worker that has just stood still sends nothing and asks nothing, and gives everything back', async () => {
  const lab = await SliceLab.open();
  lab.hasStalled = true;
  const report = await lab.deliver(people(3));
  expect(report).toEqual({ failed: [], unsent: [0, 1, 2], sendingMs: 0 });
  expect([lab.receiver.ledger.requests, lab.source.calls.profiles, lab.heartbeats]).toEqual([0, 0, []]);
});

test("a slice whose time is over, by its worker's clock, sends nothing, asks nothing and gives everything back", async () => {
  const lab = await SliceLab.open();
  const report = await lab.deliver([trigger('1')], { notAfterMs: Date.now() });
  expect(report).toEqual({ failed: [], unsent: [0], sendingMs: 0 });
  expect([lab.receiver.ledger.requests, lab.source.calls.profiles]).toEqual([0, 0]);
});

test('a slice whose time is over starts no further request, however much of its budget is left', async () => {
  const lab = await SliceLab.open({ delayMs: 150 });
  const notAfterMs = Date.now() + 1000;
  const begunAtMs: number[] = [];
  lab.tracing = tracingWith({ requestBegins: () => void begunAtMs.push(Date.now()) });
  const report = await lab.deliver(people(20), { permits: 1, budgetMs: 10_000, notAfterMs });
  expect(begunAtMs.length).toBeGreaterThan(0);
  expect(Math.max(...begunAtMs)).toBeLessThanOrEqual(notAfterMs);
  expect(report.unsent).toHaveLength(20 - begunAtMs.length);
});

test('no request lasts longer than the job reckons with, whatever the worker allows', async () => {
  const lab = await SliceLab.open({ answer: () => 'hang', requestTimeoutMs: 20_000 });
  const report = await lab.deliver([trigger('1')], { settings: { requestTimeoutMs: 200 } });
  expect(report.failed).toMatchObject([{ index: 0, code: 'REQUEST_TIMEOUT' }]);
  expect(report.failed[0]?.durationMs).toBeLessThan(15_000);
});
