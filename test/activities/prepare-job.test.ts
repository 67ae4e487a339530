import { expect, test } from '@jest/globals';
import { createPrepareJob } from '../../src/activities/prepare-job.ts';
import type { AudienceListing } from '../../src/contract/audience.ts';
import { DEFAULT_SERVER_LIMITS } from '../../src/domain/limits.ts';
import { TEMPLATED_SHAPES } from '../../src/features/templates/shapes.ts';
import { DEFAULT_SHAPES, type Shapes } from '../../src/webhook/shape.ts';
import { MemorySource } from '../support/memory-source.ts';
import { authorizationsOf, type Inputs } from '../webhook/an-authorization.ts';

const VIP: AudienceListing = { id: 'a'.repeat(32), slug: 'vip', name: 'VIP', windowMinutes: 15 };
const NEWS: AudienceListing = { id: 'b'.repeat(32), slug: 'newsletter', name: 'Newsletter', windowMinutes: 30 };
const job = { label: 'VIP', audiences: ['vip'], webhookUrl: 'https://hooks.example.com/vip', authorization: null };

const CRM: Inputs = { crm: { origins: ['https://hooks.example.com'], bearer: 't' } };

const ASKED_AT = Date.UTC(2026, 10, 27, 8, 30);

function preparing(audiences = [VIP, NEWS], authorizations = CRM, shapes: Shapes | undefined = TEMPLATED_SHAPES) {
  const source = new MemorySource({ audiences: audiences.map((one) => ({ ...one, members: [] })) });
  source.lagMs = 1234;
  const prepareJob = createPrepareJob({
    shapes,
    source,
    authorizations: authorizationsOf(authorizations),
    missingSearchAttributes: async () => ['ExportJobId'],
    destinationRefusal: async ({ hostname }) => (hostname === '10.0.0.1' ? 'Not there.' : undefined),
    requestTimeoutMs: 9000,
    alertBacklogMs: 900_000,
    serverLimits: DEFAULT_SERVER_LIMITS,
  });
  return { source, prepare: (input: unknown, askedAt = ASKED_AT) => prepareJob(input, askedAt) };
}

async function problemsOf(input: unknown, audiences?: AudienceListing[]): Promise<[string, string][]> {
  const prepared = await preparing(audiences).prepare(input);
  return prepared.ok ? [] : prepared.problems.map(({ field, message }) => [field, message]);
}

test('a job that sends memberships needs a source that can say them, whatever else is wrong', async () => {
  const { source, prepare } = preparing();
  expect(await prepare({ ...job, memberships: true })).toMatchObject({ ok: true });
  source.memberships = undefined;
  expect(await prepare(job)).toMatchObject({ ok: true });
  const problem = { field: 'memberships', message: expect.stringMatching(/The sources file, postgres and lytics do/) };
  expect(await prepare({ ...job, memberships: true })).toEqual({ ok: false, problems: [problem] });
  expect(await prepare({ ...job, memberships: true, label: '' })).toMatchObject({
    problems: [{ field: 'label' }, { field: 'memberships' }],
  });
});

test('a job that can run gets all that the workflow has to know', async () => {
  const prepared = await preparing().prepare({ ...job, audiences: ['newsletter', VIP.id], authorization: 'crm' });
  expect(prepared).toMatchObject({
    ok: true,
    definition: { label: 'VIP', parallelRequestCount: 5, existingUsers: false },
    audiences: [{ slug: 'newsletter' }, { slug: 'vip' }],
    sourceLagMs: 1234,
    missingSearchAttributes: ['ExportJobId'],
    requestTimeoutMs: 9000,
    serverLimits: DEFAULT_SERVER_LIMITS,
  });
});

test('an audience that is named twice, by slug and by id, emits once', async () => {
  const prepared = await preparing().prepare({ ...job, audiences: ['vip', VIP.id, 'vip'] });
  expect(prepared.ok && prepared.audiences).toMatchObject([{ slug: 'vip' }]);
});

test('an audience that looks back over less than half an hour is a warning that says why', async () => {
  const prepared = await preparing().prepare({ ...job, audiences: ['vip', 'newsletter'] });
  expect(prepared.ok && prepared.warnings).toEqual([
    'The audience "vip" looks back over 15 minutes. Windows under 30 minutes are not reliable: membership is not evaluated that precisely, so people may enter and leave late or unseen.',
  ]);
});

test('all problems are reported together: of the form, of the source, of the configuration', async () => {
  const wrong = { ...job, label: '', audiences: ['', 'vipp', 5, ' vip '], authorization: 'crn', parallel: 5 };
  expect(await problemsOf(wrong)).toEqual([
    ...['label', 'audiences[0]', 'audiences[2]', 'parallel'].map((field) => [field, expect.any(String)]),
    ['audiences[1]', expect.stringContaining('Did you mean "vip"? It knows: vip, newsletter.')],
    ['authorization', expect.stringContaining('It has: crm.')],
  ]);
});

test('a token that was written where the name of an authorization belongs is not repeated', async () => {
  const problems = await problemsOf({ ...job, authorization: 'Bearer s3cret' });
  expect(problems.map(([field]) => field)).toEqual(['authorization']);
  expect(JSON.stringify(problems)).not.toContain('s3cret');
});

test('the first twenty of many authorizations are listed', async () => {
  const names = Array.from({ length: 50 }, (_, index) => `authorization-${index}`);
  const { prepare } = preparing(
    [VIP],
    Object.fromEntries(names.map((name) => [name, { origins: ['https://hooks.example.com'], bearer: 't' }])),
  );
  const prepared = await prepare({ ...job, authorization: 'none' });
  expect(!prepared.ok && prepared.problems).toEqual([
    { field: 'authorization', message: expect.stringMatching(/It has: authorization-0, .*authorization-19, …\.$/) },
  ]);
});

test('an unknown audience that is near to none lists those that there are', async () => {
  expect(await problemsOf({ ...job, audiences: ['zzz'] })).toEqual([
    ['audiences[0]', 'The source knows no audience "zzz". It knows: vip, newsletter.'],
  ]);
  expect(await problemsOf(job, [])).toEqual([['audiences[0]', 'The source knows no audience "vip". It knows: none.']]);
});

test.each(['https://evil.example/', 'http://hooks.example.com/'])(
  '[S21] an authorization is not sent to %s, which it is not bound to',
  async (webhookUrl) => {
    expect(await problemsOf({ ...job, authorization: 'crm', webhookUrl })).toEqual([
      ['authorization', expect.stringContaining(`may not be sent to ${new URL(webhookUrl).origin}`)],
    ]);
  },
);

test('[S21] an authorization for some paths and jobs is not sent elsewhere, and the answer has its jobs', async () => {
  const bound = { origins: ['https://hooks.example.com'], bearer: 's3cret', paths: ['/vip'], jobs: ['crm'] };
  const { prepare } = preparing(undefined, { bound });
  const form = { ...job, authorization: 'bound' };
  expect(await prepare(form)).toMatchObject({ ok: true, onlyJobs: ['crm'] });
  const onExit = { webhookUrl: 'https://hooks.example.com/vips' };
  expect(await prepare({ ...form, onExit })).toMatchObject({ ok: false, problems: [{ field: 'onExit.webhookUrl' }] });
});

test.each([[null], ['a job'], [[]], [{ audiences: 'vip' }], [{ audiences: [null, {}] }], [{ authorization: {} }]])(
  'garbage instead of a job is problems, never an exception: %j',
  async (garbage) => {
    expect((await problemsOf(garbage)).length).toBeGreaterThan(0);
  },
);

test('a source that fails fails the activity, so that it is tried again', async () => {
  const { source, prepare } = preparing();
  source.failure = new Error('down');
  await expect(prepare(job)).rejects.toThrow('down');
});

test('[S1] a URL that cannot be sent to is reported before the job starts', async () => {
  expect(await problemsOf({ ...job, webhookUrl: 'https://10.0.0.1/' })).toEqual([['webhookUrl', 'Not there.']]);
  expect((await problemsOf({ ...job, webhookUrl: 'no address' })).map(([, message]) => message)).not.toContain(
    'Not there.',
  );
});

test('a job has a problem for each mistake in its requests: their destinations, contents and templates', async () => {
  const wrong = {
    ...job,
    authorization: 'crm',
    webhookUrl: 'https://hooks.example.com/{{ idd }}',
    headers: { 'x-a': '{{ id | jsn }}' },
    body: '{% if id %}',
    onEnter: { webhookUrl: 'https://10.0.0.1/' },
    onExit: { webhookUrl: 'https://elsewhere.example/', body: '\n{{ audience.slugg }}' },
  };
  expect(await problemsOf(wrong)).toEqual([
    ['onEnter.webhookUrl', 'Not there.'],
    ['onEnter.webhookUrl', expect.stringContaining('may not be sent to https://10.0.0.1')],
    ['onExit.webhookUrl', expect.stringContaining('may not be sent to https://elsewhere.example')],
    ['webhookUrl', 'Line 1: there is nothing called "idd". Did you mean "id"?'],
    ['headers.x-a', 'Line 1, column 1: there is no filter "jsn". Did you mean "json"?'],
    ['body', 'Line 1, column 1: tag {% if id %} not closed'],
    ['onExit.body', 'Line 2: "audience" has nothing called "slugg". Did you mean "slug"?'],
  ]);
});

test('a worker without templates refuses a job whose requests would have another shape', async () => {
  const { prepare } = preparing([VIP], CRM, DEFAULT_SHAPES);
  expect(await prepare(job)).toMatchObject({ ok: true });
  expect(await prepare({ ...job, method: 'PUT', onExit: { body: '' } })).toMatchObject({
    problems: [{ field: 'method' }, { field: 'onExit.body' }],
  });
});

test('a header that looks like a secret is worth a warning, and others are not', async () => {
  const headers = { 'X-Api-Key': 'k', 'x-secret-token': 's', 'x-list': '7', 'idempotency-key': '{{ delivery_id }}' };
  const prepared = await preparing([VIP]).prepare({ ...job, headers, onExit: { headers: { 'X-Api-Key': 'k' } } });
  expect(prepared).toMatchObject({
    ok: true,
    warnings: [
      expect.stringContaining('15 minutes'),
      expect.stringContaining('"X-Api-Key"'),
      expect.stringContaining('"x-secret-token"'),
    ],
  });
});

test('a template that can never be valid JSON is a problem where JSON is needed, for events that are sent', async () => {
  const never = '{"id" {{ id | json }}}';
  const message = expect.stringMatching(/^what it gives can never be valid JSON:\n {2}\{"id" "1"\}\n +\^$/);
  const fieldsOf = async (more: object) => problemsOf({ ...job, ...more });
  expect(await fieldsOf({ body: never })).toEqual([['body', message]]);
  expect(await fieldsOf({ onExit: { body: never } })).toEqual([['onExit.body', message]]);
  expect(await fieldsOf({ body: never, contentType: 'application/x-www-form-urlencoded' })).toEqual([
    ['body', message],
  ]);
  expect(await fieldsOf({ body: never, contentType: 'text/plain', onExit: { contentType: 'text/json' } })).toEqual([
    ['body', message],
  ]);
  expect(await fieldsOf({ body: never, contentType: 'text/plain' })).toEqual([]);
  expect(await fieldsOf({ body: never, onEnter: { body: '{}' }, events: ['enter'] })).toEqual([]);
  expect(await fieldsOf({ body: never, onEnter: { body: '{}' }, onExit: { body: '{}' } })).toEqual([]);
  expect(await fieldsOf({ envelope: 'cloudevents', body: never })).toEqual([['body', message]]);
});

test('with batches, only the items of a body are about one person, and only items are skipped', async () => {
  const wrong = {
    ...job,
    batch: { size: 100 },
    webhookUrl: 'https://hooks.example.com/{{ id }}',
    headers: { 'x-a': '{{ event }}', 'x-b': '{{ job.label }}', 'x-c': '{{ items.size }}' },
    body: '{% for item in items %}{{ item.id }}{% endfor %}\n{{ data.email }}',
    onExit: { body: '{% skip "no" %}' },
  };
  const ofOne = (name: string) =>
    expect.stringMatching(new RegExp(`^Line [12]: with "batch", .* no "${name}" of its own`));
  expect(await problemsOf(wrong)).toEqual([
    ['webhookUrl', ofOne('id')],
    ['headers.x-a', ofOne('event')],
    ['headers.x-c', 'Line 1: there is nothing called "items". There are: now, job.'],
    ['body', ofOne('data')],
    ['onExit.body', 'Line 1, column 1: in a batch, skip stands in a loop over "items", and skips one of them'],
  ]);
  expect(
    await problemsOf({ ...job, batch: { size: 2 }, body: '{{ items | json }}', webhookUrl: job.webhookUrl }),
  ).toEqual([]);
});

test('a header that its authorization sets is a problem of the job', async () => {
  const { prepare } = preparing([VIP], { crm: { origins: ['https://hooks.example.com'], headers: { 'X-Key': 'k' } } });
  const wrong = {
    ...job,
    authorization: 'crm',
    headers: { 'x-key': 'a', 'x-list': '7' },
    onExit: { headers: { 'X-KEY': '' } },
  };
  expect(await prepare(wrong)).toEqual({
    ok: false,
    problems: [
      { field: 'headers.x-key', message: 'The authorization "crm" sets this header.' },
      { field: 'onExit.headers.X-KEY', message: 'The authorization "crm" sets this header.' },
    ],
  });
});

test('an end that has passed is a problem beside all others; one that is a millisecond ahead is not', async () => {
  const { prepare } = preparing();
  const ended = { ...job, label: '', endsAt: '2026-11-27T09:30:00+01:00' };
  expect(await prepare(ended)).toEqual({
    ok: false,
    problems: [
      { field: 'label', message: 'The label must not be empty.' },
      { field: 'endsAt', message: "The end has passed: by the worker's clock it is 2026-11-27 08:30:00 UTC." },
    ],
  });
  expect(await prepare({ ...job, endsAt: '2026-11-27T09:30:00.001+01:00' })).toMatchObject({ ok: true });
  expect(await prepare({ ...job, endsAt: 'tomorrow' })).toMatchObject({ problems: [{ field: 'endsAt' }] });
});
