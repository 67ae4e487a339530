import { expect, test } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createSamples, type SampleDependencies } from '../../../src/features/preview/activities.ts';
import type { Sample, Sampled, SampleInput, SentSample } from '../../../src/features/preview/sample.ts';
import { DEFAULT_SERVER_LIMITS } from '../../../src/domain/limits.ts';
import type { RecorderOptions } from '../../../demo/recorder.ts';
import { NetworkPolicy } from '../../../src/network/network-policy.ts';
import { TEMPLATED_SHAPES } from '../../../src/features/templates/shapes.ts';
import { MemorySource } from '../../support/memory-source.ts';
import { aPoster, aReceiver, THIS_MACHINE } from '../../webhook/an-attempt.ts';
import { authorizationsOf, givesToken, type Inputs } from '../../webhook/an-authorization.ts';
import { SETTINGS } from '../../support/delivery-settings.ts';

const VIP = { id: 'a'.repeat(32), slug: 'vip', name: 'VIP' };
const EMPTY = { id: 'b'.repeat(32), slug: 'empty', name: 'Empty' };
const PROFILES = { ann: { email: 'ann@example.com', name: 'Ann' } };

interface Setting {
  readonly authorizations?: Inputs;
  readonly policy?: NetworkPolicy;
  readonly jobSettings?: SampleDependencies['jobSettings'];
  readonly payloadBytes?: number;
  readonly profiles?: Record<string, Record<string, string>>;
  readonly answer?: RecorderOptions['answer'];
  /** Of an authorization `idp` for the endpoint. */
  readonly oauth2?: NonNullable<Inputs[string]['oauth2']>;
}

/** The activities over a source with one known member, and an endpoint that keeps what it is sent. */
async function samples(setting: Setting = {}) {
  const poster = aPoster({ timeoutMs: 3000, policy: setting.policy ?? THIS_MACHINE });
  const receiver = await aReceiver({
    keepBodies: true,
    ...(setting.answer === undefined ? {} : { answer: setting.answer }),
  });
  const source = new MemorySource({
    audiences: [
      { ...EMPTY, members: [] },
      { ...VIP, members: ['nobody', 'ann'] },
    ],
    profiles: setting.profiles ?? PROFILES,
  });
  const activities = createSamples({
    shapes: TEMPLATED_SHAPES,
    source,
    poster,
    authorizations: authorizationsOf({
      ...setting.authorizations,
      ...(setting.oauth2 === undefined
        ? {}
        : { idp: { origins: [new URL(receiver.url).origin], oauth2: setting.oauth2 } }),
    }),
    userAgent: 'audience-triggers/test',
    serverLimits: {
      ...DEFAULT_SERVER_LIMITS,
      payloadBytes: setting.payloadBytes ?? DEFAULT_SERVER_LIMITS.payloadBytes,
    },
    jobSettings: setting.jobSettings ?? (async () => undefined),
  });
  const settings = {
    ...SETTINGS,
    revision: 0,
    webhookUrl: `${receiver.url}hook`,
    requestTimeoutMs: 3000,
  };
  const inputOf = (wish: object, changes: object): SampleInput => ({
    audiences: [EMPTY, VIP],
    settings: { ...settings, ...changes },
    ...wish,
  });
  const run = async <T>(make: (input: SampleInput) => Promise<T>, input: SampleInput): Promise<T> =>
    await new MockActivityEnvironment().run<[SampleInput], T, typeof make>(make, input);
  return {
    receiver,
    source,
    show: (wish = {}, changes = {}): Promise<Sampled<Sample>> => run(activities.sampleRequest, inputOf(wish, changes)),
    send: (wish = {}, changes = {}): Promise<Sampled<SentSample>> => run(activities.sendSample, inputOf(wish, changes)),
    showJob: (): Promise<Sampled<Sample>> => run(activities.sampleRequest, { jobWorkflowId: 'export-job-x' }),
  };
}

test('a sample without a name shows the first member with a profile, of the first audience that has one', async () => {
  const { show, receiver } = await samples();
  expect(await show()).toMatchObject({ ok: true, sample: { user: 'ann', audience: { slug: 'vip' }, event: 'enter' } });
  expect(receiver.ledger.requests).toBe(0);
});

test('[S47] with only members, nothing is shown of somebody who is in none of the audiences', async () => {
  const { show } = await samples({ profiles: { ...PROFILES, outsider: { email: 'out@example.com' } } });
  expect(await show({ user: 'outsider' })).toMatchObject({ ok: true });
  const refused = await show({ user: 'outsider', onlyMembers: true });
  expect(refused).toMatchObject({ ok: false, problem: { field: 'user' } });
  expect(JSON.stringify(refused)).not.toContain('out@example.com');
  expect(await show({ user: 'ann', onlyMembers: true })).toMatchObject({ ok: true, sample: { user: 'ann' } });
});

test('a sample that is sent carries the body that is shown, once, under an id that marks it', async () => {
  const { send, receiver } = await samples();
  const sent = await send();
  const [arrived, ...more] = receiver.ledger.entries;
  expect(more).toEqual([]);
  expect(sent).toMatchObject({
    ok: true,
    sample: { answer: { ok: true, status: 200 }, request: { body: arrived?.body } },
  });
  expect(arrived?.headers?.['webhook-id']).toMatch(/^test-[0-9a-f]{32}$/);
});

test('a template sees of an audience what a job sees, whatever else the source says of it', async () => {
  const { show } = await samples();
  const request = { label: 'x', body: '{{ audience | json }}' };
  const listed = [{ ...VIP, size: 3, windowMinutes: 5 }];
  const body = JSON.stringify(VIP);
  expect(await show({ audiences: listed }, { request })).toMatchObject({ sample: { request: { body } } });
});

test('a failing template says that other people may not help', async () => {
  const { show } = await samples();
  const failing = await show({}, { request: { label: 'x', body: '{"a": {{ id }}, oops}' } });
  const message = failing.ok ? '' : failing.problem.message;
  expect(message).toMatch(
    /^Nothing can be sent about this person: .* Correct the template\. If it is right for others/,
  );
});

test('a rendered body that is not JSON is shown, with a caret at the mistake', async () => {
  const { show } = await samples();
  const body = '{"id": {{ id | json }},\n"name": {{ data.name }}, "more": {{ data.more | json }}}';
  const failing = await show({}, { request: { label: 'x', body } });
  expect(failing).toMatchObject({ ok: false, problem: { field: 'message' } });
  const [, line = '', caret = ''] = /(.*)\n( *\^)$/.exec(failing.ok ? '' : failing.problem.message) ?? [];
  expect(line.slice(caret.length - 1)).toBe('Ann, "more": null}');
});

test('a sample of a batch is without those whom its template skips', async () => {
  const { show } = await samples({ profiles: { nobody: {}, ann: { email: 'a' } } });
  const body =
    '[{% for item in items %}{% if item.data.email == blank %}{% skip "no email" %}{% endif %}{{ item.id | json }},{% endfor %}]';
  const changes = { batch: { size: 5 }, request: { label: 'x', body } };
  const sample = { user: 'ann', request: { body: '["ann"]' } };
  expect(await show({}, changes)).toMatchObject({ ok: true, sample });
  expect(await show({ user: 'nobody' }, changes)).toMatchObject({
    problem: { message: expect.stringContaining('no email') },
  });
});

test('a sample shows the "answers" of its event, and a test send applies them', async () => {
  const { show, send } = await samples({ answer: () => ({ status: 404 }) });
  const settings = { answers: { '5xx': 'pause' }, eventAnswers: { exit: { '404': 'delivered', '5xx': 'pause' } } };
  expect(await show({ event: 'enter' }, settings)).toMatchObject({ sample: { answers: settings.answers } });
  expect(await show({ event: 'exit' }, settings)).toMatchObject({ sample: { answers: settings.eventAnswers.exit } });
  expect(await send({ event: 'enter' }, settings)).toMatchObject({ sample: { answer: { verdict: 'misconfigured' } } });
  expect(await send({ event: 'exit' }, settings)).toMatchObject({ sample: { answer: { verdict: 'delivered' } } });
});

test('a sample of a job that sends memberships has them', async () => {
  const { show } = await samples();
  expect(await show({}, { memberships: true })).toMatchObject({
    sample: { request: { body: expect.stringContaining('"segments_all":["vip"]') } },
  });
  expect(JSON.stringify(await show())).not.toContain('segments_all');
});

test('two samples have two ids, so that a receiver drops neither as a repeat', async () => {
  const { send, receiver } = await samples();
  await send();
  await send();
  expect(new Set(receiver.ledger.entries.map(({ headers }) => headers?.['webhook-id'])).size).toBe(2);
});

test('[S12] a test send goes the way of deliveries: where the worker may not connect to, nothing arrives', async () => {
  const { send, receiver } = await samples({
    policy: new NetworkPolicy({ allowHttp: true, allowAddresses: [], allowPorts: ['1-65535'] }),
  });
  expect(await send()).toMatchObject({ sample: { answer: { ok: false, code: 'ADDRESS_REFUSED' } } });
  expect(receiver.ledger.requests).toBe(0);
});

test('[S21] an authorization is not sent elsewhere for a test, either', async () => {
  const { send, show, receiver } = await samples({
    authorizations: { crm: { origins: ['https://a.example'], bearer: 't' } },
  });
  for (const make of [send, show])
    expect(await make({}, { authorization: 'crm' })).toMatchObject({ ok: false, problem: { field: 'authorization' } });
  expect(receiver.ledger.requests).toBe(0);
});

test('a job that has not begun, and one that does not exist, are reported as such', async () => {
  const { showJob } = await samples({ jobSettings: async () => null });
  expect(await showJob()).toMatchObject({ ok: false, problem: { message: expect.stringContaining('not begun') } });
  const { showJob: another } = await samples();
  expect(await another()).toMatchObject({
    ok: false,
    problem: { message: expect.stringContaining('no longer known') },
  });
});

test('a source that does not answer is named as the reason', async () => {
  const { show, source } = await samples();
  source.failure = new Error('down');
  expect(await show()).toMatchObject({
    ok: false,
    problem: { message: expect.stringContaining('source could not be read') },
  });
});

test('an audience without a member that has a profile asks for a name', async () => {
  const { show } = await samples();
  expect(await show({ audience: 'empty' })).toEqual({
    ok: false,
    problem: { field: 'user', message: 'No member of empty has a profile. Name a person.' },
  });
});

test.each([8000, 8008])(
  'a body too large for an answer is cut between two characters, with its whole length (%i)',
  async (payloadBytes) => {
    const { show } = await samples({ payloadBytes, profiles: { ann: { name: 'é'.repeat(2000) } } });
    const shown = await show();
    const { body = '', bodyBytes = 0 } = shown.ok ? shown.sample.request : {};
    expect(body).toMatch(/é$/);
    expect([Buffer.byteLength(body) <= payloadBytes / 8, bodyBytes > 4000]).toEqual([true, true]);
  },
);

test('the payload is the job’s, unless the other is asked for', async () => {
  const { show } = await samples();
  for (const [wish, settings, has] of [
    [{}, {}, 'meta'],
    [{ userLegacyMessageFormat: true }, {}, 'table'],
    [{}, { userLegacyMessageFormat: true }, 'table'],
    [{ userLegacyMessageFormat: false }, { userLegacyMessageFormat: true }, 'meta'],
  ] as const) {
    const shown = await show(wish, settings);
    expect(JSON.parse(shown.ok ? shown.sample.request.body : '{}')).toHaveProperty(has);
  }
});

test('a misspelt person is answered with a suggestion', async () => {
  const { show } = await samples();
  expect(await show({ user: 'anne', audience: 'vip' })).toEqual({
    ok: false,
    problem: {
      field: 'user',
      message: 'The source has no profile of "anne". Did you mean "ann"? Members of vip are nobody, ann.',
    },
  });
});

/** An endpoint that knows some tokens, and the authorization that fetches them: `token-1`, `token-2` … */
async function tokens() {
  const known = new Set<string>();
  const issuer = await aReceiver({ answer: ({ number }) => givesToken(`token-${number}`) });
  const answer: RecorderOptions['answer'] = (_, { headers }) =>
    known.has(String(headers.authorization))
      ? undefined
      : { status: 401, body: `Who is ${headers.authorization ?? ''}?` };
  const oauth2 = { tokenUrl: issuer.url, clientId: 'me', clientSecret: 's3cret' };
  const lab = await samples({ answer, oauth2 });
  return { known, ...lab, send: () => lab.send({}, { authorization: 'idp' }) };
}

test('a 401 resends a sample with a new token and the same id; the second request is shown', async () => {
  const { known, send, receiver } = await tokens();
  known.add('Bearer token-2');
  const sent = await send();
  const arrived = receiver.ledger.entries;
  expect(arrived.map(({ headers }) => headers?.authorization)).toEqual(['Bearer token-1', 'Bearer token-2']);
  expect(arrived[0]?.headers?.['webhook-id']).toBe(arrived[1]?.headers?.['webhook-id']);
  expect(sent).toMatchObject({ sample: { answer: { ok: true, isSecond: true }, request: { body: arrived[1]?.body } } });
});

test('[S22] the answer to a test send hides the refused token that the endpoint repeats', async () => {
  const { send } = await tokens();
  expect(await send()).toMatchObject({ sample: { answer: { ok: false, status: 401, answer: 'Who is Bearer …?' } } });
});

test('a message that is too large is not sent', async () => {
  const { send, receiver } = await samples({ profiles: { ann: { name: 'x'.repeat(3 * 1024 * 1024) } } });
  expect(await send()).toMatchObject({ ok: false, problem: { field: 'message' } });
  expect(receiver.ledger.requests).toBe(0);
});
