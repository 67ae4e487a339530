import { expect, test } from '@jest/globals';
import { exactTime, printable, printableReason, shownTime } from '../../src/domain/text.ts';

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
