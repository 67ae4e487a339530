import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, expect, test } from '@jest/globals';
import { Agent, request } from 'undici';
import { type Answer, startReceiver } from '../../../src/features/local/receiver.ts';
import { type Recorder, type RecorderOptions, startRecorder } from '../../../demo/recorder.ts';

const VIP = 'a'.repeat(32);
const cleanUps: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function start(options?: RecorderOptions): Promise<Recorder> {
  const receiver = await startRecorder(options);
  cleanUps.push(() => receiver.close());
  return receiver;
}

function sender(receiver: { readonly url: string }, connections = 1) {
  const agent = new Agent({ connections, pipelining: 1 });
  cleanUps.push(() => agent.destroy());
  let sent = 0;
  return async (body: string, options: { id?: string; signal?: AbortSignal } = {}) => {
    const headers = { 'content-type': 'application/json', 'webhook-id': options.id ?? `id-${++sent}` };
    const { signal } = options;
    const answer = await request(receiver.url, {
      method: 'POST',
      body,
      headers,
      dispatcher: agent,
      ...(signal === undefined ? {} : { signal }),
    });
    return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
  };
}

function newBody(user: string, event = 'enter'): string {
  const change = { id: VIP, event, slug: 'vip', [event]: '2026-10-14T13:27:33.916374949-07:00' };
  const meta = { object: 'user', subscription_id: 'b'.repeat(32), timestamp: '2026-10-14T13:27:34.038154562-07:00' };
  return JSON.stringify({ id: user, data: { email: 'é@example.com', segment_events: [change] }, meta });
}

function legacyBody(user: string): string {
  const change = { id: VIP, event: 'exit', slug: 'vip', exit: '2026-10-14T13:27:33.916374949-07:00' };
  const data = { _audience: VIP, _audience_action: 'exited', _audience_friendly: 'vip', _audience_name: 'VIP' };
  return JSON.stringify({ id: user, data, collected: '', table: 'user', segment_events: [change], subscriptionid: '' });
}

test('both payload formats are understood, to the last digit and nanosecond', async () => {
  const receiver = await start();
  const send = sender(receiver);
  expect(await send(newBody('7076027172059065053'), { id: 'one' })).toMatchObject({ status: 200, text: '' });
  await send(legacyBody('12645278470990184693'), { id: 'two' });
  const common = { audience: VIP, slug: 'vip', at: '2026-10-14T13:27:33.916374949-07:00' };
  expect(receiver.ledger.entries).toMatchObject([
    {
      number: 1,
      deliveryId: 'one',
      answered: 200,
      message: { user: '7076027172059065053', event: 'enter', ...common },
    },
    {
      number: 2,
      deliveryId: 'two',
      answered: 200,
      message: { user: '12645278470990184693', event: 'exit', ...common },
    },
  ]);
  expect(receiver.ledger.entries[0]?.arrivedAtMs).toBeGreaterThan(Date.now() - 60_000);
  expect(receiver.ledger.entries[0]).not.toHaveProperty('body');
});

test.each([
  '',
  'no JSON',
  'null',
  '{"id":1}',
  '{"id":"1","data":{"segment_events":[]}}',
  '{"id":"1","data":{"segment_events":[{"event":"enter"}]}}',
])('a body that is no message (%j) is answered and counted', async (body) => {
  const receiver = await start();
  expect((await sender(receiver)(body)).status).toBe(200);
  expect(receiver.ledger.summary()).toMatchObject({ requests: 1, unreadable: 1 });
});

test('gives the chosen answer to each request', async () => {
  const receiver = await start({
    answer: ({ message }, incoming) => {
      if (incoming.headers['webhook-id'] === 'throttled')
        return { status: 429, headers: { 'retry-after': '7' }, body: 'slow ✋' };
      return message?.user === 'gone' ? { status: 410 } : undefined;
    },
  });
  const send = sender(receiver);
  expect(await send(newBody('1'), { id: 'throttled' })).toMatchObject({
    status: 429,
    headers: { 'retry-after': '7' },
    text: 'slow ✋',
  });
  expect((await send(newBody('gone'))).status).toBe(410);
  expect((await send(newBody('1'))).status).toBe(200);
  expect(receiver.ledger.summary()).toMatchObject({ requests: 3, refused: 2, delivered: 1 });
});

const ends: readonly (readonly [Answer, RegExp])[] = [
  ['reset', /ECONNRESET|other side closed/],
  ['half', /other side closed|terminated|aborted/],
];

test.each(ends)('can end a request by %s', async (answer, message) => {
  const receiver = await start({ answer: ({ number }) => (number === 1 ? answer : undefined) });
  const send = sender(receiver);
  await expect(send(newBody('1'))).rejects.toThrow(message);
  expect(receiver.ledger.entries[0]?.answered).toBe(answer);
  expect((await send(newBody('1'))).status).toBe(200);
  expect(receiver.inFlight).toBe(0);
});

test('can leave a request hanging; it is in flight until its sender gives up', async () => {
  const receiver = await start({ answer: () => 'hang' });
  const given = new AbortController();
  const sending = Promise.allSettled([sender(receiver)(newBody('1'), { signal: given.signal })]);
  await receiver.ledger.waitFor((ledger) => ledger.requests === 1);
  expect(receiver.inFlight).toBe(1);
  given.abort();
  expect(await sending).toMatchObject([{ status: 'rejected' }]);
  await receiver.ledger.waitFor((ledger) => ledger.summary().refused === 1);
  expect(receiver.inFlight).toBe(0);
  expect(receiver.ledger.entries[0]?.answered).toBe('aborted');
});

test('sees how many requests are in flight at once, from their headers to their answer', async () => {
  const receiver = await start({ delayMs: 30 });
  const send = sender(receiver, 12);
  await Promise.all(Array.from({ length: 60 }, (_, i) => send(newBody(String(i)))));
  expect(receiver.ledger.mostInFlight).toBe(12);
  expect(receiver.ledger.summary()).toMatchObject({ requests: 60, delivered: 60, overlaps: 0 });
  expect(receiver.inFlight).toBe(0);
});

test('keeps bodies and headers when asked to, and shows each body as it comes', async () => {
  const shown: string[] = [];
  const receiver = await start({ keepBodies: true, onArrival: ({ number }, body) => shown.push(`${number} ${body}`) });
  const large = newBody('x'.repeat(300_000));
  await sender(receiver)(large);
  expect(shown).toEqual([`1 ${large}`]);
  expect(receiver.ledger.entries[0]).toMatchObject({ body: large, headers: { 'content-type': 'application/json' } });
});

test('takes nothing but POST', async () => {
  const receiver = await start();
  const answer = await request(receiver.url);
  expect([answer.statusCode, await answer.body.text()]).toEqual([405, 'This is a webhook receiver: it takes POST.\n']);
  expect(receiver.ledger.requests).toBe(0);
});

test('closes although a request hangs and another one is being thought about', async () => {
  const receiver = await startRecorder({
    answer: ({ number }) => (number === 1 ? 'hang' : { status: 200, delayMs: 60_000 }),
  });
  const send = sender(receiver, 2);
  const ends = Promise.allSettled([send(newBody('1')), send(newBody('2'))]);
  await receiver.ledger.waitFor((ledger) => ledger.requests === 2);
  await receiver.close();
  expect((await ends).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
});

test('a receiver keeps nothing of the requests that it answered', async () => {
  const arrivals: WeakRef<object>[] = [];
  const receiver = await startReceiver({
    handle: (arrival, _body, message) => {
      arrivals.push(new WeakRef(arrival), new WeakRef(message));
      return {};
    },
  });
  cleanUps.push(() => receiver.close());
  const send = sender(receiver);
  for (let n = 0; n < 100; n++) await send(newBody(`u-${n}`));
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // A reference that was read in this turn keeps its object until the next one.
  await setImmediate();
  collect();
  // The open connection may keep its last one.
  expect(arrivals.filter((one) => one.deref() !== undefined).length).toBeLessThan(10);
});

test('a body above 64 MiB is refused, and the next request is answered', async () => {
  const receiver = await start();
  const send = sender(receiver);
  // The connection may end before the sender has read the answer.
  const status = await send('x'.repeat(64 * 1024 ** 2 + 1)).then(
    (answer) => answer.status,
    () => 413,
  );
  expect(status).toBe(413);
  expect(receiver.inFlight).toBe(0);
  expect((await send(newBody('u'))).status).toBe(200);
});
