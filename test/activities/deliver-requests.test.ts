import { expect, test } from '@jest/globals';
import type { SliceInput, SliceTrigger } from '../../src/contract/slice.ts';
import { serveHttp } from '../webhook/a-server.ts';
import { readExposition, sumOf } from '../support/exposition.ts';
import { answerWhen, until } from '../support/patience.ts';
import { aReceiver } from '../webhook/an-attempt.ts';
import { configured, givesToken } from '../webhook/an-authorization.ts';
import { bare, people, SliceLab, tracingWith, trigger } from './a-slice.ts';
import type { RecorderOptions } from '../../demo/recorder.ts';

/** An endpoint that takes some tokens only, and the authorization server that numbers them: `token-1`, `token-2` … */
async function guardedEndpoint(takes: (token: string) => boolean | Promise<boolean>, status = 401) {
  const seen = { requests: [] as string[], ids: [] as string[], isDown: false };
  const issuer = await aReceiver({
    answer: ({ number }) => {
      const answer = givesToken(`token-${number}`);
      return seen.isDown ? { ...answer, status: 400, body: '{"error":"invalid_client"}' } : answer;
    },
  });
  const origin = await serveHttp((request, response) => {
    const token = request.headers.authorization?.slice('Bearer '.length) ?? '';
    seen.requests.push(token);
    seen.ids.push(String(request.headers['webhook-id']));
    const answer = async () => response.writeHead((await takes(token)) ? 200 : status).end(`no ${token} of s3cret`);
    request.resume().on('end', () => void answer());
  });
  const lab = await SliceLab.open();
  const authorizations = {
    idp: { origins: [origin], oauth2: { tokenUrl: `${issuer.url}token`, clientId: 'me', clientSecret: 's3cret' } },
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
  return { seen, issuer, deliver, lab, authorizations };
}

test('every request is counted, including both when one is sent again with another token', async () => {
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

test('a token refused with 401 is fetched anew once, and the trigger is sent again under the same id', async () => {
  const { seen, deliver } = await guardedEndpoint((token) => token !== 'token-1');
  expect(await deliver(3)).toMatchObject({ failed: [], unsent: [] });
  expect(seen.requests).toEqual(['token-1', 'token-2', 'token-2', 'token-2']);
  expect(seen.ids[0]).toBe(seen.ids[1]);
});

test('the second request for a trigger waits for its turn at the rate of the job, too', async () => {
  // On a busy machine the first answer may take so long that the slice hands on its turns, and returns the trigger unsent.
  const { beginsAtMs } = await answerWhen(
    async () => {
      const { deliver, lab } = await guardedEndpoint((token) => token !== 'token-1');
      const beginsAtMs: number[] = [];
      lab.tracing = tracingWith({ requestBegins: () => void beginsAtMs.push(performance.now()) });
      return { ...(await deliver(1, 1, String, { pace: { perSecond: 3 } })), beginsAtMs };
    },
    ({ unsent, failed }) => unsent.length === 0 && failed.length === 0,
  );
  const [first = 0, second = 0] = beginsAtMs;
  expect(beginsAtMs).toHaveLength(2);
  expect(second - first).toBeGreaterThanOrEqual(333);
});

test('an unchanged authorization keeps its token after a new configuration, and a changed one fetches a token', async () => {
  const { issuer, deliver, lab, authorizations } = await guardedEndpoint(() => true);
  await deliver(1);
  lab.authorizations.replace(configured({ ...authorizations, other: { origins: ['https://a.example'], bearer: 't' } }));
  await deliver(1);
  expect(issuer.ledger.requests).toBe(1);
  lab.authorizations.replace(configured({ idp: { ...authorizations.idp, headers: { 'x-tenant': '7' } } }));
  await deliver(1);
  expect(issuer.ledger.requests).toBe(2);
});

test('beside a token go the headers and the signature of its authorization, the second time too', async () => {
  const arrived: (readonly unknown[])[] = [];
  const issuer = await aReceiver({ answer: ({ number }) => givesToken(`token-${number}`) });
  const origin = await serveHttp(({ headers }, response) => {
    arrived.push([headers.authorization, headers['x-tenant'], headers['webhook-signature']]);
    response.writeHead(arrived.length === 1 ? 401 : 200).end();
  });
  const lab = await SliceLab.open();
  const oauth2 = { tokenUrl: `${issuer.url}token`, clientId: 'me', clientSecret: 's3cret' };
  const signingSecrets = [`whsec_${Buffer.alloc(32, 1).toString('base64')}`];
  lab.authorize({ idp: { origins: [origin], oauth2, headers: { 'x-tenant': '7' }, signingSecrets } });
  await lab.deliver([trigger('1')], { settings: { authorization: 'idp', webhookUrl: origin } });
  const signature = expect.stringMatching(/^v1,\S+$/);
  expect(arrived).toEqual([
    ['Bearer token-1', '7', signature],
    ['Bearer token-2', '7', signature],
  ]);
});

test('an endpoint that refuses every token is asked twice for one trigger, and later triggers fetch no token', async () => {
  const { seen, deliver } = await guardedEndpoint(() => false);
  const { failed, unsent } = await deliver(5);
  expect(failed.map(({ status }) => status)).toEqual([401, 401, 401]);
  expect(unsent).toEqual([3, 4]); // Three people in a row: the endpoint is unhealthy.
  expect(seen.requests).toEqual(['token-1', 'token-2', 'token-2', 'token-2']);
});

test('[S22] an answer that repeats the refused token, or the credentials for it, is kept without them', async () => {
  const { deliver } = await guardedEndpoint(() => false, 403);
  const { failed } = await deliver(1);
  expect(failed).toMatchObject([{ status: 403, answer: 'no … of …' }]);
});

test('nothing is sent without a token: each trigger fails with the reason, and the worker logs a warning', async () => {
  const { seen, deliver, lab } = await guardedEndpoint(() => true);
  seen.isDown = true;
  const { failed } = await deliver(2);
  const failure = { code: 'TOKEN_UNAVAILABLE', verdict: 'worker-fault', answer: 'invalid_client', durationMs: 0 };
  expect(failed).toEqual([0, 1].map((index) => ({ index, ...failure })));
  expect(seen.requests).toEqual([]);
  expect(lab.warnings).toMatchObject([{ meta: { code: 'TOKEN_UNAVAILABLE', reason: 'invalid_client', count: 2 } }]);
});

test('a worker that stood still while it waited for a token sends nothing: another may be sending it', async () => {
  const { seen, issuer, deliver, lab } = await guardedEndpoint(() => true);
  const sending = deliver(2);
  lab.hasStalled = true;
  expect(await sending).toEqual({ failed: [], unsent: [0, 1], sendingMs: 0 });
  expect([issuer.ledger.requests, seen.requests]).toEqual([1, []]);
});

test('[S28] when something of ours breaks, nothing more is started, and the slice fails when nothing is in flight', async () => {
  const seen = { begun: 0, open: 0 };
  const origin = await serveHttp((_, response) => {
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
  const origin = await serveHttp((request, response) => {
    urls.push(request.url);
    request.resume().on('end', () => response.end());
  });
  const lab = await SliceLab.open();
  lab.authorize({ key: { origins: [origin], queryParameters: { key: 'a b&c' } } });
  for (const path of ['/hook', '/hook?x=%20+1'])
    await lab.deliver([trigger('1')], { settings: { authorization: 'key', webhookUrl: origin + path } });
  expect(urls).toEqual(['/hook?key=a+b%26c', '/hook?x=%20+1&key=a+b%26c']);
});

/** Timers may fire a little early, clocks are read in whole ms. */
const SLACK_MS = 30;

test('requests start as their pace allows: half a second’s worth at once, then one after the other', async () => {
  const lab = await SliceLab.open();
  const report = await lab.deliver(people(20), { permits: 20, pace: { perSecond: 20 } });
  expect(report).toMatchObject({ failed: [], unsent: [] });
  expect(report.sendingMs).toBeGreaterThanOrEqual(500 - SLACK_MS);
  const { nextAtMs = 0, inMs = 0 } = report.spacing ?? {};
  expect(inMs).toBeLessThanOrEqual(50);
  expect(Math.abs(nextAtMs - Date.now())).toBeLessThan(10_000);
});

test('the first waits until it may start, but never longer than one interval, whatever the clocks say', async () => {
  const lab = await SliceLab.open();
  const began = performance.now();
  await lab.deliver(people(1), { pace: { perSecond: 5, nextAtMs: Date.now() + 150 } });
  expect(performance.now() - began).toBeGreaterThanOrEqual(150 - SLACK_MS);
  const report = await lab.deliver(people(1), {
    pace: { perSecond: 5, nextAtMs: Date.now() + 3_600_000 },
    budgetMs: 20_000,
  });
  expect(report.unsent).toEqual([]);
});

test('triggers that cannot be started within the budget go back at once', async () => {
  const lab = await SliceLab.open();
  const began = performance.now();
  const report = await lab.deliver(people(3), { pace: { perSecond: 0.01 }, budgetMs: 60_000, permits: 3 });
  expect(report).toMatchObject({ unsent: [1, 2], failed: [] });
  expect(performance.now() - began).toBeLessThan(60_000);
});

test('a trigger that needs no request uses up none of the rate', async () => {
  const lab = await SliceLab.open();
  const { profile: _, ...unknown } = trigger('unknown');
  const report = await lab.deliver([unknown, ...people(1)], { pace: { perSecond: 0.1 }, budgetMs: 5_000, permits: 1 });
  expect(report).toMatchObject({ failed: [{ index: 0, code: 'PROFILE_MISSING' }], unsent: [] });
});

test('a slice of which nothing was sent hands its spacing on as it was', async () => {
  const lab = await SliceLab.open();
  const nextAtMs = Date.now() - 1000;
  const report = await lab.deliver(people(1), {
    pace: { perSecond: 1, nextAtMs },
    settings: { authorization: 'unknown' },
  });
  expect(report.failed).toHaveLength(1);
  // Two clocks are read one after the other, and the process may stand still in between.
  expect(Math.abs((report.spacing?.nextAtMs ?? 0) - nextAtMs)).toBeLessThan(500);
});

test('a slice says when it has started its last request, and starts nothing more', async () => {
  // It is answered only then. Before, it would send to each person again, with another token.
  const { seen, deliver, lab } = await guardedEndpoint(async () => {
    await until(() => lab.returned.length > 0);
    return false;
  });
  const report = await deliver(4, 4, String, { pace: { perSecond: 10 } });
  expect(report).toMatchObject({ failed: [], unsent: [0, 1, 2, 3] });
  expect(seen.requests).toHaveLength(4);
  expect(lab.returned).toEqual([
    { workflowId: 'test', sliceId: 7, left: 4, spacing: report.spacing && expect.anything() },
  ]);
  expect(lab.returned[0]?.spacing?.nextAtMs).toBeCloseTo(report.spacing?.nextAtMs ?? 0, -1);
});

test('[S21] a URL that a template makes for a person is sent nothing outside the paths of the authorization', async () => {
  const lab = await SliceLab.open();
  const { origin } = new URL(lab.receiver.url);
  const bound = { origins: [origin], bearer: 's3cret', paths: ['/api'], jobs: ['test'] };
  lab.authorizations.replace(configured({ bound, other: { ...bound, jobs: ['crm'] } }));
  const send = async (path: string, authorization: string) => {
    const request = { label: 'CRM', onEnter: { webhookUrl: `${origin}${path}` } };
    const settings = { webhookUrl: `${origin}/api`, authorization, request };
    const { failed } = await lab.deliver([trigger('..;'), trigger('1')], { settings });
    return failed.map(({ index, code }) => [index, code]);
  };
  const refused = 'AUTHORIZATION_ELSEWHERE';
  expect(await send('/api/{{ id }}/x', 'other')).toEqual([
    [0, refused],
    [1, refused],
  ]);
  expect(await send('/api/{{ id | replace: "%3B", ";" }}/x', 'bound')).toEqual([[0, 'TEMPLATE_FAILED']]);
  expect(targets(lab)).toEqual(['POST /api/1/x']);
});

/** What came, as `PUT /lists/7/members/1`, in order. */
const targets = (lab: SliceLab) => lab.receiver.ledger.entries.map(({ target }) => target);

test('[S21] no event is sent to an origin that the authorization is not for', async () => {
  const lab = await SliceLab.open();
  const request = { label: 'CRM', onExit: { webhookUrl: lab.receiver.url } };
  const settings = { webhookUrl: 'https://a.example/', authorization: 'elsewhere', request };
  const report = await lab.deliver([trigger('1', { event: 'exit' })], { settings });
  expect(report.failed).toMatchObject([{ code: 'AUTHORIZATION_ELSEWHERE' }]);
  expect(lab.arrived).toEqual([]);
});

test('a person whom a template skips or fails for is reported with the reason, and holds up nobody', async () => {
  const lab = await SliceLab.open();
  const request = {
    label: 'CRM',
    body: '{% unless data.email %}{% skip "no mail" %}{% endunless %}{"email": {{ data.email }}}',
  };
  const report = await lab.deliver(
    [trigger('1'), trigger('2', { profile: '{"email":"no JSON"}' }), trigger('3', { profile: '{"email":3}' })],
    { settings: { request } },
  );
  expect(report).toMatchObject({
    failed: [
      { index: 0, code: 'SKIPPED', answer: 'no mail', durationMs: 0 },
      {
        index: 1,
        code: 'TEMPLATE_FAILED',
        answer: expect.stringMatching(/^body: the rendered body is not valid JSON/),
      },
    ],
    unsent: [],
  });
  expect(targets(lab)).toEqual(['POST /']);
});

test('[S22] an answer that repeats the path which a template made is kept without it', async () => {
  const lab = await SliceLab.open({
    answer: () => ({ status: 422, body: 'no /lists/t0kent0kent0ken/ann@example.com' }),
  });
  const webhookUrl = `${lab.receiver.url}lists/t0kent0kent0ken/{{ id }}`;
  const report = await lab.deliver([trigger('ann@example.com')], {
    settings: { webhookUrl, request: { label: 'CRM' } },
  });
  expect(report.failed[0]?.answer).not.toContain('t0ken');
});

const NAME = `h${'0'.repeat(15)}`;

/** A trigger whose profile is at this place of a holder. */
const held = (user: string, place: number): SliceTrigger => bare(user, { profileRef: [NAME, place] });

async function labWith(content: unknown): Promise<SliceLab> {
  const lab = await SliceLab.open({ keepBodies: true });
  lab.spilledIn.inputOf = async () => await Promise.resolve(content);
  // What the source says is never sent in place of what came with a trigger.
  for (const user of ['1', '2', '3']) lab.source.setProfile(user, { from: 'the source' });
  return lab;
}

const bodies = (lab: SliceLab) => lab.receiver.ledger.entries.map(({ body }) => body);

test('a trigger is sent with the profile that came with it, wherever that is', async () => {
  const lab = await labWith({ profiles: ['{"n":1}', '{"n":2}'] });
  const report = await lab.deliver([held('1', 1), trigger('2', { profile: '{"n":3}' }), bare('3')], { permits: 1 });
  expect(report.failed).toEqual([]);
  expect(bodies(lab)).toEqual([
    expect.stringContaining('"data":{"n":2,'),
    expect.stringContaining('"data":{"n":3,'),
    expect.stringContaining('"data":{"from":"the source",'),
  ]);
});

test('a trigger whose profile is gone is not sent, and never with another profile; others are sent', async () => {
  const lab = await labWith({ profiles: ['{"n":1}'] });
  const report = await lab.deliver([held('1', 0), held('2', 1), { ...held('3', 2), profileOptional: true }]);
  expect(report.failed).toMatchObject([
    { index: 1, code: 'PROFILE_LOST' },
    { index: 2, code: 'PROFILE_LOST' },
  ]);
  expect(lab.receiver.ledger.delivered).toBe(1);
});

test('triggers wait for profiles that Temporal does not return, as for a silent source; others are sent', async () => {
  const lab = await labWith(undefined);
  lab.spilledIn.inputOf = async () => await Promise.reject(new Error('Temporal is away'));
  const report = await lab.deliver([held('1', 0), trigger('2')]);
  expect(report.failed).toMatchObject([
    { index: 0, code: 'SOURCE_UNAVAILABLE', answer: expect.stringContaining('from Temporal') },
  ]);
  expect(lab.receiver.ledger.delivered).toBe(1);
});

/** A lab whose slices tell what they do: what they told, in its order. */
async function openLab(options: RecorderOptions = {}): Promise<{ lab: SliceLab; told: unknown[] }> {
  const lab = await SliceLab.open({ keepBodies: true, ...options });
  const told: unknown[] = [];
  lab.tracing = tracingWith({
    profilesRead: (startedAtMs, isAnswered) => told.push(['profiles', startedAtMs <= Date.now(), isAnswered]),
    requestBegins: (index) => {
      told.push(['begins', index]);
      return `trace-${index}`;
    },
    requestEnded: (index, { verdict, status }) => told.push(['ended', index, verdict, status]),
    attempted: (index, { code }) => told.push(['attempted', index, code]),
  });
  return { lab, told };
}

const headersOf = (lab: SliceLab, name: string) => lab.receiver.ledger.entries.map(({ headers }) => headers?.[name]);

test('each request carries its trace header, and its end is reported to the trace', async () => {
  const { lab, told } = await openLab({
    answer: ({ message }) => (message?.user === '2' ? { status: 503 } : undefined),
  });
  await lab.deliver([trigger('1'), trigger('2')], { permits: 1 });
  expect(told).toEqual([
    ['begins', 0],
    ['ended', 0, 'delivered', 200],
    ['begins', 1],
    ['ended', 1, 'transient', 503],
  ]);
  expect(headersOf(lab, 'traceparent')).toEqual(['trace-0', 'trace-1']);
});

test('telemetry records the look-up of profiles, and triggers that failed without a request', async () => {
  const { lab, told } = await openLab();
  lab.source.setProfile('known', {});
  await lab.deliver([bare('known'), bare('unknown')], { permits: 1 });
  expect(told).toEqual([
    ['profiles', true, true],
    ['begins', 0],
    ['ended', 0, 'delivered', 200],
    ['attempted', 1, 'PROFILE_MISSING'],
  ]);
  told.length = 0;
  lab.source.failure = new Error('The source is down.');
  await lab.deliver([bare('known')]);
  expect(told).toEqual([
    ['profiles', true, false],
    ['attempted', 0, 'SOURCE_UNAVAILABLE'],
  ]);
});

test('a slice without a known authorization reports each of its triggers; without tracing there is no header', async () => {
  const { lab, told } = await openLab();
  await lab.deliver([trigger('1'), trigger('2')], { settings: { authorization: 'missing' } });
  expect(told).toEqual([0, 1].map((index) => ['attempted', index, 'AUTHORIZATION_UNKNOWN']));
  lab.tracing = undefined;
  await lab.deliver([trigger('3')]);
  expect(headersOf(lab, 'traceparent')).toEqual([undefined]);
});
