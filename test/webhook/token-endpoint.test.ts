import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { expect, test } from '@jest/globals';
import { fetchToken } from '../../src/webhook/token-endpoint.ts';
import { GuardedAgents } from '../../src/webhook/guarded-agents.ts';
import { NetworkPolicy } from '../../src/webhook/network-policy.ts';
import { afterwards, startRawServer } from './a-server.ts';
import { THIS_MACHINE } from './an-attempt.ts';
import { configured } from './an-authorization.ts';

const GOOD = { access_token: 'the-token', token_type: 'Bearer', expires_in: 60 };

interface Asked {
  readonly authorization: string | undefined;
  readonly body: Record<string, string>;
  readonly url: string;
}

/** An authorization server that answers like this; and the requests that it got. */
async function serverOf(answer: (response: ServerResponse, request: IncomingMessage) => void) {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const { authorization } = request.headers;
      asked.push({ authorization, body: Object.fromEntries(new URLSearchParams(text)), url: request.url ?? '' });
      answer(response, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterwards(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  return { asked, tokenUrl: `http://127.0.0.1:${address.port}/oauth2/token?tenant=7` };
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
  const { asked, tokenUrl } = await serverOf(json(GOOD));
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
  const { asked, tokenUrl } = await serverOf(json(GOOD));
  await tokenOf(tokenUrl, { clientAuthentication: 'body' });
  expect(asked[0]).toMatchObject({ body: { client_id: 'me', client_secret: 's3cret+/' }, authorization: undefined });
});

test('only characters that a form cannot contain are encoded in id and secret, since some servers do not decode them', async () => {
  const { asked, tokenUrl } = await serverOf(json(GOOD));
  await tokenOf(tokenUrl, { clientId: 'me-1_a.b*c', clientSecret: 'ü:A-b_c.d %' });
  const credentials = Buffer.from('me-1_a.b*c:%C3%BC%3AA-b_c.d+%25').toString('base64');
  expect(asked[0]?.authorization).toBe(`Basic ${credentials}`);
});

test.each<[what: string, answer: object]>([
  ['null for parts without a value', { expires_in: null, refresh_token: null, scope: null }],
  ['an ID token of another issuer', { id_token: 'a.b.c' }],
  ['no end', { expires_in: undefined }],
])('a token is accepted from an answer that also has %s', async (_, more) => {
  const { tokenUrl } = await serverOf(json({ ...GOOD, ...more }));
  expect(await tokenOf(tokenUrl)).toMatchObject({ value: 'the-token' });
});

test('the number of seconds may be a string', async () => {
  const { tokenUrl } = await serverOf(json({ ...GOOD, expires_in: '3600' }));
  expect((await tokenOf(tokenUrl)).endsAtMs).toBeGreaterThan(Date.now() + 3_500_000);
});

test.each<[what: string, answer: (response: ServerResponse) => void, reason: RegExp]>([
  ['a refusal', json({ error: 'invalid_client', error_description: 'no s3cret' }, 401), /^invalid_client$/],
  ['words of its own', json({ error: 's3cret is wrong' }, 400), /^HTTP 400$/],
  ['a failure', (response) => response.writeHead(503).end('s3cret'), /^HTTP 503$/],
  ['something else than JSON', (response) => response.writeHead(200).end('<html>'), /^INVALID_TOKEN$/],
  ['JSON that is cut', (response) => response.end('{"access_token":"s3cret'), /^INVALID_TOKEN$/],
  ['something else than an object', json(['s3cret']), /^INVALID_TOKEN$/],
  ['a token that is a number', json({ access_token: 7, token_type: 'Bearer' }), /^INVALID_TOKEN$/],
  ['a token of another type', json({ ...GOOD, token_type: 'mac' }), /^INVALID_TOKEN$/],
  ['a token that requires a proof', json({ ...GOOD, token_type: 'DPoP' }), /^INVALID_TOKEN$/],
  ['a token without a type', json({ ...GOOD, token_type: undefined }), /^INVALID_TOKEN$/],
  ['an end that is not a number', json({ ...GOOD, expires_in: 'soon' }), /^INVALID_TOKEN$/],
  ['a token that a header cannot contain', json({ ...GOOD, access_token: 's3cret\nx: y' }), /^INVALID_TOKEN$/],
  ['a token that is too long for a header', json({ ...GOOD, access_token: 's3cret'.repeat(5000) }), /^INVALID_TOKEN$/],
  ['nothing', (response) => response.writeHead(204).end(), /^HTTP 204$/],
  ['a redirect', (response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(), /^HTTP 302$/],
  ['too much', (response) => response.writeHead(200).end('x'.repeat(70_000)), /^ANSWER_TOO_LONG$/],
  ['an end of the connection', (response) => response.destroy(), /^UND_ERR_SOCKET|ECONNRESET$/],
])('a server that answers with %s issued no token, and its text is not repeated', async (_, answer, reason) => {
  const { tokenUrl } = await serverOf(answer);
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
  const { asked, tokenUrl } = await serverOf(json(GOOD));
  const strict = new NetworkPolicy({ allowHttp: true, allowAddresses: [], allowPorts: ['1-65535'] });
  await expect(tokenOf(tokenUrl, {}, strict)).rejects.toMatchObject({ reason: 'ADDRESS_REFUSED' });
  expect(asked).toEqual([]);
});
