import { createServer, type RequestListener } from 'node:http';
import { expect, test } from '@jest/globals';
import type { SliceInput } from '../../src/contract/slice.ts';
import { afterwards } from '../webhook/a-server.ts';
import { readExposition, sumOf } from '../support/exposition.ts';
import { configured } from '../webhook/an-authorization.ts';
import { SliceLab, trigger } from './a-slice.ts';

/** Serves on this machine until the test is over; says where. */
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterwards(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  return `http://127.0.0.1:${address.port}`;
}

/** An endpoint that takes some tokens only, and the authorization server that numbers them: `token-1`, `token-2` … */
async function guardedEndpoint(takes: (token: string) => boolean, status = 401) {
  const seen = { fetched: 0, requests: [] as string[], ids: [] as string[], atMs: [] as number[], isDown: false };
  const issuer = await serve((_, response) => {
    if (seen.isDown) {
      response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_client"}');
      return;
    }
    const token = { access_token: `token-${++seen.fetched}`, token_type: 'bearer', expires_in: 3600 };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(token));
  });
  const origin = await serve((request, response) => {
    const token = request.headers.authorization?.slice('Bearer '.length) ?? '';
    seen.requests.push(token);
    seen.atMs.push(performance.now());
    seen.ids.push(String(request.headers['webhook-id']));
    request.resume().on('end', () => response.writeHead(takes(token) ? 200 : status).end(`no ${token} of s3cret`));
  });
  const lab = await SliceLab.open();
  const authorizations = {
    idp: { origins: [origin], oauth2: { tokenUrl: `${issuer}/token`, clientId: 'me', clientSecret: 's3cret' } },
  };
  lab.authorize(authorizations);
  const deliver = (
    count: number,
    permits = 1,
    userOf: (index: number) => string = String,
    more: Pick<Partial<SliceInput>, 'pace'> = {},
  ) =>
    lab.deliver(
      Array.from({ length: count }, (_, index) => trigger(userOf(index))),
      { permits, settings: { authorization: 'idp', webhookUrl: `${origin}/hook` }, ...more },
    );
  return { seen, deliver, lab, authorizations };
}

test('every request is counted, and of one that is sent again with another token both', async () => {
  const { deliver, lab } = await guardedEndpoint((token) => token !== 'token-1');
  expect(await deliver(3)).toMatchObject({ failed: [], unsent: [] });
  const metrics = readExposition(await lab.metrics.text());
  expect(sumOf(metrics, 'triggers_attempts_total', { verdict: 'misconfigured', status_class: '4xx' })).toBe(1);
  expect(sumOf(metrics, 'triggers_attempts_total', { verdict: 'delivered' })).toBe(3);
  expect(sumOf(metrics, 'triggers_request_duration_seconds_count')).toBe(4);
  expect(sumOf(metrics, 'triggers_requests_in_flight')).toBe(0);
});

test('tokens that were asked for are counted, those that were not given too', async () => {
  const { seen, deliver, lab } = await guardedEndpoint(() => true);
  const fetches = async (outcome: string) =>
    sumOf(readExposition(await lab.metrics.text()), 'triggers_token_fetches_total', { outcome });
  seen.isDown = true;
  await deliver(2);
  expect([await fetches('answered'), await fetches('failed')]).toEqual([0, 1]);
  // Nothing was sent, and the endpoint is not said to have failed.
  const metrics = readExposition(await lab.metrics.text());
  expect(sumOf(metrics, 'triggers_attempts_total', { verdict: 'worker-fault', status_class: 'none' })).toBe(2);
  expect(sumOf(metrics, 'triggers_request_duration_seconds_count')).toBe(0);
});

test('one token is fetched and serves many triggers and slices', async () => {
  const { seen, deliver } = await guardedEndpoint(() => true);
  expect([await deliver(20, 5), await deliver(20, 5)]).toMatchObject([{ failed: [] }, { failed: [] }]);
  expect([seen.fetched, new Set(seen.requests)]).toEqual([1, new Set(['token-1'])]);
});

test('a token that is refused with 401 is fetched anew once, and the trigger is sent again under the same id', async () => {
  const { seen, deliver } = await guardedEndpoint((token) => token !== 'token-1');
  expect(await deliver(3)).toMatchObject({ failed: [], unsent: [] });
  expect(seen.requests).toEqual(['token-1', 'token-2', 'token-2', 'token-2']);
  expect(seen.ids[0]).toBe(seen.ids[1]);
});

test('the second request for a trigger waits for its turn at the rate of the job, too', async () => {
  const { seen, deliver } = await guardedEndpoint((token) => token !== 'token-1');
  expect(await deliver(1, 1, String, { pace: { perSecond: 3 } })).toMatchObject({ failed: [], unsent: [] });
  const [first = 0, second = 0] = seen.atMs;
  // What was started 333 ms apart may arrive a little closer together.
  expect(second - first).toBeGreaterThan(200);
});

test('a configuration in which an authorization is the same keeps its token, and one in which it is another fetches one', async () => {
  const { seen, deliver, lab, authorizations } = await guardedEndpoint(() => true);
  await deliver(1);
  lab.authorizations.replace(configured({ ...authorizations, other: { origins: ['https://a.example'], bearer: 't' } }));
  await deliver(1);
  expect(seen.fetched).toBe(1);
  lab.authorizations.replace(configured({ idp: { ...authorizations.idp, headers: { 'x-tenant': '7' } } }));
  await deliver(1);
  expect(seen.fetched).toBe(2);
});

test('beside a token go the headers and the signature of its authorization, the second time too', async () => {
  const arrived: (readonly unknown[])[] = [];
  const issuer = await serve((_, response) => {
    const token = { access_token: `token-${arrived.length}`, token_type: 'bearer' };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(token));
  });
  const origin = await serve(({ headers }, response) => {
    arrived.push([headers.authorization, headers['x-tenant'], headers['webhook-signature']]);
    response.writeHead(arrived.length === 1 ? 401 : 200).end();
  });
  const lab = await SliceLab.open();
  const oauth2 = { tokenUrl: `${issuer}/token`, clientId: 'me', clientSecret: 's3cret' };
  const signingSecrets = [`whsec_${Buffer.alloc(32, 1).toString('base64')}`];
  lab.authorize({ idp: { origins: [origin], oauth2, headers: { 'x-tenant': '7' }, signingSecrets } });
  await lab.deliver([trigger('1')], { settings: { authorization: 'idp', webhookUrl: origin } });
  const signature = expect.stringMatching(/^v1,\S+$/);
  expect(arrived).toEqual([
    ['Bearer token-0', '7', signature],
    ['Bearer token-1', '7', signature],
  ]);
});

test('many requests that are refused at once fetch one token together', async () => {
  const { seen, deliver } = await guardedEndpoint((token) => token !== 'token-1');
  expect(await deliver(40, 8)).toMatchObject({ failed: [], unsent: [] });
  expect(seen.fetched).toBe(2);
});

test('an endpoint that refuses every token is asked twice for a trigger, and no token more is fetched for the next ones', async () => {
  const { seen, deliver } = await guardedEndpoint(() => false);
  const { failed, unsent } = await deliver(5);
  expect(failed.map(({ status }) => status)).toEqual([401, 401, 401]);
  expect(unsent).toEqual([3, 4]); // Three people in a row: the endpoint is unhealthy.
  expect(seen.requests).toEqual(['token-1', 'token-2', 'token-2', 'token-2']);
});

test('however often tokens are refused, each trigger of a person is sent again once, in its order', async () => {
  const taken = new Set<string>();
  const { seen, deliver } = await guardedEndpoint((token) => taken.size < taken.add(token).size);
  expect(await deliver(3, 1, () => 'one')).toMatchObject({ failed: [], unsent: [] });
  expect(seen.requests).toEqual(['token-1', 'token-1', 'token-2', 'token-2', 'token-3']);
});

test('[S22] what an endpoint repeats of the token that it refuses, or of what the token was had for, is not kept', async () => {
  const { deliver } = await guardedEndpoint(() => false, 403);
  const { failed } = await deliver(1);
  expect(failed).toMatchObject([{ status: 403, answer: 'no … of …' }]);
});

test('other refusals than 401 fetch nothing', async () => {
  const { seen, deliver } = await guardedEndpoint(() => false, 403);
  await deliver(2);
  expect([seen.fetched, seen.requests]).toEqual([1, ['token-1', 'token-1']]);
});

test('without a token nothing is sent: ours to mend, with the reason, and tried again later', async () => {
  const { seen, deliver, lab } = await guardedEndpoint(() => true);
  seen.isDown = true;
  const { failed } = await deliver(2);
  expect(failed).toEqual(
    [0, 1].map((index) => ({ index, code: 'TOKEN_UNAVAILABLE', answer: 'invalid_client', durationMs: 0 })),
  );
  expect(seen.requests).toEqual([]);
  expect(lab.warnings).toMatchObject([{ meta: { code: 'TOKEN_UNAVAILABLE', reason: 'invalid_client', count: 2 } }]);
});

test('a worker that stood still while it waited for a token sends nothing: another may be sending it', async () => {
  const { seen, deliver, lab } = await guardedEndpoint(() => true);
  const sending = deliver(2);
  lab.hasStalled = true;
  expect(await sending).toEqual({ failed: [], unsent: [0, 1], sendingMs: 0 });
  expect([seen.fetched, seen.requests]).toEqual([1, []]);
});

test('[S28] when something of ours breaks, nothing more is started, and the slice fails when nothing is in flight', async () => {
  const seen = { begun: 0, open: 0 };
  const origin = await serve((_, response) => {
    const isFirst = seen.begun++ === 0;
    seen.open++;
    const answer = () => response.writeHead(isFirst ? 401 : 200).end(() => seen.open--);
    setTimeout(answer, isFirst ? 0 : 200);
  });
  const lab = await SliceLab.open();
  const found = await lab.authorizations.lookUp(null, new URL(origin));
  if (!found.ok) throw new Error('Without a name there is nothing to look up.');
  const broken = { ...found.authorization, instead: () => Promise.reject(new Error('broken')) };
  lab.authorizations.lookUp = async () => ({ ok: true, authorization: broken });
  const sending = lab.deliver(
    ['1', '2', '3', '4'].map((user) => trigger(user)),
    { permits: 2, settings: { webhookUrl: origin } },
  );
  await expect(sending).rejects.toThrow('broken');
  expect(seen).toEqual({ begun: 2, open: 0 });
});

test('query parameters go behind those of the URL, which stay as they were written', async () => {
  const urls: (string | undefined)[] = [];
  const origin = await serve((request, response) => {
    urls.push(request.url);
    request.resume().on('end', () => response.end());
  });
  const lab = await SliceLab.open();
  lab.authorize({ key: { origins: [origin], queryParameters: { key: 'a b&c' } } });
  for (const path of ['/hook', '/hook?x=%20+1'])
    await lab.deliver([trigger('1')], { settings: { authorization: 'key', webhookUrl: origin + path } });
  expect(urls).toEqual(['/hook?key=a+b%26c', '/hook?x=%20+1&key=a+b%26c']);
});
