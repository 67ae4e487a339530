import { expect, test } from '@jest/globals';
import { printable } from '../../src/domain/printable.ts';

test.each([
  ['\u001b[2Jwiped', String.raw`\u001b[2Jwiped`],
  ['a\r\nb\tc', String.raw`a\u000d\u000ab\u0009c`],
  ['\u009b31m', String.raw`\u009b31m`],
  ['\u202egnp.exe', String.raw`\u202egnp.exe`],
  ['Zoë 顧客 😀', 'Zoë 顧客 😀'],
])('%j is shown as %s', (text, shown) => {
  expect(printable(text)).toBe(shown);
});
