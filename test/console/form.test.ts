import { describe, expect, test } from '@jest/globals';
import {
  changesOf,
  definitionOf,
  type Draft,
  draftOf,
  editedOf,
  editOf,
  EMPTY_DRAFT,
  fieldOf,
  hasField,
  withField,
} from '../../src/console/form.ts';
import { ago, clockTime, jobSentence, spanWord, utc } from '../../src/console/words.ts';
import { shellWord } from '../../src/words/text.ts';
import { toneOf } from '../../src/words/status-rows.ts';
import { readDuration } from '../../src/contract/duration.ts';
import { checkJobDefinition, type JobDefinitionInput } from '../../src/contract/export-job.ts';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { EDITABLE_FIELDS, editableOf, FORM_DEFAULTS } from '../../src/domain/form.ts';
import { RIGHT } from '../contract/a-mistake.ts';

const PLAIN: JobDefinitionInput = {
  label: 'VIPs',
  audiences: ['vip'],
  webhookUrl: 'https://example.com/hook',
  authorization: null,
};

const { existingUsers: _, ...EDITABLE } = RIGHT;

/** Says something in every field of the form that an edit takes, in the words that the form itself uses. */
const EVERYTHING: JobDefinitionInput = {
  ...EDITABLE,
  authorization: 'crm',
  description: 'Two\nlines',
  exportFields: ['email', { field: 'first_name', as: 'given' }],
  userLegacyMessageFormat: true,
  parallelRequestCount: 7,
  events: ['exit'],
  headers: { 'x-list': '7', 'x-colon': 'a: b', 'x-empty': '' },
  body: '  {{ id }}\n ',
  envelope: 'cloudevents',
  batch: { size: 10, afterMs: 0 },
};

/** What a job may say, and the form has no means to say in the same words. */
const UNSAYABLE: JobDefinitionInput = {
  ...PLAIN,
  description: ' ',
  events: ['exit', 'enter'],
  method: 'POST',
  headers: { 'x-space': ' two ' },
  body: '  ',
  exportFields: ['save as draft'],
  answers: {},
};

const draft = (more: Partial<Draft>): Draft => ({ ...draftOf(PLAIN), ...more });
const typed = (more: Partial<Draft>) => definitionOf(draft(more));

describe('typed values become the definition of a job', () => {
  test('every field of a job comes back from the form as it was', () => {
    for (const field of EDITABLE_FIELDS)
      expect([field, EVERYTHING[field]]).not.toEqual([field, Reflect.get(FORM_DEFAULTS, field)]);
    expect(definitionOf(draftOf(EVERYTHING))).toEqual({ definition: EVERYTHING, problems: [] });
  });

  test('an untouched form defines no more than a job needs', () => {
    expect(typed({}).definition).toEqual({ ...PLAIN, exportFields: [], parallelRequestCount: 5 });
    expect(checkJobDefinition(typed({}).definition).ok).toBe(true);
  });

  test('spaces around values are removed, except in a body', () => {
    const spaced = typed({
      label: ' VIPs ',
      webhookUrl: ' https://example.com/hook ',
      retryFor: ' 6h ',
      endsAt: ' 2030-01-01T00:00:00Z ',
      contentType: ' text/plain ',
      parallelRequestCount: ' 7 ',
      body: ' {{ id }} ',
    });
    expect(spaced).toEqual({
      definition: {
        ...PLAIN,
        exportFields: [],
        retryFor: '6h',
        endsAt: '2030-01-01T00:00:00Z',
        contentType: 'text/plain',
        parallelRequestCount: 7,
        body: ' {{ id }} ',
      },
      problems: [],
    });
  });

  test.each(['description', 'body', 'headers', 'contentType', 'onEnter', 'quota', 'batchSize', 'retryFor'] as const)(
    'a %s of nothing but spaces is not set',
    (field) => {
      expect(typed({ [field]: ' \n ' })).toEqual(typed({}));
    },
  );

  test('the box for an empty body counts, whatever the field holds', () => {
    expect(typed({ body: 'text', bodyIsEmpty: true }).definition.body).toBe('');
    expect(draftOf({ ...PLAIN, body: '' })).toMatchObject({ body: '', bodyIsEmpty: true });
  });

  test('choosing no authorization differs from making no choice', () => {
    expect(definitionOf({ ...EMPTY_DRAFT, authorization: null }).problems).toEqual([]);
    const { definition, problems } = definitionOf(EMPTY_DRAFT);
    expect(definition).not.toHaveProperty('authorization');
    expect(problems).toEqual([{ field: 'authorization', message: expect.stringContaining('Choose one') }]);
  });
});

describe('numbers', () => {
  const FIELDS = ['parallelRequestCount', 'backfillPerSecond', 'backfillParallelCount', 'requestsPerSecond'] as const;

  test.each(['five', '5 requests', '1,000', '5,5', 'Infinity', '1e999', '0x10', '0b1', '١', 'NaN', '--1', '1_000'])(
    '%s is not a number in any field, and the form does not send it',
    (text) => {
      for (const field of FIELDS) {
        const { definition, problems } = typed({ [field]: text });
        expect(problems).toEqual([{ field, message: 'Enter a number.' }]);
        expect(definition).not.toHaveProperty(field);
      }
      for (const more of [{ batchSize: text }, { batchSize: '10', batchAfterMs: text }]) {
        const { definition, problems } = typed(more);
        expect(problems).toEqual([{ field: 'batch', message: 'Enter a number.' }]);
        expect(definition).not.toHaveProperty('batch');
      }
    },
  );

  test.each([
    ['0', 0],
    ['-3', -3],
    ['+4', 4],
    ['0.5', 0.5],
    ['.5', 0.5],
    ['1e9', 1e9],
  ])('%s is a number, and the check of the form decides whether it is allowed', (text, number) => {
    expect(typed({ requestsPerSecond: text }).definition.requestsPerSecond).toBe(number);
    expect(typed({ batchSize: text }).definition.batch).toEqual({ size: number });
  });

  test('a time for a batch without a size is a problem', () => {
    expect(typed({ batchAfterMs: '100' }).problems).toEqual([{ field: 'batch', message: expect.any(String) }]);
  });
});

describe('export fields', () => {
  test.each([
    ['email', 'email'],
    ['first_name as given', { field: 'first_name', as: 'given' }],
    ['first_name   as   given as name', { field: 'first_name', as: 'given as name' }],
    ['"save as draft"', 'save as draft'],
    ['"save as draft" as "x as y"', { field: 'save as draft', as: 'x as y' }],
    ['"half', '"half'],
    ['asas', 'asas'],
    ['as as as', { field: 'as', as: 'as' }],
  ])('%s', (line, field) => {
    expect(typed({ exportFields: ` ${line} \n\n` }).definition.exportFields).toEqual([field]);
  });

  test('any name that a job may have comes back as it was', () => {
    const names = ['save as draft', '"quoted"', ' as ', 'a\nb', 'a.b', 'émail 🎉', '\u05d0 as \u05d1'];
    const exportFields = names.flatMap((name) => [name, { field: name, as: `${name} as x` }]);
    expect(typed({ exportFields: draftOf({ ...PLAIN, exportFields }).exportFields }).definition.exportFields).toEqual(
      exportFields,
    );
  });

  test('the box of a field adds it once, and removes nothing else', () => {
    const lines = withField('email as mail', 'save as draft', true);
    expect(hasField(lines, 'save as draft')).toBe(true);
    expect(withField(lines, 'save as draft', true)).toBe(lines);
    expect(hasField(lines, 'email')).toBe(false);
    expect(withField(lines, 'save as draft', false)).toBe('email as mail');
    expect(withField('email as mail', 'email', false)).toBe('email as mail');
  });
});

describe('headers', () => {
  test('headers are one a line; a value may have colons, and may be empty', () => {
    const { definition, problems } = typed({ headers: '\n x-a :1\nx-b:\n\n  x-c: a: b\n' });
    expect({ headers: definition.headers, problems }).toEqual({
      headers: { 'x-a': '1', 'x-b': '', 'x-c': 'a: b' },
      problems: [],
    });
  });

  test('a header without a colon or a name, or with a repeated name, is a problem', () => {
    for (const headers of ['x-a', 'x-a: 1\n: 2', 'x-a: 1\nX-A: 2'])
      expect(typed({ headers }).problems).toEqual([{ field: 'headers', message: expect.any(String) }]);
  });

  test('no header is lost, even if objects have a property of that name', () => {
    const { headers } = typed({ headers: '__proto__: 1\nconstructor: 2' }).definition;
    expect(Object.entries(headers ?? {})).toEqual([
      ['__proto__', '1'],
      ['constructor', '2'],
    ]);
  });
});

describe('fields written as JSON', () => {
  const FIELDS = ['onEnter', 'onExit', 'answers', 'quietHours', 'quota'] as const;

  test('a JSON field is read as JSON, and half-typed text is a problem of that field', () => {
    for (const field of FIELDS) {
      expect(typed({ [field]: ' {"a": 1} ' }).definition[field]).toEqual({ a: 1 });
      for (const text of ['{"a": 1', '{a: 1}', "{'a': 1}", 'a']) {
        const { definition, problems } = typed({ [field]: text });
        expect(problems).toEqual([{ field, message: expect.any(String) }]);
        expect(definition).not.toHaveProperty(field);
      }
    }
  });

  test('a key that an object has twice is a problem, at any depth, and by whatever escape', () => {
    for (const field of FIELDS)
      for (const text of ['{"a": 1, "a": 2}', '{"b": {"a": 1, "\\u0061": 2}}'])
        expect(typed({ [field]: text }).problems).toEqual([
          { field, message: expect.stringContaining('"a" appears twice') },
        ]);
    expect(typed({ answers: '{"a": {"b": 1}, "b": 1}' }).problems).toEqual([]);
  });
});

describe('editing a job', () => {
  test.each([
    ['everything', EVERYTHING],
    ['what the form cannot say', UNSAYABLE],
    ['no more than it must', PLAIN],
  ])('an untouched edit of a job that says %s changes nothing', (_, before) => {
    expect(editedOf(before, draftOf(before)).problems).toEqual([]);
    expect(changesOf(before, editedOf(before, draftOf(before)).definition)).toEqual([]);
  });

  test.each([
    ['everything', EVERYTHING],
    ['what the form cannot say', UNSAYABLE],
  ])('an edit of one field of a job that says %s changes that field alone', (_, before) => {
    const { definition } = editedOf(before, { ...draftOf(before), parallelRequestCount: '9' });
    expect(editOf(changesOf(before, definition))).toEqual({ parallelRequestCount: 9 });
    expect(definition).toEqual({ ...before, parallelRequestCount: 9 });
  });

  test('an edit removes emptied fields', () => {
    const emptied = { ...PLAIN, label: EVERYTHING.label, webhookUrl: EVERYTHING.webhookUrl, authorization: 'crm' };
    const { definition } = editedOf(EVERYTHING, draftOf(emptied));
    expect(editOf(changesOf(EVERYTHING, definition))).toEqual({
      description: null,
      ...editableOf(FORM_DEFAULTS),
    });
  });

  test('an edit ignores another order of names, but not another order of a list', () => {
    const before = { ...PLAIN, headers: { a: '1', b: '2' }, exportFields: ['a', 'b'] };
    expect(changesOf(before, { ...before, headers: { b: '2', a: '1' } })).toEqual([]);
    expect(changesOf(before, { ...before, exportFields: ['b', 'a'] })).toEqual([
      { field: 'exportFields', from: ['a', 'b'], to: ['b', 'a'] },
    ]);
  });
});

test.each([
  ['onEnter.headers.x-a', 'onEnter'],
  ['audiences[2]', 'audiences'],
  ['label', 'label'],
  ['', ''],
])('a problem of %s stands at the field %s', (field, place) => {
  expect(fieldOf({ field, message: '' })).toBe(place);
});

describe('words', () => {
  const NOW = Date.parse('2026-11-27T12:00:00Z');
  const at = (seconds: number): string => new Date(NOW + seconds * 1000).toISOString();

  describe('times', () => {
    test('a time is relative to now, in the past and in the future', () => {
      expect([at(-8), at(0), at(1), at(120)].map((one) => ago(one, NOW))).toEqual([
        '8 s ago',
        'now',
        'now',
        'in 2 min',
      ]);
    });

    test('a time on another day names that day', () => {
      expect(clockTime(at(0), NOW)).not.toContain(',');
      expect(clockTime(at(-3 * 86_400), NOW)).toMatch(/24.*, |24, /);
    });

    test('a time is shown in UTC, and an invalid one as it is', () => {
      expect(utc('2026-11-27T12:00:00.123456789+01:00')).toBe('2026-11-27 11:00:00.123 UTC');
      expect([utc('soon'), ago('soon', NOW), clockTime('soon', NOW)]).toEqual(['soon', 'soon', 'soon']);
    });
  });

  test('a state that nobody listed is bad', () => {
    expect([toneOf('running'), toneOf('kept'), toneOf('terminated')]).toEqual(['good', 'quiet', 'bad']);
    expect([toneOf('held'), toneOf('waiting')]).toEqual(['caution', 'good']);
  });

  describe('the sentence about a job', () => {
    const status = (more: Partial<JobStatus>): JobStatus =>
      ({
        state: 'running',
        waiting: 0,
        inFlight: 0,
        delayed: 0,
        waits: {},
        parallelRequestCount: 5,
        ...more,
      }) as JobStatus; // All that it reads.
    const said = (more: Partial<JobStatus>): string => jobSentence(status(more), NOW);

    test.each<[string, Partial<JobStatus>]>([
      ['Up to date: nothing is waiting.', {}],
      // What is left for a person to decide about is no part of what waits, and is not passed over.
      ['Up to date: nothing is waiting apart from 5 dead letters.', { deadLettersWaiting: 5 }],
      ['Paused: nothing is waiting apart from 1 dead letter.', { state: 'paused', deadLettersWaiting: 1 }],
      ['Sending: 1 request of at most 5 in flight, 1 trigger waits.', { waiting: 1, inFlight: 1 }],
      ['2 triggers wait, 1 person for the next attempt.', { waiting: 2, delayed: 1 }],
      ['3 triggers wait, 2 people for the next attempt.', { waiting: 3, delayed: 2 }],
      [
        'Paused by an operator. Triggers are accepted and kept. 2 triggers wait.',
        { state: 'paused', reason: 'Paused by an operator. Triggers are accepted and kept.', waiting: 2 },
      ],
      ['Paused: nothing is waiting.', { state: 'paused' }],
      ['Stopped. It accepts no more triggers.', { state: 'stopped' }],
      [
        'Stopped. The label is missing. It accepts no more triggers.',
        { state: 'stopped', reason: 'The label is missing.' },
      ],
      [
        'Stopped. It keeps 1 trigger until you resume it, and accepts no more until then.',
        { state: 'stopped', kept: { waiting: 1, keptAt: at(-60) } },
      ],
      // How to do so in a terminal is not said where there is a button.
      [
        'Terminated. Undelivered triggers can be recovered. Until then, the job accepts no triggers.',
        { state: 'terminated', reason: 'Recover it before you start it again.', recoverableUntil: at(3600) },
      ],
      [
        'Failed. Its definition is wrong. It accepts no more triggers.',
        { state: 'failed', reason: 'Its definition is wrong.', recoverableUntil: at(3600), problems: [] },
      ],
      ['Stopping: nothing is waiting.', { state: 'stopping' }],
      [
        'Asked to stop; what is waiting is kept for a later resume. 1 trigger waits.',
        { state: 'stopping', reason: 'Asked to stop; what is waiting is kept for a later resume.', waiting: 1 },
      ],
      [
        'The endpoint asked to wait; the next request goes in 30 s. 1 trigger waits.',
        { waiting: 1, waits: { endpoint: at(30) } },
      ],
      ['Quiet hours, which end in 2 h: 1 trigger waits.', { waiting: 1, waits: { quiet: at(7200) } }],
    ])('%s', (sentence, more) => {
      expect(said(more)).toBe(sentence);
    });

    test('times in a reason use the clock of the reader', () => {
      const reason = `Asked to stop; what is left at ${at(-60)} is kept.`;
      expect(said({ state: 'stopping', reason })).toBe(
        `Asked to stop; what is left at ${clockTime(at(-60), NOW)} is kept. Nothing is waiting.`,
      );
    });

    test('the sentence names a problem before current activity', () => {
      const endpoint = { state: 'unhealthy', nextProbeAt: at(5) } as const;
      expect(said({ endpoint, waiting: 4, inFlight: 1, lastFailure: { at: at(-1), status: 503 } })).toBe(
        'The endpoint is not accepting requests (HTTP 503): 4 triggers wait; the next probe is in 5 s.',
      );
    });
  });

  test.each([
    ['vip', 'vip'],
    ['a b', "'a b'"],
    ["it's; rm", String.raw`'it'\''s; rm'`],
    ['', "''"],
  ])('%s is a word of a command as %s', (text, word) => {
    expect(shellWord(text)).toBe(word);
  });

  test.each([1_000, 90_000, 300_000, 5_400_000, 7_200_000, 604_800_000, 1_500])(
    'a span of %d ms is written as commands take it',
    (ms) => expect(readDuration(spanWord(ms))).toBe(ms),
  );

  test('a span has the largest unit of which it is a whole number', () => {
    expect([300_000, 5_400_000, 604_800_000].map(spanWord)).toEqual(['5m', '90m', '7d']);
  });
});
