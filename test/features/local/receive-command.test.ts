import { expect, test } from '@jest/globals';
import { arrivalText } from '../../../src/features/local/receive-command.ts';

test('the terminal of the receiver shows any request and does nothing else', () => {
  const hostile = '\u001b[2J\u202e';
  const line = arrivalText({
    arrivedAtMs: Date.UTC(2026, 10, 25, 8, 30),
    deliveryId: '\u001b[2J',
    inFlight: 1,
    target: `POST /${hostile}`,
    message: { user: hostile, slug: hostile, audience: '', event: 'enter', at: '' },
  } as Parameters<typeof arrivalText>[0]); // The rest of an arrival is not shown.
  expect(line).toContain(String.raw`08:30:00.000  enter  \u001b[2J\u202e  \u001b[2J\u202e  /\u001b[2J\u202e`);
  expect(line).not.toMatch(/[\p{Cc}\u202e]/u);
});

test('the receiver prints the path of a request, and its method when that is not POST', () => {
  const shown = (target: string): string =>
    arrivalText({ number: 1, deliveryId: undefined, message: undefined, target, arrivedAtMs: 0, inFlight: 1 });
  const what = '00:00:00.000  a request that is not a trigger message';
  expect(shown('POST /crm?to=vip')).toBe(`${what}  /crm?to=vip  (1 in flight)`);
  expect(shown('PUT /')).toBe(`${what}  PUT /  (1 in flight)`);
  expect(shown('POST /')).toBe(`${what}  (1 in flight)`);
});

test('a batch shows up to twenty elements, and none of them can control the terminal', () => {
  const message = { user: '7\u001b[2J', slug: 'vip', audience: '', event: 'exit', at: '' } as const;
  const elements = [
    { deliveryId: 'f1c51a9fc5c236e2', message },
    { deliveryId: undefined, message: undefined },
  ];
  const text = (more: typeof elements) =>
    arrivalText({
      arrivedAtMs: Date.UTC(2026, 10, 25, 8, 30),
      deliveryId: '0123456789abcdef',
      inFlight: 2,
      message: undefined,
      elements: [...elements, ...more],
      target: 'POST /hook',
      number: 1,
    });
  expect(text([]).split('\n')).toEqual([
    '08:30:00.000  a batch of 2  /hook  (2 in flight)  0123456789ab',
    String.raw`              exit   7\u001b[2J  vip  f1c51a9fc5c2`,
    '              something that is not a trigger message',
  ]);
  const many = text(Array.from({ length: 500 }, () => elements).flat()).split('\n');
  expect([many.length, many.at(-1)]).toEqual([22, '              … and 982 more']);
});
