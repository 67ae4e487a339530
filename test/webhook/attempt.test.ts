import { AssertionError } from 'node:assert';
import { gzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import type { Dispatcher } from 'undici';
import { judge } from '../../src/domain/verdict.ts';
import type { Answer } from '../../src/features/local/receiver.ts';
import { startRecorder } from '../../demo/recorder.ts';
import { type HttpAttempt, AttemptHandler, postAuthorized } from '../../src/webhook/attempt.ts';
import type { RequestAuthorization } from '../../src/webhook/authorization.ts';
import { serveHttp } from './a-server.ts';
import { aPoster, aReceiver, attemptOf, IMPATIENT_MS, PATIENT_MS, post, postToRaw } from './an-attempt.ts';

const CONTROLLER: Dispatcher.DispatchController = {
  aborted: false,
  paused: false,
  reason: null,
  abort: () => undefined,
  pause: () => undefined,
  resume: () => undefined,
};

/** The outcome of a request that ended with this error, before or after it began. */
function outcomeOf(error: Error, isBegun: boolean): Promise<HttpAttempt> {
  return new Promise((resolve) => {
    const handler = new AttemptHandler(performance.now(), 1000, (_, attempt) => resolve(attempt));
    if (isBegun) handler.onRequestStart(CONTROLLER);
    handler.onResponseError(CONTROLLER, error);
  });
}

const FAULTS: readonly Error[] = [
  new AssertionError({ message: 'x' }),
  new TypeError('x'),
  new RangeError('x'),
  Object.assign(new Error('x'), { code: 'UND_ERR_INVALID_ARG' }),
  Object.assign(new Error('x'), { code: 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH' }),
];

test.each(FAULTS)('a fault of this worker is called one, and where it was is kept: %s', async (error) => {
  const before = await outcomeOf(error, false);
  expect(before).toMatchObject({ ok: false, code: 'REQUEST_NOT_MADE' });
  // Nothing was sent, so it says nothing about the endpoint.
  expect(judge({ code: 'REQUEST_NOT_MADE' })).toBe('worker-fault');
  const after = await outcomeOf(error, true);
  expect(after).toMatchObject({ ok: false, code: 'WORKER_FAULT' });
  // The endpoint may have been asked, so it is not asked again without end.
  expect(judge({ code: 'WORKER_FAULT' })).toBe('transient');
  const name = 'code' in error ? error.code : error.name;
  for (const attempt of [before, after])
    expect(attempt.ok ? '' : attempt.answer).toMatch(new RegExp(`^${String(name)} at attempt\\.test\\.ts:\\d+$`));
});

test.each(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL'])(
  'a machine of ours that has run out of something is not the endpoint’s failure: %s',
  async (code) => {
    expect(await outcomeOf(Object.assign(new Error('x'), { code }), false)).toMatchObject({ ok: false, code });
    expect(judge({ code })).toBe('worker-fault');
  },
);

test('[S24] a header that cannot be sent is a fault of this worker, and its value is not kept', async () => {
  const attempt = await attemptOf(aPoster(), 'http://127.0.0.1:1/', ['authorization', 's3cret\n'], '{}');
  expect(attempt).toMatchObject({ ok: false, code: 'REQUEST_NOT_MADE' });
  expect(JSON.stringify(attempt)).not.toContain('s3cret');
});

/** A bearer token that can be replaced, and what was noted about it. */
class Token implements RequestAuthorization {
  readonly query = '';
  readonly signingKeys = [];
  readonly secrets = [];
  readonly headers: string[];
  wasTaken = false;
  readonly #other: Token | undefined;

  constructor(value: string, other?: Token) {
    this.headers = ['authorization', value];
    this.#other = other;
  }

  readonly reaches = (): boolean => true;
  readonly taken = (): void => {
    this.wasTaken = true;
  };
  readonly instead = async (): Promise<Token | undefined> => this.#other;
}

/** Posts to an endpoint that answers tokens like this, `old` first. */
async function posted(answers: { readonly old: number; readonly new?: number }, hasOther = true) {
  const seen: string[] = [];
  const origin = await serveHttp((request, response) => {
    const token = request.headers.authorization as 'old' | 'new'; // What the tokens below are called.
    seen.push(token);
    response.writeHead(answers[token] ?? 500).end();
  });
  const [poster, url] = [aPoster(), new URL(origin)];
  const other = new Token('new');
  const authorization = new Token('old', hasOther ? other : undefined);
  const make = ({ headers }: RequestAuthorization) => ({ headers: [...headers], body: '{}' });
  const { attempt, isSecond } = await postAuthorized(poster, { url, timeoutMs: 3000, authorization, make });
  return { seen, status: attempt.status, isSecond, taken: [authorization.wasTaken, other.wasTaken] };
}

test.each([
  ['once more with the other authorization', { old: 401, new: 200 }, true],
  ['no third time', { old: 401, new: 401 }, true],
  ['once, when there is no other authorization', { old: 401 }, false],
])('after a 401 a request is sent %s, and only an accepted one is noted as accepted', async (_, answers, hasOther) => {
  const { new: second } = { new: undefined, ...answers };
  expect(await posted(answers, hasOther)).toEqual({
    seen: Object.keys(answers),
    status: second ?? 401,
    isSecond: hasOther,
    taken: [false, second === 200],
  });
});

test.each([200, 403, 500])('after a %d nothing is sent a second time', async (status) => {
  const isTaken = status === 200;
  expect(await posted({ old: status })).toEqual({ seen: ['old'], status, isSecond: false, taken: [isTaken, false] });
});

const postTo = async (answer: Answer, timeoutMs?: number): Promise<HttpAttempt> =>
  post((await aReceiver({ answer: () => answer })).url, timeoutMs);

test.each([200, 201, 202, 204, 299])('%i is delivered', async (status) => {
  expect(await postTo({ status })).toMatchObject({ ok: true, status });
});

test.each([
  ['text', '{"ü":1}'],
  ['bytes', Buffer.from('{"ü":1}')],
])(
  'a body of %s arrives unchanged, with the given headers and those of the connection, and no others',
  async (_, body) => {
    const receiver = await aReceiver({ keepBodies: true });
    const poster = aPoster();
    await attemptOf(poster, new URL('/a/path?q=1', receiver.url), ['x-a', '1', 'webhook-id', 'i'], body);
    const [arrival] = receiver.ledger.entries;
    expect(arrival?.body).toBe('{"ü":1}');
    expect(Object.keys(arrival?.headers ?? {}).toSorted()).toEqual(
      ['connection', 'content-length', 'host', 'webhook-id', 'x-a'].toSorted(),
    );
  },
);

test.each([400, 404, 410, 429, 500, 503])('%i is reported with the beginning of the answer', async (status) => {
  expect(await postTo({ status, body: `no: ${'x'.repeat(1000)}` })).toEqual({
    ok: false,
    status,
    durationMs: expect.any(Number),
    answer: `no: ${'x'.repeat(195)}…`,
  });
});

test('[S24] an answer cannot control the terminal that shows it, and is valid Unicode wherever it is cut', async () => {
  const attempt = await postTo({ status: 500, body: `\u001b[2J\u0000\r\nerror ${'😀'.repeat(200)}` });
  const answer = attempt.ok ? '' : (attempt.answer ?? '');
  expect(answer).toMatch(/^ \[2J error 😀/u);
  expect(answer.isWellFormed()).toBe(true);
});

test('an answer that is kept whole does not look cut, and one that is cut does, between two characters', async () => {
  const whole = 'x'.repeat(200);
  expect(await postTo({ status: 500, body: whole })).toMatchObject({ answer: whole });
  expect(await postTo({ status: 500, body: `${whole}x` })).toMatchObject({ answer: `${whole.slice(1)}…` });
  expect(await postTo({ status: 500, body: `no${'\u0001'.repeat(2000)}x` })).toMatchObject({ answer: 'no …' });
  const half = await postToRaw((socket) => {
    socket.write('HTTP/1.1 500 No\r\ncontent-length: 8\r\n\r\n');
    socket.end(Buffer.from('no 😀').subarray(0, 5));
  });
  expect(half).toMatchObject({ answer: 'no …' });
});

test('[S22] an answer in UTF-16, or a compressed one, is kept as its text, and its status alone decides', async () => {
  const body = Buffer.from('no such token: "abc"', 'utf16le');
  const type = { 'content-type': 'text/plain; charset=utf-16le' };
  const packed = { ...type, 'content-encoding': 'gzip' };
  const kept = async (status: number, headers: Record<string, string>, bytes: Buffer) => {
    const url = await serveHttp((_, response) => response.writeHead(status, headers).end(bytes));
    return await new Promise((resolve) => {
      const request = { headers: [], body: '' };
      aPoster({ keeps: 'all' }).post(new URL(url), request, PATIENT_MS, (attempt, answer) =>
        resolve({ ...attempt, body: answer?.body }),
      );
    });
  };
  const text = 'no such token: "abc"';
  expect(await kept(401, type, body)).toMatchObject({ status: 401, answer: text, body: text });
  expect(await kept(200, packed, gzipSync(body))).toMatchObject({ ok: true, status: 200, body: text });
  expect(await kept(200, packed, body)).toMatchObject({ ok: true, status: 200 });
  const unread = expect.stringContaining('cannot read');
  expect(await kept(503, packed, body)).toMatchObject({ status: 503, answer: unread, body: unread });
});

test('[S24] the worker keeps only the status, Retry-After and the beginning of the body of an answer', async () => {
  const headers = {
    'retry-after': '7',
    'set-cookie': 'a=s3cret',
    'x-internal': '10.0.0.1',
    location: 'http://10.0.0.1/',
  };
  expect(await postTo({ status: 503, headers, body: 'no' })).toEqual({
    ok: false,
    status: 503,
    retryAfterMs: 7000,
    durationMs: expect.any(Number),
    answer: 'no',
  });
});

test.each([301, 302, 303, 307, 308])(
  '[S13] a redirect by %i is not followed: its target gets nothing',
  async (status) => {
    const target = await aReceiver();
    expect(await postTo({ status, headers: { location: target.url } })).toMatchObject({ ok: false, status });
    expect(target.ledger.requests).toBe(0);
  },
);

test.each([
  ['https://new.example/s3cret/path?key=s3cret', 'Location: https://new.example/…?key=…'],
  ['http://user:s3cret@new.example/', 'Location: http://new.example/'],
  ['/s3cret/', 'Location: a path of the same host'],
  ['//s3cret.example/', 'Location: a path of the same host'],
  [`https://new.example/${'x'.repeat(5000)}`, 'Location: https://new.example/…'],
])('[S22] the worker shows the target of a redirect, masked like every URL: %.50s', async (location, answer) => {
  expect(await postTo({ status: 301, headers: { location }, body: '<a href="s3cret">' })).toMatchObject({ answer });
});

test('[S31] Retry-After is understood in seconds, as a date, and when it is sent twice', async () => {
  const inAMinute = new Date(Date.now() + 60_000).toUTCString();
  expect(await postTo({ status: 429, headers: { 'retry-after': '7' } })).toMatchObject({ retryAfterMs: 7000 });
  const dated = await postTo({ status: 503, headers: { 'retry-after': inAMinute } });
  expect(dated.ok ? 0 : dated.retryAfterMs).toBeGreaterThan(50_000);
  const twice = 'HTTP/1.1 429 Slow\r\nretry-after: 7\r\nretry-after: 9\r\ncontent-length: 2\r\n\r\nno';
  expect(await postToRaw(twice)).toMatchObject({ status: 429, retryAfterMs: 7000, answer: 'no' });
  expect(await postTo({ status: 429, headers: { 'retry-after': 'soon' } })).not.toHaveProperty('retryAfterMs');
});

test('a port where nobody listens has a code', async () => {
  const receiver = await startRecorder();
  await receiver.close();
  // And nothing else: the system's message contains the address that the name resolves to.
  expect(await post(receiver.url)).toEqual({ ok: false, code: 'ECONNREFUSED', durationMs: expect.any(Number) });
});

test('a name that does not exist has a code', async () => {
  const attempt = await post('http://no-such-host.invalid/');
  expect(attempt).toMatchObject({ ok: false, code: expect.stringMatching(/^(ENOTFOUND|EAI_AGAIN)$/) });
});

test('the status line decides even if the receiver breaks off in the middle of its body', async () => {
  expect(await postTo('half')).toMatchObject({ ok: true, status: 200 });
});

test('[S14] an endpoint that never answers is given up at the deadline', async () => {
  const attempt = await postTo('hang', IMPATIENT_MS);
  expect(attempt).toMatchObject({ ok: false, code: 'REQUEST_TIMEOUT' });
  expect(attempt.durationMs).toBeGreaterThanOrEqual(IMPATIENT_MS);
  expect(attempt.durationMs).toBeLessThan(PATIENT_MS / 2);
});

test('[S15] bodies of 64 KiB are read to their end, and the connection is used again, however many they are', async () => {
  const poster = aPoster();
  const ports = new Set<number | undefined>();
  const receiver = await aReceiver({
    answer: (_, request) => {
      ports.add(request.socket.remotePort);
      return { status: 200, body: 'x'.repeat(64 * 1024) };
    },
  });
  for (let i = 0; i < 40; i++) await attemptOf(poster, receiver.url, [], '{}');
  expect(ports.size).toBeLessThanOrEqual(2);
});

test.each([
  ['a header of two lines', ['x-a', 'a\nb']],
  ['a header name with a blank', ['x y', '1']],
  ['a content-length of its own', ['content-length', '5']],
])('%s does not throw: the attempt has a code, and no request was made', async (_, headers) => {
  const receiver = await aReceiver();
  const attempt = await attemptOf(aPoster(), receiver.url, headers, '{}');
  expect(attempt).toMatchObject({ ok: false, code: 'REQUEST_NOT_MADE' });
  expect(receiver.ledger.requests).toBe(0);
});

test('a closed poster makes no request and does not throw', async () => {
  const receiver = await aReceiver();
  const poster = aPoster();
  await poster.close();
  expect(await attemptOf(poster, receiver.url, [], '{}')).toMatchObject({ ok: false, code: 'REQUEST_NOT_MADE' });
  expect(receiver.ledger.requests).toBe(0);
});

test('closing waits for the request in flight', async () => {
  const receiver = await aReceiver({ delayMs: 100 });
  const poster = aPoster();
  const attempt = attemptOf(poster, receiver.url, [], '{}');
  await poster.close();
  expect(await attempt).toMatchObject({ ok: true });
});
