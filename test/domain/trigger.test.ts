import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readTrigger } from '../../src/domain/trigger.ts';
import { always } from '../support/properties.ts';

const good = { user: '7076027172059065053', audience: 'vip' };

const reasonOf = (raw: unknown, event?: 'enter' | 'exit', maxBytes?: number) => {
  const reading = readTrigger(raw, event, maxBytes);
  return reading.ok ? undefined : reading.reason;
};

function nested(levels: number): unknown {
  return JSON.parse(`${'['.repeat(levels)}1${']'.repeat(levels)}`);
}

test('the least trigger is a person and an audience; the signal says what happened', () => {
  expect(readTrigger(good, 'enter')).toEqual({ ok: true, trigger: { ...good, event: 'enter' } });
});

test('optional fields of a trigger are kept as they are', () => {
  const at = '2020-10-14T13:27:33.916374949-07:00';
  const profile = { loyalty: 9007199254740993n };
  expect(readTrigger({ ...good, at, profile }, 'exit')).toEqual({
    ok: true,
    trigger: { ...good, event: 'exit', at, profile: '{"loyalty":9007199254740993}' },
  });
});

test('a trigger may itself say what happened', () => {
  expect(readTrigger({ ...good, event: 'exit' })).toMatchObject({ ok: true, trigger: { event: 'exit' } });
});

test('a trigger that says something else than its signal is refused: nobody knows which is meant', () => {
  expect(reasonOf({ ...good, event: 'exit' }, 'enter')).toBe('its "event" says something else than the signal "enter"');
  expect(reasonOf({ ...good, event: 'exits' }, 'exit')).toBe('its "event" says something else than the signal "exit"');
  expect(readTrigger({ ...good, event: 'exit' }, 'exit')).toMatchObject({ trigger: { event: 'exit' } });
  expect(readTrigger({ ...good, event: null }, 'enter')).toMatchObject({ trigger: { event: 'enter' } });
});

test('unknown keys are ignored, so that the shape can grow', () => {
  expect(readTrigger({ ...good, score: 5, __proto__: { user: 'x' } }, 'enter').ok).toBe(true);
});

test.each<[what: unknown, reason: string]>([
  [null, 'a trigger must be a JSON object, but this is null'],
  [undefined, 'a trigger must be a JSON object, but this is missing'],
  ['enter', 'a trigger must be a JSON object, but this is a string'],
  [[good], 'a trigger must be a JSON object, but this is an array'],
  [{}, '"user" must be a string, it is missing'],
  [{ ...good, user: 7 }, '"user" must be a string, it is a number (ids exceed what a JSON number can hold)'],
  [{ ...good, user: 7n }, '"user" must be a string, it is a number (ids exceed what a JSON number can hold)'],
  [{ ...good, user: '' }, '"user" must have 1 to 255 characters'],
  [{ ...good, user: 'x'.repeat(256) }, '"user" must have 1 to 255 characters'],
  [{ ...good, user: 'x\ud800' }, '"user" is not valid Unicode'],
  [{ user: '1' }, '"audience" must be a slug or id'],
  [{ ...good, audience: ['vip'] }, '"audience" must be a slug or id'],
  [{ ...good, audience: 'x'.repeat(256) }, '"audience" must be a slug or id'],
  [{ ...good, at: 'now' }, '"at" must be an RFC 3339 time, such as "2026-11-25T08:30:00.000000001Z"'],
  [{ ...good, at: 1 }, '"at" must be an RFC 3339 time, such as "2026-11-25T08:30:00.000000001Z"'],
  [{ ...good, profile: 'x' }, '"profile" must be a JSON object, it is a string'],
  [{ ...good, profile: [] }, '"profile" must be a JSON object, it is an array'],
  [{ ...good, profile: { a: nested(200) } }, '"profile" is nested more than 200 levels deep'],
])('%j is refused with a reason that helps', (raw, reason) => {
  expect(reasonOf(raw, 'enter')).toBe(reason);
});

test('a profile that is nested deeper than the stack is refused like any other', () => {
  expect(reasonOf({ ...good, profile: { a: nested(30_000) } }, 'enter')).toBe(
    '"profile" is nested more than 200 levels deep',
  );
});

test('a profile that is nested as deep as anybody needs is taken', () => {
  expect(reasonOf({ ...good, profile: { a: nested(199) } }, 'enter')).toBeUndefined();
});

test.each([undefined, null, 'ENTER', 'entered', 5])(
  'an event of %j is refused where the signal does not give the event',
  (event) => {
    expect(reasonOf({ ...good, event })).toBe('"event" must be "enter" or "exit"');
  },
);

test('a trigger has at most 64 KiB, counted in bytes', () => {
  const withText = (text: string) => ({ ...good, profile: { text } });
  expect(reasonOf(withText('x'.repeat(65_000)), 'enter')).toBeUndefined();
  expect(reasonOf(withText('x'.repeat(65_536)), 'enter')).toMatch(/^it has \d+ bytes; at most 65536 are accepted$/);
  expect(reasonOf(withText('ü'.repeat(33_000)), 'enter')).toMatch(/at most 65536/);
  expect(reasonOf(withText('x'.repeat(3000)), 'enter', 2048)).toMatch(/at most 2048/);
});

test('reading a trigger never throws, whatever is signalled', () => {
  const anything = fc.anything({ withBigInt: true, withNullPrototype: true, withDate: true, withSparseArray: true });
  const nearly = fc.record(
    { user: anything, audience: anything, at: anything, profile: anything, event: anything },
    { requiredKeys: [] },
  );
  always(
    fc.property(fc.oneof(anything, nearly), fc.constantFrom('enter', 'exit', undefined), (raw, event) => {
      const reading = readTrigger(raw, event);
      expect(reading.ok || reading.reason.length > 0).toBe(true);
    }),
  );
});

test('null is absent, as many languages write it', () => {
  expect(readTrigger({ ...good, at: null, profile: null }, 'enter')).toEqual(
    readTrigger(withoutOptional(good), 'enter'),
  );
});

function withoutOptional({ user, audience }: { user: string; audience: string }) {
  return { user, audience };
}
