import { expect, test } from '@jest/globals';
import { checkJobDefinition, JOB_FIELDS } from '../../src/contract/export-job.ts';

const LEAST = { label: 'VIP', audiences: ['vip'], webhookUrl: 'https://example.com/hook', authorization: null };

function problemsOf(input: unknown): [field: string, message: string][] {
  const checked = checkJobDefinition(input);
  return checked.ok ? [] : checked.problems.map(({ field, message }) => [field, message]);
}

test('a job needs four fields, and the rest has defaults', () => {
  expect(checkJobDefinition(LEAST)).toEqual({
    ok: true,
    value: {
      ...LEAST,
      exportFields: [],
      existingUsers: false,
      userLegacyMessageFormat: false,
      memberships: false,
      parallelRequestCount: 5,
      backfillPerSecond: null,
      backfillParallelCount: null,
      events: null,
      method: null,
      headers: null,
      contentType: null,
      body: null,
      onEnter: null,
      onExit: null,
      envelope: null,
      requestsPerSecond: null,
      answers: null,
      endsAt: null,
      retryFor: null,
      batch: null,
      quietHours: null,
      quota: null,
      stale: 'send',
    },
  });
});

test('every field may be said, and stays as it was said', () => {
  const full = {
    label: 'VIP to CRM',
    description: 'For the sales team',
    audiences: ['vip', 'ab'.repeat(16)],
    webhookUrl: 'https://example.com:8443/hook?tenant=1',
    authorization: 'crm',
    exportFields: ['email', { field: 'user_attributes.value', as: 'contact.value' }],
    existingUsers: true,
    userLegacyMessageFormat: true,
    memberships: true,
    parallelRequestCount: 500,
    backfillPerSecond: 0.5,
    backfillParallelCount: 2,
    events: ['exit', 'enter'],
    method: 'PUT',
    headers: { 'x-list': '{{ audience.slug }}' },
    contentType: 'application/json; charset=utf-8',
    body: '{"email": {{ data.email | json }}}',
    onEnter: { headers: {} },
    onExit: { webhookUrl: 'https://example.com/members/{{ id }}', method: 'DELETE', body: '' },
    envelope: null,
    requestsPerSecond: 0.1,
    answers: { '404': 'delivered', '5xx': 'dead-letter' },
    endsAt: '2030-01-01T00:00:00.000000001+01:00',
    retryFor: '1h30m',
    batch: null,
    quietHours: { from: '00:00', to: '23:59', timeZone: 'UTC', days: ['sun'], meanwhile: 'drop' },
    quota: { people: 1, per: 'hour', timeZone: 'UTC' },
    stale: 'drop',
  };
  expect(checkJobDefinition(full)).toEqual({ ok: true, value: full });
  expect(Object.keys(full).toSorted()).toEqual(JOB_FIELDS.toSorted());
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
  ['an empty description', { description: '' }],
  ['an address with an @ in its path', { webhookUrl: 'https://example.com/@me' }],
  ['an address with an @ in its query', { webhookUrl: 'https://example.com?to=me@example.com' }],
  ['an address with an encoded #', { webhookUrl: 'https://example.com/?key=a%23b' }],
  ['an address in capitals', { webhookUrl: 'HTTPS://EXAMPLE.COM/Hook' }],
  ['both events', { events: ['exit', 'enter'] }],
  ['each kind of answer', { answers: { '200': 'delivered', '202': 'pause', '3xx': 'retry', '599': 'dead-letter' } }],
  ['both events, said aloud', { events: null, existingUsers: true }],
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

const SAY_NULL =
  'Name an authorization of the worker, or give null if the webhook endpoint does not require authorization.';

const EVENTS = 'Events must be a list of "enter", "exit" or both, such as ["enter"].';

const BATCH = 'A batch is an object, such as {"size": 100, "afterMs": 5000}.';
const BATCH_SIZE = 'The size of a batch must be a whole number of triggers, from 1 to 1000.';
const BATCH_AFTER =
  'The time after which a batch goes although it is not full must be a whole number of milliseconds, from 0 to 300000.';

const TABLE = 'Answers must be an object that says what statuses mean, such as {"404": "delivered", "5xx": "retry"}.';
const MEANINGS = 'Write "delivered", "retry", "dead-letter" or "pause".';
const STATUSES = 'Name a status from 200 to 599, such as "404", or a class: "3xx", "4xx" or "5xx".';

const quotaOf = (more: object) => ({ quota: { people: 1000, per: 'day', timeZone: 'UTC', ...more } });
const QUOTA = 'A quota must be an object such as {"people": 1000, "per": "day", "timeZone": "Europe/Berlin"}.';
const PEOPLE = 'The quota must be a whole number of people, from 1 to 1000000000.';
const quiet = (more: object) => ({ quietHours: { from: '22:00', to: '08:00', timeZone: 'Europe/Berlin', ...more } });
const QUIET = 'Quiet hours must be an object such as {"from": "22:00", "to": "08:00", "timeZone": "Europe/Berlin"}.';
const TIME = 'Write a time of day as hours and minutes, from "00:00" to "23:59".';
const ZONE = 'Name a time zone of the IANA database, such as "Europe/Berlin" or "UTC".';
const DAYS =
  'Days must be a list of "mon", "tue", "wed", "thu", "fri", "sat", "sun": those on which quiet hours begin. Leave it out for every day.';

const DURATION = 'How long a trigger is tried must be a duration with its unit, such as "90s", "30m", "6h" or "2d".';

const END = 'The end must be a time with its zone, such as "2030-01-01T00:00:00+01:00" or "2029-12-31T23:00:00Z".';

const NO_HOST =
  'The webhook URL has a host name that cannot exist: its parts, between dots, have 1 to 63 characters each, and all of it at most 253.';

test.each<[what: string, changes: object, field: string, message: string]>([
  ['a host part of 64 characters', { webhookUrl: `https://${'a'.repeat(64)}.example.com/` }, 'webhookUrl', NO_HOST],
  ['a host name of 254 characters', { webhookUrl: `https://${'a.'.repeat(126)}bc/` }, 'webhookUrl', NO_HOST],
  ['a host name with nothing between two dots', { webhookUrl: 'https://hooks..example.com/' }, 'webhookUrl', NO_HOST],
  ['no label', { label: undefined }, 'label', 'Give the job a label, so that people can tell it from others.'],
  [
    'no event',
    { events: [] },
    'events',
    'Name at least one event: a job that sends neither enters nor exits sends nothing.',
  ],
  ['an event twice', { events: ['exit', 'exit'] }, 'events', 'Name each event once.'],
  ['another event', { events: ['enters'] }, 'events[0]', 'There are two events, "enter" and "exit".'],
  ['an event of 5', { events: [5] }, 'events[0]', EVENTS],
  ['one event without a list', { events: 'enter' }, 'events', EVENTS],
  [
    'existing users without enters',
    { existingUsers: true, events: ['exit'] },
    'existingUsers',
    'Existing users are sent as enters, and "events" leaves those out. Add "enter" to it, or leave existing users out.',
  ],
  ['quiet hours as text', { quietHours: '22:00-08:00' }, 'quietHours', QUIET],
  ['an hour alone', quiet({ from: '22' }), 'quietHours.from', TIME],
  ['an end at midnight as 24', quiet({ to: '24:00' }), 'quietHours.to', TIME],
  ['no end of quiet hours', quiet({ to: undefined }), 'quietHours.to', TIME],
  [
    'quiet hours of no time',
    quiet({ to: '22:00' }),
    'quietHours.to',
    'Quiet hours that end when they begin would be none, or all day. Pause the job to send nothing.',
  ],
  ['a city', quiet({ timeZone: 'Berlin' }), 'quietHours.timeZone', `${ZONE} Did you mean "Europe/Berlin"?`],
  ['an abbreviation', quiet({ timeZone: 'CET' }), 'quietHours.timeZone', ZONE],
  ['an offset', quiet({ timeZone: '+01:00' }), 'quietHours.timeZone', ZONE],
  [
    'a misspelt time zone',
    quiet({ timeZone: 'Europe/Berlinn' }),
    'quietHours.timeZone',
    `${ZONE} Did you mean "Europe/Berlin"?`,
  ],
  ['a day as in a calendar', quiet({ days: ['monday'] }), 'quietHours.days[0]', DAYS],
  ['no day', quiet({ days: [] }), 'quietHours.days', DAYS],
  ['a day twice', quiet({ days: ['mon', 'mon'] }), 'quietHours.days', 'Name each day once.'],
  [
    'another thing to do meanwhile',
    quiet({ meanwhile: 'hold' }),
    'quietHours.meanwhile',
    'Write "wait" (what comes meanwhile is sent afterwards) or "drop" (it is not sent).',
  ],
  [
    'a misspelt part of quiet hours',
    quiet({ timezone: 'UTC' }),
    'quietHours.timezone',
    'There is no such field. Did you mean "timeZone"?',
  ],
  ['a quota of a number', { quota: 1000 }, 'quota', QUOTA],
  ['a quota of nobody', quotaOf({ people: 0 }), 'quota.people', PEOPLE],
  ['a quota of half a person', quotaOf({ people: 0.5 }), 'quota.people', PEOPLE],
  ['a quota of text', quotaOf({ people: '1000' }), 'quota.people', PEOPLE],
  ['a quota a month', quotaOf({ per: 'month' }), 'quota.per', 'Write "hour", "day" or "week".'],
  ['a quota without a zone', quotaOf({ timeZone: undefined }), 'quota.timeZone', ZONE],
  [
    'a misspelt part of a quota',
    quotaOf({ zone: 'UTC' }),
    'quota.zone',
    'There is no such field. Did you mean "timeZone"?',
  ],
  ['28 of what', { retryFor: 28 }, 'retryFor', DURATION],
  ['28 of what, as text', { retryFor: '28' }, 'retryFor', DURATION],
  ['a week and more', { retryFor: '7d1s' }, 'retryFor', 'A trigger must be tried for at most seven days ("7d").'],
  ['less than a minute', { retryFor: '59s' }, 'retryFor', 'A trigger must be tried for at least a minute ("1m").'],
  ['an end without a zone', { endsAt: '2030-01-01T00:00:00' }, 'endsAt', END],
  ['an end without seconds', { endsAt: '2030-01-01T00:00Z' }, 'endsAt', END],
  ['an end on a day that there is not', { endsAt: '2030-02-29T00:00:00Z' }, 'endsAt', END],
  ['an end in ms', { endsAt: 1893452400000 }, 'endsAt', END],
  ['a batch of 5', { batch: 5 }, 'batch', BATCH],
  ['a batch without a size', { batch: {} }, 'batch.size', BATCH_SIZE],
  ['a batch of nobody', { batch: { size: 0 } }, 'batch.size', BATCH_SIZE],
  ['a batch of 1001', { batch: { size: 1001 } }, 'batch.size', BATCH_SIZE],
  ['a batch in quotes', { batch: { size: '100' } }, 'batch.size', BATCH_SIZE],
  ['a batch that waits too long', { batch: { size: 100, afterMs: 300_001 } }, 'batch.afterMs', BATCH_AFTER],
  ['a batch that waits for a text', { batch: { size: 100, afterMs: '5s' } }, 'batch.afterMs', BATCH_AFTER],
  [
    'a misspelt part of a batch',
    { batch: { size: 100, after: 5000 } },
    'batch.after',
    'There is no such field. Did you mean "afterMs"?',
  ],
  ['a batch by GET', { batch: { size: 100 }, method: 'GET' }, 'method', 'A GET has no body. Leave out "batch".'],
  [
    'a batch without a body for exits',
    { batch: { size: 100 }, onExit: { method: 'DELETE' } },
    'body',
    'A batch is a body. Say in "body" what it looks like, or leave "batch" out.',
  ],
  [
    'a batch whose body is empty',
    { batch: { size: 100 }, onExit: { body: '' } },
    'onExit.body',
    'A batch is a body. Say in "body" what it looks like, or leave "batch" out.',
  ],
  [
    'a batch of events with a body of its own',
    { batch: { size: 100 }, envelope: 'cloudevents', body: '[]' },
    'body',
    'In a batch, the envelope is put around the default body of each. Leave "body" out, or the envelope.',
  ],
  ['no answer', { answers: {} }, 'answers', TABLE],
  ['a list of answers', { answers: ['404'] }, 'answers', TABLE],
  ['an answer without a meaning', { answers: { '404': null } }, 'answers.404', MEANINGS],
  ['a misspelt meaning', { answers: { '404': 'deliverd' } }, 'answers.404', `${MEANINGS} Did you mean "delivered"?`],
  ['a misspelt class', { answers: { '4XX': 'retry' } }, 'answers.4XX', `${STATUSES} Did you mean "4xx"?`],
  ['a status that is none', { answers: { '600': 'retry' } }, 'answers.600', STATUSES],
  [
    'all successes as failures',
    { answers: { '2xx': 'retry' } },
    'answers.2xx',
    'Only a single status can be another than delivered: name those that are meant, such as "202".',
  ],
  ['a label of null', { label: null }, 'label', 'The label must be text.'],
  ['a label of blanks', { label: '  ' }, 'label', 'The label must not be empty.'],
  [
    'a label that controls a terminal',
    { label: '\u001b]0;x\u0007VIP' },
    'label',
    'The label must not contain control characters or line breaks.',
  ],
  ['a long label', { label: 'x'.repeat(201) }, 'label', 'The label must have at most 200 characters.'],
  ['half a character', { label: '\ud800' }, 'label', 'The label contains half of a character, which cannot be sent.'],
  ['a description of 5', { description: 5 }, 'description', 'The description must be text.'],
  ['no audiences', { audiences: undefined }, 'audiences', 'Choose at least one audience.'],
  ['an empty list of audiences', { audiences: [] }, 'audiences', 'Choose at least one audience.'],
  [
    'one audience without a list',
    { audiences: 'vip' },
    'audiences',
    'Audiences must be a list of audience slugs or ids, such as ["vip"].',
  ],
  [
    'too many audiences',
    { audiences: Array.from({ length: 101 }, (_, i) => `a${i}`) },
    'audiences',
    'Choose at most 100 audiences.',
  ],
  ['an audience of 5', { audiences: ['vip', 5] }, 'audiences[1]', 'An audience must be text.'],
  ['an audience without a name', { audiences: [''] }, 'audiences[0]', 'An audience must not be empty.'],
  [
    'no web address',
    { webhookUrl: undefined },
    'webhookUrl',
    'Give the webhook URL that receives the messages, such as https://example.com/hook.',
  ],
  [
    'an empty web address',
    { webhookUrl: ' ' },
    'webhookUrl',
    'Give the webhook URL that receives the messages, such as https://example.com/hook.',
  ],
  ['a web address of 5', { webhookUrl: 5 }, 'webhookUrl', 'The webhook URL must be text.'],
  [
    'an address of mail',
    { webhookUrl: 'mailto:a@example.com' },
    'webhookUrl',
    'The webhook URL is not a web address. It should look like https://example.com/hook.',
  ],
  [
    'an address without https',
    { webhookUrl: 'example.com/hook' },
    'webhookUrl',
    'The webhook URL is not a web address. It should look like https://example.com/hook.',
  ],
  [
    'a fragment in the address',
    { webhookUrl: 'https://example.com/?key=a#b' },
    'webhookUrl',
    'The webhook URL must not contain a #: what follows it is never sent to a server. Leave it out, or write %23 if it belongs to a value.',
  ],
  [
    'a long web address',
    { webhookUrl: `https://example.com/${'x'.repeat(2048)}` },
    'webhookUrl',
    'The webhook URL must have at most 2048 characters.',
  ],
  ['no word about authorization', { authorization: undefined }, 'authorization', SAY_NULL],
  ['an authorization of true', { authorization: true }, 'authorization', SAY_NULL],
  ['an authorization without a name', { authorization: '' }, 'authorization', 'The authorization must not be empty.'],
  [
    'one field without a list',
    { exportFields: 'email' },
    'exportFields',
    'Export fields must be a list of field names, such as ["email", "first_name"].',
  ],
  ['an export field of null', { exportFields: [null] }, 'exportFields[0]', 'An export field must be text.'],
  ['existing users in quotes', { existingUsers: 'true' }, 'existingUsers', 'Existing users must be true or false.'],
  [
    'the legacy format as null',
    { userLegacyMessageFormat: null },
    'userLegacyMessageFormat',
    'User legacy message format must be true or false.',
  ],
  ...[null, '5', 2.5, 0.5, 500.5, Number.NaN, Infinity].map((count): [string, object, string, string] => [
    `a count of ${String(count)}`,
    { parallelRequestCount: count },
    'parallelRequestCount',
    'The parallel request count must be a whole number.',
  ]),
  ...['3', 1.5].map((count): [string, object, string, string] => [
    `a count of the backfill of ${String(count)}`,
    { backfillParallelCount: count },
    'backfillParallelCount',
    'The parallel count of the backfill must be a whole number.',
  ]),
  [
    'a count of 0',
    { parallelRequestCount: 0 },
    'parallelRequestCount',
    'The parallel request count must be at least 1.',
  ],
  ...[501, 1e20].map((count): [string, object, string, string] => [
    `a count of ${count}`,
    { parallelRequestCount: count },
    'parallelRequestCount',
    'The parallel request count must be at most 500.',
  ]),
])('%s is one problem, at its field, in words that say what to write', (_, changes, field, message) => {
  expect(problemsOf({ ...LEAST, ...changes })).toEqual([[field, message]]);
});

test('every problem is told at once', () => {
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
  ['labell', 'label'],
  ['webhook_url', 'webhookUrl'],
  ['WebhookURL', 'webhookUrl'],
  ['url', 'webhookUrl'],
  ['w-e-b-h-o-o-k-u-r-l', 'webhookUrl'],
  ['legacy', 'userLegacyMessageFormat'],
  ['export-field', 'exportFields'],
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

test.each([[null], [[]], ['a job'], [5], [undefined], [true]])('a whole that is %j is told what a job is', (whole) => {
  expect(problemsOf(whole)).toEqual([['', `A job is one JSON object, {…}, with the fields ${JOB_FIELDS.join(', ')}.`]]);
});

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

const NO_ASCII =
  'The value of a header may have no characters but those of ASCII. Encode it, or have a template do it: {{ audience.name | url_encode }}.';
const NOTHING_DIFFERENT = 'This says of nothing that it is different. Leave it out, or give null.';
const NO_JSON = 'The body is not JSON, which its content type says that it is.';

test.each<[said: object, problems: string[][]]>([
  [{ onExit: { methd: 'PUT' } }, [['onExit.methd', 'There is no such field. Did you mean "method"?']]],
  [{ onExit: { answer: {} } }, [['onExit.answer', 'There is no such field. Did you mean "answers"?']]],
  [
    { onEnter: { answers: { '4XX': 'retry', '404': 'deliverd' } } },
    [
      ['onEnter.answers.404', 'Write "delivered", "retry", "dead-letter" or "pause". Did you mean "delivered"?'],
      [
        'onEnter.answers.4XX',
        'Name a status from 200 to 599, such as "404", or a class: "3xx", "4xx" or "5xx". Did you mean "4xx"?',
      ],
    ],
  ],
  [
    { exportFields: [{ field: 'email', ass: 'x', as: 'y' }] },
    [['exportFields[0].ass', 'There is no such field. Did you mean "as"?']],
  ],
  [
    { exportFields: [{ field: 'email' }] },
    [['exportFields[0].as', 'The name under which a field is sent must be text.']],
  ],
  [
    { exportFields: ['a.b', { field: 'x', as: 'a' }] },
    [['exportFields[1].as', '"a.b" is sent there, too. Give each field a place of its own.']],
  ],
  [
    { exportFields: [{ field: 'x', as: 'a..b' }] },
    [['exportFields[0].as', 'Between its dots, and around them, a name must not be empty.']],
  ],
  [
    { exportFields: [{ field: 'x', as: '_audience' }] },
    [['exportFields[0].as', 'The message has something of its own under this name.']],
  ],
  [{ method: 'GET', body: 'x' }, [['method', 'A GET has no body. Leave out "body" (or give it as "").']]],
  [
    { body: '"x"', onExit: { method: 'GET' } },
    [['onExit.method', 'A GET has no body. Leave out "body" (or give it as "").']],
  ],
  [
    { contentType: 'application/x-www-form-urlencoded' },
    [['contentType', 'A form is made from a JSON object of its values. Say in "body" which.']],
  ],
  [{ contentType: 'text/xml' }, [['contentType', 'The default body is JSON. Say in "body" what is sent instead.']]],
  [
    { envelope: 'cloudevents', contentType: 'application/json' },
    [['contentType', 'The envelope has a content type of its own. Leave "contentType" out.']],
  ],
  [{ envelope: 'cloudevents', body: '' }, [['body', 'There must be a body to put an envelope around.']]],
  [
    { webhookUrl: 'https://{{ data.host }}/x', onEnter: { webhookUrl: 'https://a.example{% if id %}{% endif %}' } },
    [
      ['webhookUrl', 'The host of a webhook URL cannot be a template; only its path and query can be.'],
      ['onEnter.webhookUrl', 'The host of a webhook URL cannot be a template; only its path and query can be.'],
    ],
  ],
  [
    { headers: { 'Content-Type': 'a/b', cookie: 'x', TE: 'x', 'X-A': '1', 'x-a': '2' } },
    [
      ['headers.Content-Type', 'Say it as "contentType".'],
      [
        'headers.cookie',
        'That is a secret. Put it into an authorization in the worker\'s configuration, and name that in "authorization".',
      ],
      ['headers.TE', 'The worker sets this header itself.'],
      ['headers.x-a', 'This header is given twice.'],
    ],
  ],
  [
    { headers: { 'x-city': 'Zürich' }, onExit: { headers: { 'x-bell': '\u0007' } } },
    [
      ['headers.x-city', NO_ASCII],
      ['onExit.headers.x-bell', NO_ASCII],
    ],
  ],
  [JSON.parse('{"headers":{"__proto__":"v"}}') as object, [['headers.__proto__', 'Nothing can have this name.']]],
  [
    JSON.parse('{"onEnter":{"headers":{"__proto__":"v"}}}') as object,
    [['onEnter.headers.__proto__', 'Nothing can have this name.']],
  ],
  [{ body: '  ' }, [['body', NO_JSON]]],
  [{ body: '{"a": oops}', contentType: 'application/vnd.api+json' }, [['body', NO_JSON]]],
  [{ onExit: { body: 'gone' } }, [['onExit.body', NO_JSON]]],
  [{ envelope: 'cloudevents', body: 'x' }, [['body', NO_JSON]]],
  [
    { contentType: 'application/x-www-form-urlencoded', body: 'a=b' },
    [['body', 'The body is not JSON, which a form is made from.']],
  ],
  [
    { contentType: 'application/x-www-form-urlencoded', body: '["a"]' },
    [['body', 'A form is made from a JSON object of its values.']],
  ],
  [
    { contentType: 'multipart/form-data', body: 'x' },
    [
      [
        'contentType',
        'Nobody can read multipart without its boundary. Say the one that "body" has: multipart/form-data; boundary=x.',
      ],
    ],
  ],
  ...['text/plain; charset=iso-8859-1', 'text/xml;charset=UTF-16', 'a/b; charset="utf-8-x"; c=d'].map(
    (contentType): [said: object, problems: string[][]] => [
      { contentType, body: 'x' },
      [['contentType', 'The body is sent in UTF-8. Say charset=utf-8, or leave the charset out.']],
    ],
  ),
  [
    { events: ['exit'], onEnter: { method: 'PUT' }, onExit: { method: 'DELETE' } },
    [['onEnter', 'The job sends no enters ("events"). Leave this out, or add "enter" there.']],
  ],
  [
    { events: ['enter'], onExit: { answers: { '404': 'delivered' } } },
    [['onExit', 'The job sends no exits ("events"). Leave this out, or add "exit" there.']],
  ],
  [
    { onEnter: {}, onExit: { method: null, headers: null } },
    [
      ['onEnter', NOTHING_DIFFERENT],
      ['onExit', NOTHING_DIFFERENT],
    ],
  ],
  [
    { label: '', events: ['exit'], onEnter: { method: 'PUT' } },
    [
      ['label', 'The label must not be empty.'],
      ['onEnter', 'The job sends no enters ("events"). Leave this out, or add "enter" there.'],
    ],
  ],
  [
    { exportFields: ['email', 'name', ' email ', { field: 'email', as: 'mail' }, 'name'] },
    [
      ['exportFields[2]', '"email" is named twice. Name each field once.'],
      ['exportFields[4]', '"name" is named twice. Name each field once.'],
    ],
  ],
  [
    { exportFields: [{ field: 'segment_events', as: 'x' }] },
    [['exportFields[0].as', 'It is always sent, and always under this name.']],
  ],
])('what cannot be sent is a problem of the job: %j', (said, problems) => {
  expect(problemsOf({ ...LEAST, ...said })).toEqual(problems);
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

const BLANK =
  'The webhook URL has a blank, a line break, another control character or a backslash in it, which would not be sent as it is. Write %20 for a blank, and %5C for a backslash.';
const DOTS =
  'The webhook URL has a segment "." or ".." in its path, which would not be sent as it is. Write the path that is meant.';

test.each([
  ['https://a.example/a\nb\tc', BLANK],
  ['https://a.example/a b', BLANK],
  ['https://a.example/?q=a\u00a0b', BLANK],
  ['https://a.example/a\\b', BLANK],
  ['https://a.example/a/../../b', DOTS],
  ['https://a.example/.', DOTS],
  ['https://a.example/a/%2E./b', DOTS],
  ['https://a.example/a/..?b', DOTS],
  ['https://a.example/../{{ id }}', DOTS],
])('a web address that would not be sent as it is written is refused: %j', (webhookUrl, message) => {
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
