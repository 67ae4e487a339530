import { expect, test } from '@jest/globals';
import { checkJobDefinition, JOB_FIELDS } from '../../src/contract/export-job.ts';
import { FORM_FIELDS } from '../../src/domain/form.ts';
import { mistakesWith, RIGHT } from './a-mistake.ts';

const LEAST = { label: 'VIP', audiences: ['vip'], webhookUrl: 'https://example.com/hook', authorization: null };

function problemsOf(input: unknown): [field: string, message: string][] {
  const checked = checkJobDefinition(input);
  return checked.ok ? [] : checked.problems.map(({ field, message }) => [field, message]);
}

test('every field may be said, and stays as it was said', () => {
  expect(checkJobDefinition(RIGHT)).toEqual({ ok: true, value: RIGHT });
});

test.each([
  ['label', { label: 'x'.repeat(200) }],
  ['audiences', { audiences: Array.from({ length: 100 }, (_, i) => `audience-${i}`) }],
  ['parallelRequestCount at its least', { parallelRequestCount: 1 }],
  ['parallelRequestCount at its most', { parallelRequestCount: 500 }],
  ['a backfill of a person every ten seconds', { backfillPerSecond: 0.1 }],
  ['a request every hundred seconds', { requestsPerSecond: 0.01 }],
  ['a minute of attempts', { retryFor: '60s' }],
  ['a week of attempts', { retryFor: '7d' }],
  ['a batch of one', { batch: { size: 1 } }],
  ['the largest batch', { batch: { size: 1000, afterMs: 300_000 } }],
  ['a form for each batch', { batch: { size: 9 }, contentType: 'application/x-www-form-urlencoded', body: '{}' }],
  ['a thousand requests a second', { requestsPerSecond: 1000 }],
  ['a backfill without limits, said aloud', { backfillPerSecond: null, backfillParallelCount: null }],
  ['an undefined field that has a default', { exportFields: undefined, existingUsers: undefined }],
  ['an undefined description', { description: undefined }],
  ['an address with an @ in its path', { webhookUrl: 'https://example.com/@me' }],
  ['an address with an encoded #', { webhookUrl: 'https://example.com/?key=a%23b' }],
  ['an address in capitals', { webhookUrl: 'HTTPS://EXAMPLE.COM/Hook' }],
  ['both events', { events: ['exit', 'enter'] }],
  ['each kind of answer', { answers: { '200': 'delivered', '202': 'pause', '3xx': 'retry', '599': 'dead-letter' } }],
  ['existing users and nothing but enters', { events: ['enter'], existingUsers: true }],
  ['an address that is a number', { webhookUrl: 'http://[::1]:8080/' }],
  ['a host part of 63 characters', { webhookUrl: `https://${'a'.repeat(63)}.example.com/` }],
  ['a host name of 253 characters and the root dot', { webhookUrl: `https://${'a.'.repeat(126)}b./` }],
])('%s is taken at its edge', (_, changes) => {
  expect(problemsOf({ ...LEAST, ...changes })).toEqual([]);
});

test('blanks around a label, an audience, a web address and an authorization do not count', () => {
  const checked = checkJobDefinition({
    label: ' VIP ',
    audiences: [' vip '],
    webhookUrl: ' https://example.com/hook\n',
    authorization: ' crm ',
  });
  expect(checked).toMatchObject({
    value: { label: 'VIP', audiences: ['vip'], webhookUrl: 'https://example.com/hook', authorization: 'crm' },
  });
});

test.each(FORM_FIELDS)('%s: each mistake with it is a problem at its place, with what was meant', (field) => {
  for (const { definition, field: said, near } of mistakesWith(field)) {
    if (definition === undefined) continue;
    const problems = problemsOf(definition).filter(([place]) => place.replace(/[.[].*/s, '') === said);
    expect({ definition, problems }).toEqual({ definition, problems: expect.arrayContaining([expect.anything()]) });
    if (near !== undefined) expect(problems[0]?.[1]).toContain(`Did you mean "${near}"?`);
  }
});

test.each<[what: string, changes: object, field: string]>([
  ['no label', { label: undefined }, 'label'],
  ['no audiences', { audiences: undefined }, 'audiences'],
  ['no web address', { webhookUrl: undefined }, 'webhookUrl'],
  ['no word about authorization', { authorization: undefined }, 'authorization'],
  ['existing users without enters', { existingUsers: true, events: ['exit'] }, 'existingUsers'],
  ['a batch by GET', { batch: { size: 100 }, method: 'GET' }, 'method'],
  ['a batch without a body for exits', { batch: { size: 100 }, onExit: { method: 'DELETE' } }, 'body'],
  ['a batch whose body is empty', { batch: { size: 100 }, onExit: { body: '' } }, 'onExit.body'],
  ['a batch of events with its own body', { batch: { size: 9 }, envelope: 'cloudevents', body: '[]' }, 'body'],
  ['the second audience', { audiences: ['vip', 5] }, 'audiences[1]'],
  ['a part of an object', { batch: { size: 100, afterMs: '5s' } }, 'batch.afterMs'],
  ['an entry of a table', { answers: { '404': null } }, 'answers.404'],
  ['quiet hours of no time', { quietHours: { from: '22:00', to: '22:00', timeZone: 'UTC' } }, 'quietHours.to'],
  ...[Number.NaN, Infinity, 1e20].map((count): [string, object, string] => [
    `a count of ${count}`,
    { parallelRequestCount: count },
    'parallelRequestCount',
  ]),
])('%s is one problem, at its field', (_, changes, field) => {
  expect(problemsOf({ ...LEAST, ...changes }).map(([place]) => place)).toEqual([field]);
});

const quiet = { from: '22:00', to: '08:00' };

test.each<[changes: object, field: string, near: string]>([
  [{ quietHours: { ...quiet, timeZone: 'Europe/Berlinn' } }, 'quietHours.timeZone', 'Europe/Berlin'],
  [{ quietHours: { ...quiet, timeZone: 'UTC', timezone: 1 } }, 'quietHours.timezone', 'timeZone'],
  [{ batch: { size: 100, after: 5000 } }, 'batch.after', 'afterMs'],
  [{ answers: { '404': 'deliverd' } }, 'answers.404', 'delivered'],
  [{ answers: { '4XX': 'retry' } }, 'answers.4XX', '4xx'],
])('a problem with %j suggests what was meant', (changes, field, near) => {
  const message = expect.stringMatching(new RegExp(`Did you mean "${near}"\\?$`));
  expect(problemsOf({ ...LEAST, ...changes })).toEqual([[field, message]]);
});

test('all problems are reported at once', () => {
  const together = { existingUsers: true, events: ['exit'] };
  const wrong = {
    label: '',
    audiences: ['vip', 7],
    webhookUrl: 'x',
    parallelRequestCount: 0,
    exportFeilds: [],
    ...together,
  };
  expect(problemsOf(wrong).map(([field]) => field)).toEqual([
    'label',
    'audiences[1]',
    'webhookUrl',
    'authorization',
    'parallelRequestCount',
    'exportFeilds',
    'existingUsers',
  ]);
});

test.each([
  ['webhook_url', 'webhookUrl'],
  ['url', 'webhookUrl'],
  ['legacy', 'userLegacyMessageFormat'],
  ['authorisation', 'authorization'],
])('the unknown field %s suggests %s', (key, near) => {
  expect(problemsOf({ ...LEAST, [key]: 'x' })).toEqual([[key, `There is no such field. Did you mean "${near}"?`]]);
});

test.each(['zzz', 'xy', '', 'x'.repeat(100_000)])(
  'an unknown field that is near to none lists all there are',
  (key) => {
    expect(problemsOf({ ...LEAST, [key]: 'x' })[0]?.[1]).toBe(
      `There is no such field. The fields are ${JOB_FIELDS.join(', ')}.`,
    );
  },
);

test.each(['network', 'allowAddresses', 'allowHttp', 'proxy'])(
  '[S10] a job has no field "%s": where requests may go is for the operator of the worker to say',
  (field) => {
    expect(problemsOf({ ...LEAST, [field]: ['10.0.0.0/8'] }).map(([name]) => name)).toEqual([field]);
  },
);

test('a field called __proto__ is an unknown field like any other', () => {
  const hostile: unknown = JSON.parse('{"__proto__":{"label":"x"}}');
  expect(problemsOf(hostile).map(([field]) => field)).toContain('__proto__');
});

test.each([[null], [[]], ['a job'], [5], [undefined], [true]])(
  'a whole that is %j is refused with what a job is',
  (whole) => {
    expect(problemsOf(whole)).toEqual([
      ['', `A job is one JSON object, {…}, with the fields ${JOB_FIELDS.join(', ')}.`],
    ]);
  },
);

test.each([
  'https://me:s3cret@example.com/',
  'https://s3cret@example.com',
  'https://:s3cret@example.com/',
  'https://@example.com/',
  'https://me%3As3cret@example.com/',
  'https://me:s3%40cret@example.com/',
  'https://me:s3@cret@example.com/?a=b',
  'https://s3\ncret@example.com/',
  'https:///me:s3cret@example.com/',
  'https:\\\\me:s3cret@example.com/',
  'https:me:s3cret@example.com',
  'https://s3cret.example\\@example.com/',
])('[S9] a URL with credentials is refused, however it is spelt, and not repeated: %j', (webhookUrl) => {
  const problems = problemsOf({ ...LEAST, webhookUrl });
  expect(problems.map(([field]) => field)).toEqual(['webhookUrl']);
  expect(JSON.stringify(problems)).not.toMatch(/s3|cret/);
});

test('a job reports a request that cannot be sent as a problem at its field, in words', () => {
  const wrong: object[] = [
    { onExit: { methd: 'PUT' } },
    { onExit: { answer: {} } },
    { onEnter: { answers: { '4XX': 'retry', '404': 'deliverd' } } },
    { exportFields: [{ field: 'email', ass: 'x', as: 'y' }] },
    { exportFields: [{ field: 'email' }] },
    { exportFields: ['a.b', { field: 'x', as: 'a' }] },
    { exportFields: [{ field: 'x', as: 'a..b' }] },
    { exportFields: [{ field: 'x', as: '_audience' }] },
    { method: 'GET', body: 'x' },
    { body: '"x"', onExit: { method: 'GET' } },
    { contentType: 'application/x-www-form-urlencoded' },
    { contentType: 'text/xml' },
    { envelope: 'cloudevents', contentType: 'application/json' },
    { envelope: 'cloudevents', body: '' },
    { webhookUrl: 'https://{{ data.host }}/x', onEnter: { webhookUrl: 'https://a.example{% if id %}{% endif %}' } },
    { headers: { 'Content-Type': 'a/b', cookie: 'x', TE: 'x', 'X-A': '1', 'x-a': '2' } },
    { headers: { 'x-city': 'Zürich' }, onExit: { headers: { 'x-bell': '\u0007' } } },
    JSON.parse('{"headers":{"__proto__":"v"}}') as object,
    JSON.parse('{"onEnter":{"headers":{"__proto__":"v"}}}') as object,
    { body: '  ' },
    { body: '{"a": oops}', contentType: 'application/vnd.api+json' },
    { onExit: { body: 'gone' } },
    { envelope: 'cloudevents', body: 'x' },
    { contentType: 'application/x-www-form-urlencoded', body: 'a=b' },
    { contentType: 'application/x-www-form-urlencoded', body: '["a"]' },
    { contentType: 'multipart/form-data', body: 'x' },
    ...['text/plain; charset=iso-8859-1', 'text/xml;charset=UTF-16', 'a/b; charset="utf-8-x"; c=d'].map(
      (contentType) => ({ contentType, body: 'x' }),
    ),
    { events: ['exit'], onEnter: { method: 'PUT' }, onExit: { method: 'DELETE' } },
    { events: ['enter'], onExit: { answers: { '404': 'delivered' } } },
    { onEnter: {}, onExit: { method: null, headers: null } },
    { label: '', events: ['exit'], onEnter: { method: 'PUT' } },
    { exportFields: ['email', 'name', ' email ', { field: 'email', as: 'mail' }, 'name'] },
    { exportFields: [{ field: 'segment_events', as: 'x' }] },
  ];
  const problems = (said: object) => problemsOf({ ...LEAST, ...said }).map((problem) => problem.join(': '));
  expect(Object.fromEntries(wrong.map((said) => [JSON.stringify(said), problems(said)]))).toMatchSnapshot();
});

test.each([
  { method: 'GET', onEnter: { method: 'POST' } },
  { body: '"x"', onExit: { method: 'GET', body: '' } },
  { body: 'x', contentType: 'text/plain; charset=UTF-8' },
  { body: 'x', contentType: 'multipart/form-data; boundary=x' },
  { body: 'x', contentType: 'text/plain; charset="utf-8"; format=flowed' },
  {
    body: '{"a": {{ id }}, oops}',
    headers: { 'x-city': '{{ "Zürich" | url_encode }}', 'x-tab': 'a\tb', 'x-none': '' },
  },
  { contentType: 'text/xml', method: 'DELETE' },
  { contentType: 'application/x-www-form-urlencoded', body: '{}' },
  { envelope: 'cloudevents', method: 'DELETE' },
  { contentType: 'application/vnd.api+json; charset=utf-8' },
  { onEnter: null, onExit: { method: null, body: '' }, headers: null, method: null },
])('%j goes together', (said) => {
  expect(problemsOf({ ...LEAST, ...said })).toEqual([]);
});

test.each([
  ['https://a.example/a\nb\tc', 'a blank'],
  ['https://a.example/a b', 'a blank'],
  ['https://a.example/?q=a\u00a0b', 'a blank'],
  ['https://a.example/a\\b', 'a blank'],
  ['https://a.example/a/../../b', 'a segment'],
  ['https://a.example/.', 'a segment'],
  ['https://a.example/a/%2E./b', 'a segment'],
  ['https://a.example/a/..?b', 'a segment'],
  ['https://a.example/../{{ id }}', 'a segment'],
])('a web address that would not be sent as it is written is refused: %j', (webhookUrl, why) => {
  const message = expect.stringContaining(`The webhook URL has ${why}`);
  expect(problemsOf({ ...LEAST, webhookUrl })).toEqual([['webhookUrl', message]]);
  expect(problemsOf({ ...LEAST, onExit: { webhookUrl } })).toEqual([['onExit.webhookUrl', message]]);
});

test.each([
  'https://a.example/a%20b/..c/d.../...',
  'https://a.example/?path=/a/../b',
  'https://a.example/é?name=ü',
  'https://a.example/{{ id }}/{% if data.a %}x y{% endif %}',
])('%s is sent as it is written, or made of a template', (webhookUrl) => {
  expect(problemsOf({ ...LEAST, webhookUrl })).toEqual([]);
});

test('an end may be written with a small t and z, as RFC 3339 allows', () => {
  const job = { label: 'x', audiences: ['vip'], webhookUrl: 'https://example.com/', authorization: null };
  for (const endsAt of ['2030-01-01t00:00:00z', '2030-01-01t00:00:00.5+01:00'])
    expect(checkJobDefinition({ ...job, endsAt })).toMatchObject({ ok: true, value: { endsAt } });
  expect(checkJobDefinition({ ...job, endsAt: '2030-02-30t00:00:00z' })).toMatchObject({ ok: false });
});

test.each(['Europe/Berlin', 'europe/berlin', 'UTC', 'utc', 'Etc/utc', 'EST', 'Berlin', '+01:00', 'Europe/Berlinn', ''])(
  'a quota and quiet hours take the time zone %j alike',
  (timeZone) => {
    const isRight = /^(europe\/berlin|(etc\/)?utc)$/i.test(timeZone);
    const quietHours = { from: '22:00', to: '08:00', timeZone };
    const quota = { people: 1, per: 'day', timeZone };
    expect(problemsOf({ ...LEAST, quietHours, quota }).map(([field]) => field)).toEqual(
      isRight ? [] : ['quietHours.timeZone', 'quota.timeZone'],
    );
  },
);
