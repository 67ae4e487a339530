import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { deliveryId, membershipText, shortKey } from '../../src/domain/delivery-id.ts';
import { rootSpanId, traceparentOf } from '../../src/features/spans/trace-ids.ts';
import { always, anyText } from '../support/properties.ts';
import { instantOf } from '../../src/domain/instant.ts';

const SUBSCRIPTION = '6d0e47b98c1f4a35b2c7d8e90f1a2b3c';
const trigger = {
  user: '7076027172059065053',
  audience: '42976a269a5e6b9d06c681b1c27292df',
  event: 'enter' as const,
  at: '2020-10-14T13:27:33.916374949-07:00',
};

test('the delivery id is the one of earlier versions, which receivers may have recorded', () => {
  expect(deliveryId(SUBSCRIPTION, trigger)).toBe('9b7a9af0bfb52418e91e2ee8332e50f4');
});

test.each(['2020-10-14T20:27:33.916374949Z', '2020-10-14t20:27:33.916374949z', '2020-10-15T02:57:33.916374949+06:30'])(
  'the same instant, spelt %s, has the same id',
  (at) => {
    expect(deliveryId(SUBSCRIPTION, { ...trigger, at })).toBe(deliveryId(SUBSCRIPTION, trigger));
  },
);

test.each([
  ['another nanosecond', { at: '2020-10-14T13:27:33.916374950-07:00' }],
  ['the same clock elsewhere', { at: '2020-10-14T13:27:33.916374949-06:00' }],
  ['another person', { user: '7076027172059065054' }],
  ['another audience', { audience: '42976a269a5e6b9d06c681b1c27292de' }],
  ['the other event', { event: 'exit' as const }],
])('%s is another delivery', (_, change) => {
  expect(deliveryId(SUBSCRIPTION, { ...trigger, ...change })).not.toBe(deliveryId(SUBSCRIPTION, trigger));
});

test('another job has other ids', () => {
  expect(deliveryId('x', trigger)).not.toBe(deliveryId(SUBSCRIPTION, trigger));
});

test('no two people and audiences run together into one id', () => {
  const part = fc.string({ unit: fc.constantFrom('1', ':', 'a'), minLength: 1, maxLength: 6 });
  always(
    fc.property(part, part, part, part, (user, audience, otherUser, otherAudience) => {
      fc.pre(user !== otherUser || audience !== otherAudience);
      expect(deliveryId(SUBSCRIPTION, { ...trigger, user, audience })).not.toBe(
        deliveryId(SUBSCRIPTION, { ...trigger, user: otherUser, audience: otherAudience }),
      );
      expect(membershipText(user, audience)).not.toBe(membershipText(otherUser, otherAudience));
    }),
  );
});

test('[S26] an id can be signed and named: hex digits, no dot', () => {
  expect(deliveryId(SUBSCRIPTION, trigger)).toMatch(/^[0-9a-f]{32}$/);
  expect(shortKey(membershipText('1', '2'))).toMatch(/^[0-9a-f]{18}$/);
});

const page = readFileSync(new URL('../../docs/tracing.md', import.meta.url), 'utf8');
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

test('a trigger has the same trace and the same root span wherever and however often they are asked for', () => {
  const trigger = { user: 'ada', audience: 'a'.repeat(32), event: 'enter' as const, at: '2026-01-01T00:00:00Z' };
  const id = deliveryId('5'.repeat(32), trigger);
  expect(id).toBe(deliveryId('5'.repeat(32), { ...trigger, at: '2026-01-01T01:00:00.000+01:00' }));
  expect(id).toMatch(/^[0-9a-f]{32}$/);
  expect(rootSpanId(id, 0, sha256)).toMatch(/^[0-9a-f]{16}$/);
  expect(rootSpanId(id, 0, sha256)).toBe(rootSpanId(id, 0, sha256));
  // Each life of a trigger that came back from its dead letter has a root of its own.
  expect(new Set([0, 1, 2].map((redelivery) => rootSpanId(id, redelivery, sha256))).size).toBe(3);
});

test('the header says version, trace, span, and whether it is recorded, as W3C Trace Context has it', () => {
  expect(traceparentOf('ab'.repeat(16), 'cd'.repeat(8), true)).toBe(`00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`);
  expect(traceparentOf('ab'.repeat(16), 'cd'.repeat(8), false)).toMatch(/-00$/);
});

const hasPython = spawnSync('python3', ['--version']).status === 0;

(hasPython ? test : test.skip)('the Python of docs/tracing.md says the same ids as we do, of any trigger', () => {
  const [, program = ''] = /^```python\n(.*?)^```$/ms.exec(page) ?? [];
  const triggers = fc.sample(
    fc.record({
      subscription: fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 32, maxLength: 32 }),
      user: fc.oneof(fc.string(), anyText()).map((text) => text.toWellFormed()),
      audience: fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 32, maxLength: 32 }),
      event: fc.constantFrom('enter' as const, 'exit' as const),
      at: fc
        .date({ min: new Date('1971-01-01'), max: new Date('2100-01-01'), noInvalidDate: true })
        .map((date) => instantOf(date.getTime())),
    }),
    { numRuns: 200, seed: 7 },
  );
  const script = `${program}
import json, sys
for t in json.load(sys.stdin):
    trace = trace_id(t["subscription"], t["user"], t["audience"], t["event"], t["at"])
    print(trace, root_span_id(trace))
`;
  const said = execFileSync('python3', ['-c', script], { input: JSON.stringify(triggers), encoding: 'utf8' });
  const ours = triggers.map(({ subscription, ...trigger }) => {
    const id = deliveryId(subscription, trigger);
    return `${id} ${rootSpanId(id, 0, sha256)}`;
  });
  expect(said.trimEnd().split('\n')).toEqual(ours);
});
