import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { checkJobDefinition } from '../../src/contract/export-job.ts';
import { shownText, shownUrl } from '../../src/domain/mask-url.ts';
import { always } from '../support/properties.ts';

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
