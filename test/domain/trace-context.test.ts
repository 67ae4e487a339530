import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from '@jest/globals';
import { deliveryId } from '../../src/domain/delivery-id.ts';
import { instantOf } from '../../src/domain/instant.ts';
import { rootSpanId, traceparentOf } from '../../src/domain/trace-context.ts';

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
      user: fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' })).map((text) => text.toWellFormed()),
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
