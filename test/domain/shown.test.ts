import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { checkJobDefinition } from '../../src/contract/export-job.ts';
import type { PreparedJob } from '../../src/contract/ports.ts';
import { describeDeadLetter } from '../../src/domain/dead-letter.ts';
import { FORM_DEFAULTS } from '../../src/domain/form-fields.ts';
import {
  deadLetterDetails,
  exactTime,
  printable,
  printableReason,
  shownTime,
  shownToPeople,
  shownText,
  shownUrl,
} from '../../src/domain/shown.ts';
import { urlDigests } from '../../src/domain/twins.ts';
import { aDeadLetter } from './a-dead-letter.ts';
import { always } from '../support/properties.ts';

const started = Date.UTC(2026, 10, 25);

test('the details of a dead letter say what it is, what the endpoint answered and what to do', () => {
  const details = deadLetterDetails(describeDeadLetter(aDeadLetter(), 'waiting', started, undefined));
  expect(details.split('\n')).toEqual([
    '**enter of 7076027172059065053**',
    '',
    '| | |',
    '|---|---|',
    '| State | Waits for a person. Signal "redeliver" to send it after all (last in its person\'s order, with the same id), or "discard" to drop it. |',
    '| Job | crm |',
    '| Person | 7076027172059065053 |',
    '| Audience | vip (Very important) |',
    '| Event | enter at 2020-10-14 20:27:33.916374949 UTC |',
    '| Last attempt | 2026-11-25 04:00:00 UTC: HTTP 422 "no such field" |',
    '| Attempts | 1 |',
    '| Given up | 2026-11-25 04:00:01 UTC |',
    '| Kept until | 2026-12-25 00:00:00 UTC |',
  ]);
});

test('the details of a dead letter say why it was not redelivered, next to its state', () => {
  const details = deadLetterDetails(
    describeDeadLetter(aDeadLetter(), 'waiting', started, { text: 'The person left.', isForceable: true }),
  );
  expect(details.split('\n')[5]).toBe('| Not redelivered | The person left. |');
});

test.each(['2026-11-30T10:05:09.120000000+01:00', '2026-11-30T09:05:09.12Z', '2026-11-30t09:05:09.120z'])(
  'the time %s is shown in one form',
  (at) => {
    expect([shownTime(at), exactTime(at)]).toEqual(['2026-11-30 09:05:09 UTC', '2026-11-30 09:05:09.12 UTC']);
  },
);

test('a whole second has no fraction, and what is no time is shown as it is', () => {
  expect(exactTime('2026-11-30T10:00:00.000000000+00:00')).toBe('2026-11-30 10:00:00 UTC');
  expect([shownTime('now'), exactTime('now')]).toEqual(['now', 'now']);
});

test('the answer of an endpoint cannot become markup', () => {
  const failure = { at: '', status: 422, answer: '</td>|[x](http://evil)\n# no' };
  const details = deadLetterDetails(describeDeadLetter(aDeadLetter({ failure }), 'waiting', started, undefined));
  expect(details).toContain('HTTP 422 "\\</td\\>\\|\\[x\\](http://evil) # no"');
});

const prepared: PreparedJob & { ok: true } = {
  ok: true,
  definition: {
    ...FORM_DEFAULTS,
    label: 'VIP to CRM',
    audiences: ['vip'],
    webhookUrl: 'https://example.com/hook',
    authorization: null,
    exportFields: [],
  },
  audiences: [{ id: '42976a269a5e6b9d06c681b1c27292df', slug: 'vip', name: 'VIP' }],
  warnings: [],
  sourceLagMs: 0,
  missingSearchAttributes: [],
  requestTimeoutMs: 15_000,
  alertBacklogMs: 900_000,
  serverLimits: { payloadBytes: 1, signalsPerRun: 1, eventsPerRun: 1 },
};

test('a started job can be found by its id, its state and its audiences', () => {
  const { memo, typedSearchAttributes } = shownToPeople('vip-to-crm', prepared);
  expect(memo).toEqual({
    label: 'VIP to CRM',
    audiences: [{ id: '42976a269a5e6b9d06c681b1c27292df', slug: 'vip' }],
    sendsTo: urlDigests(prepared.definition),
  });
  expect(typedSearchAttributes?.map(({ key, value }) => [key.name, value])).toEqual([
    ['ExportJobId', 'vip-to-crm'],
    ['ExportJobStatus', 'running'],
    ['ExportAudiences', ['42976a269a5e6b9d']],
  ]);
});

test('a namespace without the search attributes does not keep a job from starting', () => {
  const lacking = { ...prepared, missingSearchAttributes: ['ExportJobId'] };
  expect(shownToPeople('vip', lacking)).not.toHaveProperty('typedSearchAttributes');
});

test('a long label fits into the summary that the server takes', () => {
  const long = { ...prepared, definition: { ...prepared.definition, label: '顧'.repeat(200) } };
  expect(Buffer.byteLength(shownToPeople('vip', long).staticSummary)).toBeLessThan(310);
});

test.each([
  ['\u001b[2Jwiped', String.raw`\u001b[2Jwiped`],
  ['a\r\nb\tc', String.raw`a\u000d\u000ab\u0009c`],
  ['\u009b31m', String.raw`\u009b31m`],
  ['\u202egnp.exe', String.raw`\u202egnp.exe`],
  ['Zoë 顧客 😀', 'Zoë 顧客 😀'],
])('%j is shown as %s', (text, shown) => {
  expect(printable(text)).toBe(shown);
});

test('a reason of several lines is shown as one paragraph, with everything else escaped', () => {
  expect(printableReason('vip.ndjson is wrong.\n  gold.ndjson is, too.\u001b[2J')).toBe(
    String.raw`vip.ndjson is wrong. gold.ndjson is, too.\u001b[2J`,
  );
});

test.each([
  ['https://example.com', 'https://example.com'],
  ['https://example.com/', 'https://example.com/'],
  ['https://example.com:8443/hook', 'https://example.com:8443/…'],
  ['https://hooks.slack.example/services/T000/B000/XXXX', 'https://hooks.slack.example/…'],
  ['https://example.com/hook?token=s3cret&tenant=7', 'https://example.com/…?token=…&tenant=…'],
  ['https://example.com?list[0].id=s3cret', 'https://example.com?list[0].id=…'],
  ['http://[::1]:9000/hook', 'http://[::1]:9000/…'],
])('the URL %s is shown as %s', (url, shown) => {
  expect(shownUrl(url)).toBe(shown);
});

test.each([
  ['a query without a name', 'https://example.com/?s3cret', 'https://example.com/?…'],
  ['a name without a value', 'https://example.com/?s3cret=', 'https://example.com/?…'],
  ['a value without a name', 'https://example.com/?=s3cret', 'https://example.com/?…'],
  ['a name that is none', 'https://example.com/?s3cret%3D1=2', 'https://example.com/?…'],
  ['a name as long as a key', `https://example.com/?s3cret${'0'.repeat(35)}=1`, 'https://example.com/?…'],
  ['a value with an = in it', 'https://example.com/?a=b=s3cret', 'https://example.com/?a=…'],
  ['a parameter after ;', 'https://example.com/?a=b;key=s3cret', 'https://example.com/?a=…'],
  ['a user', 'https://s3cret@example.com/', 'https://example.com/'],
  ['a password', 'https://me:s3cret@example.com/', 'https://example.com/'],
  ['a password with an @', 'https://me:s3@cret@example.com/', 'https://example.com/'],
  ['a path behind a \\', 'https://example.com\\s3cret', 'https://example.com/…'],
  ['a fragment', 'https://example.com/#s3cret', 'https://example.com/'],
  ['a fragment after a query', 'https://example.com/?a=b#s3cret', 'https://example.com/?a=…'],
  ['an address without //', 'https:me:s3cret@example.com', '…'],
  ['an address with a third /', 'https:///me:s3cret@example.com', '…'],
  ['what is no web address', 's3cret', '…'],
])('%s stays hidden', (_, url, shown) => {
  expect(shownUrl(url)).toBe(shown);
});

test('[S23] any URL the form accepts is shown with its origin, without path or values, and never gets longer', () => {
  const secret = fc
    .string({ minLength: 1, unit: fc.constantFrom(...'Xy0%/@:=;.\\ \u202e') })
    .map((text) => `S${text}S`);
  always(
    fc.property(fc.constantFrom('/', '/a/', '?k=', '/?&a=1&b='), secret, (middle, text) => {
      const url = `https://hooks.example.com:8443${middle}${text}`;
      const base = { label: 'VIP', audiences: ['vip'], authorization: null };
      fc.pre(checkJobDefinition({ ...base, webhookUrl: url }).ok);
      const shown = shownUrl(url);
      expect(new URL(shown).origin).toBe(new URL(url).origin);
      expect(shown.slice('https://hooks.example.com:8443'.length)).not.toMatch(/[SXy\u202e]/);
      expect(shown.length).toBeLessThanOrEqual(url.length);
      expect(shownUrl(shown)).toBe(shown);
      // What is shown stands in for the URL when an edit that leaves it alone is checked.
      expect(checkJobDefinition({ ...base, webhookUrl: shown }).ok).toBe(true);
    }),
  );
});

test.each([
  ['see https://hooks.example/T0KEN/x?token=abc, please', 'see https://hooks.example/…?token=… please'],
  ['(HTTPS://u:pw@hooks.example/s3cret)', '(HTTPS://hooks.example/…'],
  ['moved to postgres://ada:pw@db/prod and amqps://x', 'moved to … and …'],
  ['their database moves: 3/4 of it', 'their database moves: 3/4 of it'],
])('[S22] a reason shows no secret of a URL in it: %s', (text, shown) => {
  expect(shownText(text)).toBe(shown);
});

test('masking the URLs of a text twice changes nothing more, and makes it no longer', () => {
  always(
    fc.property(fc.array(fc.oneof(fc.webUrl({ withQueryParameters: true }), fc.string())), (parts) => {
      const once = shownText(parts.join(' '));
      expect(once.length).toBeLessThanOrEqual(parts.join(' ').length);
      expect(shownText(once)).toBe(once);
    }),
  );
});
