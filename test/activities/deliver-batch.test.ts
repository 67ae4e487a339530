import { expect, test } from '@jest/globals';
import type { SliceTrigger } from '../../src/contract/slice.ts';
import { deliveryId } from '../../src/domain/delivery-id.ts';
import { batchId } from '../../src/webhook/request-maker.ts';
import { readExposition, sumOf } from '../support/exposition.ts';
import { bare, people, SliceLab, trigger } from './a-slice.ts';

const batchesOf = (size: number, settings: object = {}) => ({ settings: { batch: { size }, ...settings } });

/** Whom each request was about, in the order of requests. */
function batches(lab: SliceLab): (string | undefined)[][] {
  return lab.receiver.ledger.entries.map(({ elements = [] }) => elements.map(({ message }) => message?.user));
}

/** An endpoint that refuses every batch with one of these people. */
function refusing(users: readonly string[], status = 422) {
  return {
    answer: ({
      elements = [],
    }: {
      readonly elements?: readonly { readonly message: { user: string } | undefined }[];
    }) => (elements.some(({ message }) => users.includes(message?.user ?? '')) ? { status, body: 'no' } : undefined),
  };
}

const idOf = (one: SliceTrigger): string => deliveryId('5'.repeat(32), one);

test('one request carries a list of bodies, each with its own id; the request has one made from these', async () => {
  const lab = await SliceLab.open({ keepBodies: true });
  const triggers = people(5);
  const report = await lab.deliver(triggers, { permits: 1, ...batchesOf(2) });
  expect(report).toMatchObject({ failed: [], unsent: [], requests: 3 });
  expect(batches(lab).map(({ length }) => length)).toEqual([2, 2, 1]);
  const [first] = lab.receiver.ledger.entries;
  const ids = triggers.slice(0, 2).map(idOf);
  expect(first?.elements?.map((element) => element.deliveryId)).toEqual(ids);
  expect(first?.deliveryId).toBe(batchId(ids.map((id) => ({ id }))));
  expect(first?.deliveryId).toMatch(/^[0-9a-f]{32}$/);
  expect(lab.receiver.ledger.summary()).toMatchObject({ delivered: 5, unreadable: 0, outOfOrder: 0, overlaps: 0 });
  // The same triggers make the same id.
  await lab.deliver(triggers.slice(0, 2), batchesOf(2));
  expect(lab.receiver.ledger.entries.at(-1)?.deliveryId).toBe(first?.deliveryId);
});

test('[S28] the cap counts requests: never more batches in flight than permits', async () => {
  const lab: SliceLab = await SliceLab.open({ answer: () => lab.answerOnceInFlight(3) });
  await lab.deliver(people(40), { permits: 3, ...batchesOf(4) });
  expect(lab.receiver.ledger.mostInFlight).toBe(3);
  expect(lab.receiver.ledger.requests).toBe(10);
});

test('halving a batch isolates the trigger that the endpoint cannot accept; the others are delivered', async () => {
  const lab = await SliceLab.open(refusing(['person 11']));
  const report = await lab.deliver(people(32), { permits: 1, ...batchesOf(32) });
  expect(report).toMatchObject({ failed: [{ index: 11, status: 422, answer: 'no' }], unsent: [] });
  expect(report.failed).toHaveLength(1);
  expect(report).not.toHaveProperty('halved', expect.arrayContaining([[0, expect.anything()]]));
  expect(lab.receiver.ledger.delivered).toBe(31);
  // 32, 16, 16, 8, 8, 4, 4 … 1, 1: twice the logarithm, and the first.
  expect(lab.receiver.ledger.requests).toBeLessThanOrEqual(11);
});

test.each([413, 422])('a batch that is answered %i is halved, also where only its size is wrong', async (status) => {
  const lab = await SliceLab.open({
    answer: ({ elements = [] }) => (elements.length > 5 ? { status } : undefined),
  });
  const report = await lab.deliver(people(20), { permits: 1, ...batchesOf(20) });
  expect(report).toMatchObject({ failed: [], unsent: [] });
  expect(lab.receiver.ledger.delivered).toBe(20);
});

test('halving a batch isolates a trigger that "answers" make a dead letter, too', async () => {
  const lab = await SliceLab.open(refusing(['person 2'], 409));
  const report = await lab.deliver(people(4), {
    permits: 1,
    ...batchesOf(4, { answers: { '409': 'dead-letter' } }),
  });
  expect(report.failed).toMatchObject([{ index: 2, status: 409, as: 'given-up' }]);
  expect(lab.receiver.ledger.delivered).toBe(3);
});

test('an answer that asks for a retry counts for the whole batch, and is reported once', async () => {
  const lab = await SliceLab.open({ answer: () => ({ status: 503, body: 'busy' }) });
  const report = await lab.deliver([trigger('a'), trigger('a'), trigger('b')], batchesOf(10));
  expect(report.failed).toEqual([
    { index: 0, status: 503, verdict: 'transient', answer: 'busy', durationMs: expect.any(Number) },
    { index: 1, like: 0, durationMs: expect.any(Number) },
    { index: 2, like: 0, durationMs: expect.any(Number) },
  ]);
  expect(lab.receiver.ledger.requests).toBe(1);
});

test('three requests in a row that fail end the slice, however many people each was about', async () => {
  const lab = await SliceLab.open({ answer: () => ({ status: 500 }) });
  const report = await lab.deliver(people(20), { permits: 1, ...batchesOf(4) });
  expect([report.failed.length, report.unsent.length, lab.receiver.ledger.requests]).toEqual([12, 8, 3]);
});

test('an endpoint that refuses everything costs some thirty requests, and not two for each person', async () => {
  const lab = await SliceLab.open({ answer: () => ({ status: 400 }) });
  const report = await lab.deliver(people(500), { permits: 1, ...batchesOf(100) });
  expect(report.failed).toHaveLength(10);
  expect(lab.receiver.ledger.requests).toBeLessThan(35);
});

test('when the budget ends amid halving, the rest goes back and remembers how far that had come', async () => {
  const lab = await SliceLab.open({ ...refusing(['person 0']), delayMs: 60 });
  const lot = people(16);
  const report = await lab.deliver(lot, { permits: 1, budgetMs: 100, ...batchesOf(16) });
  const most = new Map(report.halved?.map(([place, fewer]) => [place, fewer]));
  expect(report.failed).toEqual([]);
  expect(report.unsent).toHaveLength(16);
  expect(most.get(0)).toBeLessThanOrEqual(8);
  expect(most.get(15)).toBe(8);
  // The next slice goes on there.
  const again = lot.map((one, place) => ({ ...one, batchMost: most.get(place) ?? 16 }));
  const before = lab.receiver.ledger.requests;
  const next = await lab.deliver(again, { permits: 1, ...batchesOf(16) });
  expect(next).toMatchObject({ failed: [{ index: 0, status: 422 }], unsent: [] });
  expect(batches(lab)[before]?.length).toBe(most.get(0));
});

test('[S20] a batch has at most 2 MiB: large bodies make it smaller, and a body too large is not sent', async () => {
  const lab = await SliceLab.open();
  const users = ['a', 'b', 'c', 'd', 'e'];
  for (const user of users) lab.source.setProfile(user, { note: 'x'.repeat(700 * 1024) });
  lab.source.setProfile('d', { note: 'x'.repeat(2 * 1024 * 1024) });
  const report = await lab.deliver(
    users.map((user) => bare(user)),
    { permits: 1, ...batchesOf(100) },
  );
  expect(report).toMatchObject({ failed: [{ index: 3, code: 'PAYLOAD_TOO_LARGE' }], unsent: [] });
  expect(batches(lab)).toEqual([
    ['a', 'b'],
    ['c', 'e'],
  ]);
});

test('a person who cannot be sent does not hold up the others of their batch', async () => {
  const lab = await SliceLab.open();
  lab.source.setProfile('b', {});
  const report = await lab.deliver([bare('a'), bare('b'), trigger('c', { audience: 'f'.repeat(32) }), trigger('d')], {
    permits: 1,
    ...batchesOf(10),
  });
  expect(report.failed).toMatchObject([
    { index: 0, code: 'PROFILE_MISSING' },
    { index: 2, code: 'PAYLOAD_IMPOSSIBLE' },
  ]);
  expect(batches(lab)).toEqual([['b', 'd']]);
});

test('a template makes the list, and one that fails for a person fails for that person alone, without a request', async () => {
  const lab = await SliceLab.open({ keepBodies: true });
  const body =
    '{"attributes": [{% for item in items %}{"external_id": {{ item.id | json }}, "n": {{ item.data.n }}}{% unless forloop.last %},{% endunless %}{% endfor %}]}';
  const triggers = people(8).map((one, n) => ({ ...one, profile: n === 5 ? '{}' : JSON.stringify({ n }) }));
  const report = await lab.deliver(triggers, {
    permits: 1,
    ...batchesOf(8, { request: { label: 'CRM', body } }),
  });
  expect(report.failed).toMatchObject([
    { index: 5, code: 'TEMPLATE_FAILED', answer: expect.stringMatching(/^body: .*not valid JSON/) },
  ]);
  expect(report.unsent).toEqual([]);
  // For a quota that asked nobody.
  expect(report.halved).toEqual([[5, 1, true]]);
  const sent = lab.receiver.ledger.entries.map((entry) =>
    (JSON.parse(entry.body ?? '') as { attributes: { n: number }[] }).attributes.map(({ n }) => n),
  );
  expect(new Set(sent.flat())).toEqual(new Set([0, 1, 2, 3, 4, 6, 7]));
});

test('a batch whose template fails slowly, half by half, lets the worker do other work in between', async () => {
  const lab = await SliceLab.open();
  const body = '[{% for i in (1..9999) %}{% for j in (1..9999) %}{% endfor %}{% endfor %}]';
  const turns = [performance.now()];
  const turn = (): void => void turns.push(performance.now());
  const timer = setInterval(turn, 1);
  const report = await lab.deliver(people(8), { permits: 1, ...batchesOf(8, { request: { label: 'CRM', body } }) });
  clearInterval(timer);
  turn();
  expect(report.failed).toHaveLength(8);
  const gaps = turns.slice(1).map((at, i) => at - (turns[i] ?? 0));
  // It is rendered 15 times.
  expect(Math.max(...gaps)).toBeLessThan(((turns.at(-1) ?? 0) - (turns[0] ?? 0)) / 2);
});

test('a skipped trigger is left out with the reason, as are later ones of that person, and others are sent', async () => {
  const lab = await SliceLab.open({ keepBodies: true });
  const body =
    '[{% for item in items %}{% if item.data.email == blank %}{% skip "no email" %}{% endif %}{"id": {{ item.id | json }}, "event": {{ item.event | json }}},{% endfor %}]';
  const email = (user: string, event: 'enter' | 'exit', text: string): SliceTrigger =>
    trigger(user, { event, profile: JSON.stringify({ email: text }) });
  const triggers = [
    email('a', 'enter', 'a@example.com'),
    email('a', 'exit', ''),
    email('a', 'enter', 'a@example.com'),
    email('b', 'enter', 'b@example.com'),
    trigger('c', { profile: '{}' }),
    email('a', 'exit', 'a@example.com'),
  ].toSorted((one, other) => (one.user < other.user ? -1 : 1));
  const settings = batchesOf(3, { request: { label: 'CRM', body } });
  const report = await lab.deliver(triggers, { permits: 1, ...settings });
  const skipped = { code: 'SKIPPED', answer: 'no email' };
  expect(report.failed).toMatchObject([
    { index: 1, ...skipped },
    { index: 5, ...skipped },
  ]);
  expect(report.unsent).toEqual([2, 3]);
  const sent = lab.receiver.ledger.entries.map((entry) => JSON.parse(entry.body ?? '') as object);
  expect(sent).toEqual([[{ id: 'a', event: 'enter' }], [{ id: 'b', event: 'enter' }]]);
  // Nobody is left of this one, so that there is no request.
  const none = await lab.deliver([trigger('c', { profile: '{}' }), trigger('d', { profile: '{}' })], settings);
  expect(none.failed).toMatchObject([skipped, skipped]);
  expect(lab.receiver.ledger.requests).toBe(2);
});

test('where enters and exits have requests of their own, a batch has one of them', async () => {
  const lab = await SliceLab.open({ keepBodies: true });
  const triggers = [trigger('a'), trigger('a', { event: 'exit' }), trigger('b', { event: 'exit' }), trigger('c')];
  await lab.deliver(triggers, {
    permits: 1,
    ...batchesOf(10, { request: { label: 'CRM', onExit: { method: 'PUT' } } }),
  });
  const sent = lab.receiver.ledger.entries.map(({ target, elements = [] }) => [
    target,
    ...elements.map(({ message }) => `${message?.user} ${message?.event}`),
  ]);
  expect(sent).toEqual([
    ['POST /', 'a enter', 'c enter'],
    ['PUT /', 'a exit', 'b exit'],
  ]);
  expect(lab.receiver.ledger.summary()).toMatchObject({ outOfOrder: 0, unreadable: 0 });
});

test('a pace spaces the requests, whatever they carry', async () => {
  const lab = await SliceLab.open();
  const report = await lab.deliver(people(40), { permits: 4, pace: { perSecond: 10 }, ...batchesOf(5) });
  expect(report).toMatchObject({ failed: [], unsent: [], requests: 8 });
  expect(report.sendingMs).toBeGreaterThanOrEqual(270);
});

test('metrics count requests as such, and attempts for each person', async () => {
  const lab = await SliceLab.open(refusing(['person 3']));
  await lab.deliver(people(4), { permits: 1, ...batchesOf(4) });
  const metrics = readExposition(await lab.metrics.text());
  const attempts = (verdict: string) => sumOf(metrics, 'triggers_attempts_total', { verdict });
  expect([attempts('delivered'), attempts('refused')]).toEqual([3, 1]);
  expect(sumOf(metrics, 'triggers_request_duration_seconds_count', {})).toBe(lab.receiver.ledger.requests);
});
