import { expect, test } from '@jest/globals';
import { createPushClock } from '../../src/client/push/push.ts';
import { stringifyJson } from '../../src/domain/json.ts';
import { readTrigger } from '../../src/domain/trigger.ts';
import { type RunTrigger, triggersIn } from '../../src/domain/trigger-run.ts';
import { bytesAfter, spilledRun, triggerRun } from '../../src/client/push/writing-runs.ts';

const enter = (user: string, at?: string): RunTrigger => ({
  event: 'enter',
  audience: 'vip',
  user,
  ...(at === undefined ? {} : { at }),
});

/** As it comes out of the signal. */
const signalled = (triggers: readonly RunTrigger[]): readonly unknown[] =>
  triggersIn([JSON.parse(JSON.stringify(triggerRun(triggers)))]);

test.each([
  ['none', []],
  ['one', [enter('1', '2026-11-25T08:30:00Z')]],
  ['one without a time', [enter('1'), enter('2')]],
  ['times of their own', [enter('1', '2026-11-25T08:30:00Z'), enter('2', '2026-11-25T08:30:00.000000001Z')]],
  [
    'the same time',
    [enter('1', '2026-11-25T08:30:00.000000001+00:00'), enter('2', '2026-11-25T08:30:00.000000001+00:00')],
  ],
  [
    'a second later',
    [enter('1', '2026-11-25T08:30:00.000000001+00:00'), enter('2', '2026-11-25T08:30:01.000000002+00:00')],
  ],
  [
    'a second that ends',
    [enter('1', '2026-11-25T08:30:00.999999999+00:00'), enter('2', '2026-11-25T08:30:01.000000000+00:00')],
  ],
  [
    'another zone',
    [enter('1', '2026-11-25T08:30:00.000000001+01:00'), enter('2', '2026-11-25T08:30:00.000000002+01:00')],
  ],
  ['a run', [1, 2, 3, 5, 6].map((n) => enter(String(n), `2026-11-25T08:30:00.00000000${n}+00:00`))],
])('a run says the same as the list: %s', (_, triggers) => {
  expect(signalled(triggers)).toEqual(triggers);
});

test('triggers pushed without times are signalled with a single time', () => {
  const clock = createPushClock(() => Date.UTC(2026, 10, 26, 8, 30));
  const triggers = Array.from({ length: 100 }, (_, i) => enter(String(i), clock()));
  const run = triggerRun(triggers);
  expect(run.triggers.filter(({ at }) => at !== undefined)).toHaveLength(1);
  expect(signalled(triggers)).toEqual(triggers);
});

test('the bytes that a trigger takes in a run are known in advance', () => {
  const triggers = [1, 2, 4, 5].map((n) => enter('ü'.repeat(n), `2026-11-25T08:30:00.00000000${n}+00:00`));
  const bytes = triggers.map((one, i) => bytesAfter(triggers[i - 1], one, Buffer.byteLength(stringifyJson(one))));
  expect(bytes).toEqual(triggerRun(triggers).triggers.map((one) => Buffer.byteLength(stringifyJson(one))));
});

test('an invalid trigger keeps its place in the run, and gives no time to those after it', () => {
  const first = enter('1', '2026-11-25T08:30:00.000000001+00:00');
  expect(triggersIn([{ triggers: [enter('0'), first, 7, enter('2'), { ...enter('3'), at: 9 }, enter('4')] }])).toEqual([
    enter('0'),
    first,
    7,
    enter('2', '2026-11-25T08:30:00.000000002+00:00'),
    { ...enter('3'), at: 9 },
    enter('4'),
  ]);
});

test('an argument of a signal is a trigger, an array or a run; a signal without arguments counts as one', () => {
  expect(triggersIn([])).toEqual([undefined]);
  expect(triggersIn([enter('1'), [enter('2'), [7]], { triggers: [enter('3')] }, { triggers: 7 }])).toEqual([
    enter('1'),
    enter('2'),
    [7],
    enter('3'),
    { triggers: 7 },
  ]);
});

test('a profile that comes as text is the one that comes as an object, to the letter', () => {
  const profile = '{"b":9007199254740993,"a":[1.0,"\\u00fc"]}';
  const [raw] = signalled([{ ...enter('1'), profile }]);
  expect(readTrigger(raw)).toEqual({ ok: true, trigger: { ...enter('1'), profile } });
});

test.each([
  ['not JSON', '{"a":', 'it is a string'],
  ['a list', '[1]', 'it is an array'],
  ['a number', '1', 'it is a number'],
  ['nested too deep', `${'{"a":'.repeat(201)}1${'}'.repeat(201)}`, 'more than 200 levels'],
])('a text that is no profile is refused: %s', (_, profile, why) => {
  const [raw] = signalled([{ ...enter('1'), profile }]);
  expect(readTrigger(raw)).toEqual({ ok: false, reason: expect.stringContaining(why) as unknown });
});

test('only a run of triggers has profiles as text', () => {
  const [raw] = triggersIn([{ ...enter('1'), profile: '{}' }]);
  expect(readTrigger(raw)).toMatchObject({ ok: false });
});

const HOLDER = `h${'1'.repeat(15)}`;

test('a run whose profiles are held has their places, and the holder has them in that order', () => {
  const triggers = [
    { ...enter('1', '2026-11-25T08:30:00.000000001+00:00'), profile: '{"n":1}' },
    enter('2', '2026-11-25T08:30:00.000000002+00:00'),
    { ...enter('3', '2026-11-25T08:30:00.000000003+00:00'), profile: '{"n":3}' },
  ];
  const { run, content } = spilledRun(triggers, HOLDER);
  expect(content).toEqual({ profiles: ['{"n":1}', '{"n":3}'] });
  const [first, second, third] = triggersIn([JSON.parse(JSON.stringify(run))]);
  expect(readTrigger(first)).toMatchObject({ ok: true, trigger: { user: '1', profileRef: [HOLDER, 0] } });
  expect(readTrigger(second)).toMatchObject({ ok: true, trigger: { user: '2' } });
  expect(readTrigger(third)).toMatchObject({
    ok: true,
    trigger: { user: '3', at: '2026-11-25T08:30:00.000000003+00:00', profileRef: [HOLDER, 1] },
  });
  for (const one of [first, second, third]) expect(readTrigger(one)).not.toHaveProperty('trigger.profile');
  expect(readTrigger(second)).not.toHaveProperty('trigger.profileRef');
});

test.each([
  ['no holder', undefined, 0],
  ['another workflow', 'holder-1', 0],
  ['no place', HOLDER, -1],
])('a place of a profile with %s is rejected, rather than sent without that profile', (_, profilesIn, profile) => {
  const [trigger] = triggersIn([{ triggers: [{ ...enter('1'), profile }], profilesIn }]);
  expect(readTrigger(trigger)).toMatchObject({ ok: false, reason: expect.stringContaining('"profile"') });
});
