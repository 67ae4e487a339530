import { once } from 'node:events';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, jest, test } from '@jest/globals';
import jsonata from 'jsonata';
import { parseJson } from '../../../src/domain/json.ts';
import {
  expressionMistake,
  type Expressions,
  ExpressionsBusy,
  ExpressionThread,
  readingOf,
  startedWorker,
} from '../../../src/features/ingests/expressions.ts';
import type { Reading } from '../../../src/features/ingests/arrival.ts';

const thread = new ExpressionThread();
afterAll(async () => await thread.close());

const PLAIN: Expressions = { user: 'who', event: 'what', audience: 'which' };
const change = { who: 'u', what: 'entered', which: 'vip' };

async function read(body: unknown, expressions: Partial<Expressions> = {}, more: object = {}): Promise<Reading> {
  const json = parseJson(typeof body === 'string' ? body : JSON.stringify(body));
  const asked = { expressions: { ...PLAIN, ...expressions }, body: json, headers: {}, query: {}, ...more };
  return readingOf(await thread.evaluate(asked), { audiences: {} });
}

async function reasonFor(body: unknown, expressions: Partial<Expressions> = {}): Promise<unknown> {
  const [first] = (await read(body, expressions)).changes;
  return first !== undefined && 'reason' in first ? first.reason : first;
}

describe('expressions', () => {
  test('each of a list tells of a change; what is to be ignored is', async () => {
    const body = {
      list: 'vip',
      sent: 'm-1',
      people: [
        { n: 1, in: true, when: 1_795_768_200, fields: { plan: 'pro' } },
        { n: 2, in: false },
        { n: 3, in: true, test: true },
      ],
    };
    expect(
      await read(body, {
        each: 'people',
        user: '"p-" & n',
        audience: '$body.list',
        event: 'in',
        at: 'when',
        profile: 'fields',
        ignore: 'test = true',
        id: 'sent',
      }),
    ).toEqual({
      changes: [
        {
          user: 'p-1',
          event: 'enter',
          audiences: ['vip'],
          at: '2026-11-27T08:30:00.000000000Z',
          profile: { plan: 'pro' },
        },
        { user: 'p-2', event: 'exit', audiences: ['vip'] },
      ],
      ignored: 1,
      messageId: 'm-1',
    });
  });

  test('headers and the query are there, and long numbers are text with all their digits', async () => {
    const text = '{"id":12645278470990184693}';
    expect(
      await read(
        text,
        { user: '$string(id)', event: '$headers.`x-event`', audience: '$query.list' },
        { headers: { 'x-event': 'left' }, query: { list: 'vip' } },
      ),
    ).toMatchObject({ changes: [{ user: '12645278470990184693', event: 'exit', audiences: ['vip'] }] });
  });

  test('an error names the expression that failed, and quotes nothing of the body', async () => {
    const reason = await reasonFor({ ...change, who: { secret: 's3cret' } }, { user: 'who + 1' });
    expect(reason).toMatch(/"user" fails: JSONata says "The left side of the "\+" operator must .*", at character 5/);
    expect(reason).not.toMatch(/s3cret/);
    expect(await reasonFor(change, { profile: '5' })).toMatch(/"profile" makes no JSON object/);
    expect(await reasonFor({ ...change, who: null })).toMatch(/who/);
  });

  test.each([
    ['$number(who)', /"user" fails: JSONata's error D3030, at character 8/],
    ['$error("no " & who)', /"user" fails: JSONata's error D3137/],
    ['$assert(false, who)', /"user" fails: JSONata's error D3141/],
    ['who > 1', /"user" fails: JSONata's error T2009/],
    ['what.which()', /"user" fails: JSONata says "Attempted to invoke a non-function"/],
  ])('%s fails in words that quote nothing', async (user, words) => {
    const reason = await reasonFor({ ...change, who: 's3cret', what: { which: 1 } }, { user });
    expect(reason).toMatch(words);
    expect(reason).not.toMatch(/s3cret/);
  });

  test('a failed element does not spoil the others', async () => {
    const body = [change, { ...change, who: {} }, change];
    const { changes } = await read(body, { each: '$', user: '$uppercase(who)' });
    expect(changes.map((one) => ('reason' in one ? 'bad' : one.user))).toEqual(['U', 'bad', 'U']);
  });
});

describe('bounds', () => {
  test.each([
    ['a loop', '($f := function($n) { $f($n + 1) }; $f(0))'],
    ['a deep recursion', '($f := function($n) { 1 + $f($n + 1) }; $f(0))'],
    ['a long list', '$join([1..9000000].$string())'],
    ['a regular expression that searches for ever', '$contains(who, /^(a+)+$/)'],
    ['what fills the memory', '$count($map([1..90000], function($v) { $pad($string($v), 20000) }))'],
    ['a text that is run', '$eval("1")'],
  ])('[S38] %s is refused soon, and the next request is read', async (_, user) => {
    const began = performance.now();
    const reason = await reasonFor({ ...change, who: `${'a'.repeat(40)}!` }, { user });
    expect(typeof reason).toBe('string');
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(await read(change)).toMatchObject({ changes: [{ user: 'u' }] });
  });

  test('while one takes long, nothing else is held up', async () => {
    await read(change);
    const slow = reasonFor({ ...change, who: `${'a'.repeat(40)}!` }, { user: '$contains(who, /^(a+)+$/)' });
    const over = slow.then(() => true);
    let turns = 0;
    while (!(await Promise.race([over, setImmediate(false)]))) turns++;
    // If it kept this thread busy, there would be a handful.
    expect(turns).toBeGreaterThan(50);
    expect(await slow).toMatch(/too long/);
  });

  test('a request is read although the machine stood still for longer than it may take', async () => {
    await read(change);
    // From here on, timers come before answers of the thread.
    await setImmediate();
    const reading = read(change);
    // Until the thread has it.
    for (let i = 0; i < 20; i++) await Promise.resolve();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 550);
    expect(await reading).toMatchObject({ changes: [{ user: 'u' }] });
  });

  test('the time that this thread works for others does not count', async () => {
    const tellsWhenAsked = `require('node:worker_threads').parentPort.on('message', (message) => {
      if (message === 'end') require('node:worker_threads').parentPort.postMessage({ json: '{}' });
    })`;
    const worker = new Worker(tellsWhenAsked, { eval: true });
    await once(worker, 'online');
    const own = new ExpressionThread(async () => await Promise.resolve(worker));
    const evaluation = own.evaluate({ expressions: PLAIN, body: change, headers: {}, query: {} });
    const before = process.cpuUsage();
    while (process.cpuUsage(before).user < 800_000) {
      // It works, in short turns.
      for (const end = performance.now() + 10; performance.now() < end;);
      await setImmediate();
    }
    worker.postMessage('end', []);
    expect(await evaluation).toEqual({ json: '{}' });
    await own.close();
  });

  test('nor does the time that the machine stands still, however long', async () => {
    const worker = new Worker(`require('node:worker_threads').parentPort.on('message', () => undefined)`, {
      eval: true,
    });
    await once(worker, 'online');
    const own = new ExpressionThread(async () => await Promise.resolve(worker));
    const cpu = jest.spyOn(process, 'cpuUsage').mockReturnValue({ user: 0, system: 0 });
    const evaluation = own.evaluate({ expressions: PLAIN, body: change, headers: {}, query: {} });
    await setImmediate();
    const clock = jest.spyOn(performance, 'now').mockReturnValue(performance.now() + 60_000);
    while (cpu.mock.calls.length < 3) await setTimeout(10);
    worker.emit('message', { json: '{}' });
    expect(await evaluation).toEqual({ json: '{}' });
    for (const spy of [cpu, clock]) spy.mockRestore();
    await worker.terminate();
  });

  test.each(['constructor', '__proto__', 'toString', 'who.constructor', '$lookup($, "__proto__")', '$constructor'])(
    '[S38] %s reaches nothing',
    async (user) => {
      expect(await reasonFor(change, { user })).toMatch(/does not say who/);
    },
  );

  test('[S38] nothing that a body is called changes what objects are', async () => {
    await read('{"__proto__":{"polluted":true},"who":"u","what":"entered","which":"vip"}', { profile: '$' });
    expect(await reasonFor(change, { user: 'polluted' })).toMatch(/does not say who/);
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  });
});

describe('turns', () => {
  const slow = {
    expressions: { ...PLAIN, user: '$contains(who, /^(a+)+$/)' },
    body: { ...change, who: `${'a'.repeat(40)}!` },
    headers: {},
    query: {},
  };
  const plain = { ...slow, expressions: PLAIN, body: change };

  test('[S38] ingests have equal time, however slow the requests of another one are', async () => {
    const own = new ExpressionThread();
    const ends: string[] = [];
    const ask = async (asked: typeof slow, ingest: string) =>
      await own.evaluate(asked, ingest).finally(() => ends.push(ingest));
    const others = Array.from({ length: 10 }, () => 'other');
    await Promise.all([...[1, 2].map(() => ask(slow, 'slow')), ...others.map((other) => ask(plain, other))]);
    await own.close();
    expect(ends).toEqual(['slow', ...others, 'slow']);
  });

  test('[S38] a thread that cannot start refuses that request, and the next one starts it', async () => {
    let starts = 0;
    const own = new ExpressionThread(async () => {
      if (++starts === 1) throw new Error('too many open files');
      return await startedWorker();
    });
    const request = { expressions: PLAIN, body: change, headers: {}, query: {} };
    await expect(own.evaluate(request)).rejects.toThrow(ExpressionsBusy);
    expect(readingOf(await own.evaluate(request), { audiences: {} }).changes).toHaveLength(1);
    await own.close();
  });

  test('[S38] the thread refuses a request whose caller has gone, and never evaluates it', async () => {
    const own = new ExpressionThread();
    const first = own.evaluate(slow, 'a');
    const gone = new AbortController();
    const waiting = Array.from({ length: 20 }, () => own.evaluate(slow, 'a', gone.signal));
    gone.abort();
    for (const one of waiting) await expect(one).rejects.toThrow(ExpressionsBusy);
    await first;
    const began = performance.now();
    expect(await own.evaluate(plain, 'a')).toHaveProperty('json');
    // Each of the twenty would take half a second.
    expect(performance.now() - began).toBeLessThan(5_000);
    await own.close();
  });

  test('[S38] a body of thousands of levels is bad data', async () => {
    const deep = `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`;
    expect(await reasonFor(`{"who":"u","what":"entered","which":"vip","x":${deep}}`)).toMatch(/300 levels/);
  });
});

test.each([
  ['a.b', undefined],
  ['$sum(a)', undefined],
  ['$map(a, function($v, $i) { $v & $i })', undefined],
  ['($twice := function($f) { $f($f(a)) }; $twice($uppercase))', undefined],
  ['a ~> $uppercase() ~> $join("-", ?)', undefined],
  ['a@$x.b#$i.($i & $x)', undefined],
  ['a.(', 'This is not JSONata: something is wrong at character 3.'],
  ['"', 'This is not JSONata: something is wrong at character 1.'],
  ['a & $uppercas(b)', 'There is no function "$uppercas". Did you mean "$uppercase"?'],
  ['a ~> $uppercas()', 'There is no function "$uppercas". Did you mean "$uppercase"?'],
  ['a[$contians(b, "c")]', 'There is no function "$contians". Did you mean "$contains"?'],
  ['$eval("1")', 'There is no function "$eval".'],
])('the mistake in %s is %p', (text, mistake) => {
  expect(expressionMistake(text)).toBe(mistake);
});

test('each function that an expression may call is there', async () => {
  const names =
    'sum count max min average string substring substringBefore substringAfter lowercase uppercase length trim pad match contains replace split join formatNumber formatBase formatInteger parseInteger number floor ceil round abs sqrt power random boolean not map zip filter single reduce sift keys lookup append exists spread merge reverse each error assert type sort shuffle distinct base64encode base64decode encodeUrlComponent encodeUrl decodeUrlComponent decodeUrl toMillis fromMillis clone now millis';
  for (const name of names.split(' ')) {
    expect(expressionMistake(`$${name}()`)).toBeUndefined();
    expect(await jsonata(`$type($${name})`).evaluate({})).toBe('function');
  }
});
