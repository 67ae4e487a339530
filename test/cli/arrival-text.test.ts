import { expect, test } from '@jest/globals';
import { arrivalText } from '../../src/cli/arrival-text.ts';

test('whoever posts to the receiver, its terminal shows what arrived and does nothing else', () => {
  const hostile = '\u001b[2J\u202e';
  const line = arrivalText({
    arrivedAtMs: Date.UTC(2026, 10, 25, 8, 30),
    deliveryId: '\u001b[2J',
    inFlight: 1,
    message: { user: hostile, slug: hostile, audience: '', event: 'enter', at: '' },
  } as Parameters<typeof arrivalText>[0]); // The rest of an arrival is not shown.
  expect(line).toContain(String.raw`08:30:00.000  enter  \u001b[2J\u202e  \u001b[2J\u202e`);
  expect(line).not.toMatch(/[\p{Cc}\u202e]/u);
});
