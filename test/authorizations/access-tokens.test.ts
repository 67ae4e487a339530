import { type IncomingMessage, type ServerResponse } from 'node:http';
import { expect, test } from '@jest/globals';
import { type AccessToken, AccessTokens, fetchToken } from '../../src/authorizations/access-tokens.ts';
import { GuardedAgents } from '../../src/network/guarded-agents.ts';
import { NetworkPolicy } from '../../src/network/network-policy.ts';
import { afterwards, serveHttp, startRawServer } from '../webhook/a-server.ts';
import { THIS_MACHINE } from '../webhook/an-attempt.ts';
import { configured } from '../webhook/an-authorization.ts';

/** A server that numbers its tokens, each with a lifetime of `lifeMs`, by the test's own clock. */
function serverOf(lifeMs?: number) {
  const clock = { nowMs: 1_000_000, fetched: 0, isDown: false };
  const fetchOne = async (): Promise<AccessToken> => {
    clock.fetched++;
    await Promise.resolve();
    if (clock.isDown) throw new Error('down');
    const value = `token-${clock.fetched}`;
    return lifeMs === undefined ? { value } : { value, endsAtMs: clock.nowMs + lifeMs };
  };
  return Object.assign(clock, { tokens: new AccessTokens(fetchOne, () => clock.nowMs) });
}

const valueOf = async (token: Promise<AccessToken | undefined>) => (await token)?.value;

test('the worker fetches only one token for all callers, and keeps it', async () => {
  const server = serverOf(3_600_000);
  const { tokens } = server;
  const values = await Promise.all([valueOf(tokens.current()), valueOf(tokens.current())]);
  expect([...values, await valueOf(tokens.current())]).toEqual(['token-1', 'token-1', 'token-1']);
  expect(server.fetched).toBe(1);
});

test.each([
  [3_600_000, 3_569_999, 3_570_000],
  [20_000, 9_999, 10_000],
  [11_000, 5_999, 6_000],
])('a token that lives %i ms is used for %i ms and replaced at %i', async (lifeMs, before, after) => {
  const server = serverOf(lifeMs);
  await server.tokens.current();
  server.nowMs += before;
  expect(await valueOf(server.tokens.current())).toBe('token-1');
  server.nowMs += after - before;
  expect(await valueOf(server.tokens.current())).toBe('token-2');
});

test.each([0, 1, 1000])(
  'the worker uses a token with a lifetime of %i ms for six seconds, not a new one for each slice',
  async (lifeMs) => {
    const server = serverOf(lifeMs);
    for (let ms = 0; ms < 60_000; ms += 100) {
      await server.tokens.current();
      server.nowMs += 100;
    }
    expect(server.fetched).toBe(10);
  },
);

test('a token without a known end is used until an endpoint refuses it', async () => {
  const server = serverOf();
  const token = await server.tokens.current();
  server.nowMs += 1e9;
  expect(await valueOf(server.tokens.current())).toBe('token-1');
  expect(await valueOf(server.tokens.insteadOf(token))).toBe('token-2');
  expect(await valueOf(server.tokens.current())).toBe('token-2');
});

test('a refused token is replaced once, for all callers whose requests were refused', async () => {
  const server = serverOf();
  const token = await server.tokens.current();
  const others = await Promise.all([server.tokens.insteadOf(token), server.tokens.insteadOf(token)]);
  expect([...others, await server.tokens.insteadOf(token)].map((other) => other?.value)).toEqual([
    'token-2',
    'token-2',
    'token-2',
  ]);
  expect(server.fetched).toBe(2);
});

test('after refusals of a new token, the worker fetches no other for a minute, unless it was accepted before', async () => {
  const server = serverOf();
  const second = await server.tokens.insteadOf(await server.tokens.current());
  if (second === undefined) throw new Error('No token.');
  expect(await server.tokens.insteadOf(second)).toBeUndefined();
  server.nowMs += 59_999;
  expect(await server.tokens.insteadOf(second)).toBeUndefined();
  server.nowMs += 1;
  const third = await server.tokens.insteadOf(second);
  if (third === undefined) throw new Error('No token.');
  expect(await server.tokens.insteadOf(third)).toBeUndefined();
  server.tokens.taken(third);
  expect(await valueOf(server.tokens.insteadOf(third))).toBe('token-4');
});

test('a server that issues no token is not asked again for a moment, and then it is', async () => {
  const server = serverOf();
  server.isDown = true;
  await expect(server.tokens.current()).rejects.toThrow('down');
  server.isDown = false;
  server.nowMs += 1_999;
  await expect(server.tokens.current()).rejects.toThrow('down');
  expect(server.fetched).toBe(1);
  server.nowMs += 1;
  expect(await valueOf(server.tokens.current())).toBe('token-2');
});

test('when no other token can be fetched, the refusal stands', async () => {
  const server = serverOf();
  const token = await server.tokens.current();
  server.isDown = true;
  expect(await server.tokens.insteadOf(token)).toBeUndefined();
});

test('after the clock is set back, a server that issued no token is still asked again', async () => {
  const server = serverOf();
  server.isDown = true;
  await expect(server.tokens.current()).rejects.toThrow('down');
  server.isDown = false;
  server.nowMs -= 3_600_000;
  expect(await valueOf(server.tokens.current())).toBe('token-2');
});

test('an endpoint that alternately accepts and refuses causes ten tokens to be fetched per minute, not one for each refusal', async () => {
  const server = serverOf();
  const turns = async (): Promise<number> => {
    for (let turn = 0; turn < 100; turn++) {
      const token = await server.tokens.current();
      server.tokens.taken(token);
      await server.tokens.insteadOf(token);
      server.nowMs += 100;
    }
    return server.fetched;
  };
  expect([await turns(), await turns()]).toEqual([11, 11]);
  server.nowMs += 60_000;
  expect(await turns()).toBe(21);
});

const GOOD = { access_token: 'the-token', token_type: 'Bearer', expires_in: 60 };

interface Asked {
  readonly authorization: string | undefined;
  readonly body: Record<string, string>;
  readonly url: string;
}

/** An authorization server that answers like this; and the requests that it got. */
async function tokenServer(answer: (response: ServerResponse, request: IncomingMessage) => void) {
  const asked: Asked[] = [];
  const origin = await serveHttp((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const { authorization } = request.headers;
      asked.push({ authorization, body: Object.fromEntries(new URLSearchParams(text)), url: request.url ?? '' });
      answer(response, request);
    });
  });
  return { asked, tokenUrl: `${origin}/oauth2/token?tenant=7` };
}

const json =
  (value: unknown, status = 200) =>
  (response: ServerResponse) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));

function tokenOf(tokenUrl: string, more: object = {}, policy: NetworkPolicy = THIS_MACHINE) {
  const agents = new GuardedAgents({ policy, timeoutMs: 6000 });
  afterwards(() => agents.close());
  const input = { tokenUrl, clientId: 'me', clientSecret: 's3cret+/', ...more };
  const { one } = configured({ one: { origins: ['https://hooks.example.com'], oauth2: input } });
  if (one?.oauth2 === undefined) throw new Error('No OAuth.');
  return fetchToken({ config: one.oauth2, agents });
}

test('with HTTP Basic the request follows RFC 6749, and the token and its end are read', async () => {
  const { asked, tokenUrl } = await tokenServer(json(GOOD));
  const before = Date.now();
  const token = await tokenOf(tokenUrl, { scope: 'a b', parameters: { audience: 'https://api.example.com' } });
  expect(token).toEqual({ value: 'the-token', endsAtMs: expect.any(Number) });
  expect((token.endsAtMs ?? 0) - before).toBeGreaterThanOrEqual(60_000);
  expect(asked).toEqual([
    {
      authorization: `Basic ${Buffer.from('me:s3cret%2B%2F').toString('base64')}`,
      body: { grant_type: 'client_credentials', scope: 'a b', audience: 'https://api.example.com' },
      url: '/oauth2/token?tenant=7',
    },
  ]);
});

test('client id and secret can be sent in the body, for servers that want them there', async () => {
  const { asked, tokenUrl } = await tokenServer(json(GOOD));
  await tokenOf(tokenUrl, { clientAuthentication: 'body' });
  expect(asked[0]).toMatchObject({ body: { client_id: 'me', client_secret: 's3cret+/' }, authorization: undefined });
});

test('only characters that a form cannot contain are encoded in id and secret, since some servers do not decode them', async () => {
  const { asked, tokenUrl } = await tokenServer(json(GOOD));
  await tokenOf(tokenUrl, { clientId: 'me-1_a.b*c', clientSecret: 'ü:A-b_c.d %' });
  const credentials = Buffer.from('me-1_a.b*c:%C3%BC%3AA-b_c.d+%25').toString('base64');
  expect(asked[0]?.authorization).toBe(`Basic ${credentials}`);
});

test.each<[what: string, answer: object]>([
  ['null for parts without a value', { expires_in: null, refresh_token: null, scope: null }],
  ['an ID token of another issuer', { id_token: 'a.b.c' }],
  ['no end', { expires_in: undefined }],
])('a token is accepted from an answer that also has %s', async (_, more) => {
  const { tokenUrl } = await tokenServer(json({ ...GOOD, ...more }));
  expect(await tokenOf(tokenUrl)).toMatchObject({ value: 'the-token' });
});

test.each<[what: string, answer: (response: ServerResponse) => void, reason: RegExp]>([
  ['a refusal', json({ error: 'invalid_client', error_description: 'no s3cret' }, 401), /^invalid_client$/],
  ['words of its own', json({ error: 's3cret is wrong' }, 400), /^HTTP 400$/],
  ['a failure', (response) => response.writeHead(503).end('s3cret'), /^HTTP 503$/],
  [
    'something else than JSON',
    (response) => response.writeHead(200).end('<html>'),
    /^INVALID_TOKEN: the answer is not JSON$/,
  ],
  [
    'JSON that is cut',
    (response) => response.end('{"access_token":"s3cret'),
    /^INVALID_TOKEN: the answer is not JSON$/,
  ],
  ['something else than an object', json(['s3cret']), /^INVALID_TOKEN: it has no access_token that is text$/],
  [
    'a token that is a number',
    json({ access_token: 7, token_type: 'Bearer' }),
    /^INVALID_TOKEN: it has no access_token that is text$/,
  ],
  ['a token of another type', json({ ...GOOD, token_type: 'mac' }), /^INVALID_TOKEN: its token_type is not "Bearer"$/],
  [
    'a token that requires a proof',
    json({ ...GOOD, token_type: 'DPoP' }),
    /^INVALID_TOKEN: its token_type is not "Bearer"$/,
  ],
  ['a token without a type', json({ ...GOOD, token_type: undefined }), /^INVALID_TOKEN: it has no token_type$/],
  [
    'an end that is not a number',
    json({ ...GOOD, expires_in: 'soon' }),
    /^INVALID_TOKEN: its expires_in is not a number of seconds$/,
  ],
  [
    'a token that a header cannot contain',
    json({ ...GOOD, access_token: 's3cret\nx: y' }),
    /^INVALID_TOKEN: its access_token cannot be in a header$/,
  ],
  [
    'a token that is too long for a header',
    json({ ...GOOD, access_token: 's3cret'.repeat(5000) }),
    /^INVALID_TOKEN: its access_token has more than 8192 characters$/,
  ],
  ['nothing', (response) => response.writeHead(204).end(), /^HTTP 204$/],
  ['a redirect', (response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(), /^HTTP 302$/],
  ['too much', (response) => response.writeHead(200).end('x'.repeat(70_000)), /^ANSWER_TOO_LONG$/],
  ['an end of the connection', (response) => response.destroy(), /^UND_ERR_SOCKET|ECONNRESET$/],
])('a server that answers with %s issued no token, and its text is not repeated', async (_, answer, reason) => {
  const { tokenUrl } = await tokenServer(answer);
  await expect(tokenOf(tokenUrl)).rejects.toMatchObject({
    name: 'TokenUnavailable',
    reason: expect.stringMatching(reason),
    message: expect.not.stringContaining('s3cret'),
  });
});

test.each([
  ['answers', 'http:'],
  ['finishes its TLS handshake', 'https:'],
])('[S14] a server that never %s is given up in a few seconds', async (_, protocol) => {
  const { url } = await startRawServer(() => undefined);
  await expect(tokenOf(url.href.replace('http:', protocol))).rejects.toMatchObject({ reason: 'REQUEST_TIMEOUT' });
});

test('[S12] a token endpoint is guarded like any other: on this machine it is refused, and not reached', async () => {
  const { asked, tokenUrl } = await tokenServer(json(GOOD));
  const strict = new NetworkPolicy({ allowHttp: true, allowAddresses: [], allowPorts: ['1-65535'] });
  await expect(tokenOf(tokenUrl, {}, strict)).rejects.toMatchObject({ reason: 'ADDRESS_REFUSED' });
  expect(asked).toEqual([]);
});
