import { expect, test } from '@jest/globals';
import { JOB_FIELDS } from '../../src/contract/export-job.ts';
import {
  problemsText,
  readBackfillRequest,
  readEdit,
  readNothing,
  readRedeliverRequest,
  readStopRequest,
} from '../../src/domain/requests.ts';

const READERS = {
  backfill: readBackfillRequest,
  stop: readStopRequest,
  edit: readEdit,
  redeliver: readRedeliverRequest,
  pause: readNothing,
};
type Reader = keyof typeof READERS;

/** The text of what is wrong with a request; undefined when nothing is. */
function wrongWith(reader: Reader, ...args: unknown[]): string | undefined {
  const reading = READERS[reader](args);
  return reading.ok ? undefined : problemsText(reading.problems);
}

const DIFFERENCE = { id: '0c1f6a6e-8a31-4c56-9d0a-3f1f9f3f2a10', enters: 0, exits: 2 };

test.each<[Reader, unknown, string]>([
  ['backfill', { audience: ['sm'], samples: 1 }, 'Did you mean "audiences"?'],
  ['backfill', { audience: ['sm'], samples: 1 }, 'Did you mean "sample"?'],
  ['backfill', { requestID: 'r' }, 'Did you mean "requestId"?'],
  ['stop', { wating: 'keep' }, 'Did you mean "waiting"?'],
  ['stop', { deadline: 5 }, 'Did you mean "deadlineMs"?'],
  ['edit', { exportField: ['email'] }, 'Did you mean "exportFields"?'],
  ['redeliver', { froce: true }, 'Did you mean "force"?'],
  ['pause', { job: 'x' }, 'There is no such field.'],
])('a misspelt key of %s is refused, and not ignored: %j', (reader, raw, says) => {
  expect(wrongWith(reader, raw)).toContain(says);
});

test.each<[Reader, unknown]>([
  ['backfill', 'cancel'],
  ['backfill', ['vip']],
  ['backfill', { audiences: 'vip' }],
  ['backfill', { audiences: [] }],
  ['backfill', { audiences: ['vip', ''] }],
  ['backfill', { audiences: [{ toString: 1 }] }],
  ['backfill', { sample: 0 }],
  ['backfill', { sample: '1' }],
  ['backfill', { sample: 1e300 }],
  ['backfill', { action: 'stop' }],
  ['backfill', { action: { toString: 1 } }],
  ['backfill', { requestId: 7 }],
  ['backfill', { requestId: '' }],
  ['backfill', { requestId: 'r'.repeat(256) }],
  ['backfill', { action: 'cancel', audiences: ['vip'] }],
  ['backfill', { action: 'resume', sample: 5 }],
  ['backfill', { action: 'resume', at: '2026-11-25T08:30:00Z' }],
  ['backfill', { at: 'today' }],
  ['backfill', { audiences: ['vip'], difference: true }],
  ['backfill', { difference: DIFFERENCE }],
  ['backfill', { audiences: ['vip', 'news'], difference: DIFFERENCE }],
  ['backfill', { audiences: ['vip'], difference: { ...DIFFERENCE, id: '../x' } }],
  ['backfill', { audiences: ['vip'], difference: { ...DIFFERENCE, exits: -1 } }],
  ['backfill', { audiences: ['vip'], difference: { ...DIFFERENCE, members: 1 } }],
  ['backfill', { audiences: ['vip'], difference: { id: DIFFERENCE.id, enters: 1 } }],
  ['backfill', { action: 'pause', difference: DIFFERENCE }],
  ['stop', 'keep'],
  ['stop', { waiting: 'hold' }],
  ['stop', { waiting: true }],
  ['stop', { deadlineMs: '5m' }],
  ['stop', { deadlineMs: NaN }],
  ['stop', { deadlineMs: 1e300 }],
  ['stop', { waiting: 'keep', deadlineMs: 5 }],
  ['edit', null],
  ['edit', []],
  ['edit', { existingUsers: true }],
  ['redeliver', true],
  ['redeliver', { force: 'true' }],
  ['pause', 'vip'],
  ['pause', ['vip']],
])('an invalid request is refused: %s %j', (reader, raw) => {
  expect(wrongWith(reader, raw)).toBeDefined();
});

test.each<[Reader, unknown]>([
  ['backfill', {}],
  ['stop', {}],
  ['edit', { label: 'x' }],
  ['redeliver', {}],
  ['pause', {}],
])('a second argument of %s is refused', (reader, first) => {
  expect(wrongWith(reader, first, { audiences: ['vip'] })).toContain('more than one argument');
  expect(wrongWith(reader, first)).toBeUndefined();
});

test('a difference of one audience is taken as it is', () => {
  expect(
    wrongWith('backfill', { audiences: ['vip'], difference: DIFFERENCE, requestId: DIFFERENCE.id }),
  ).toBeUndefined();
});

test('a replay by few digits, which a job of 0.1.0 has taken, is read by the next release too', () => {
  const replay = { deliveryId: 'a1b', until: '2026-11-25T08:30:00Z', enters: 1, exits: 0 };
  expect(wrongWith('backfill', { replay })).toBeUndefined();
});

test('nothing, null and an empty object ask for what is done by default', () => {
  for (const reader of ['backfill', 'stop', 'redeliver', 'pause'] as const)
    for (const args of [[], [undefined], [null], [{}], [null, null]])
      expect(wrongWith(reader, ...args)).toBeUndefined();
  expect(readBackfillRequest([{ sample: null, audiences: null }])).toEqual({ ok: true, request: {} });
});

test('a valid request is taken as it is', () => {
  const request = { requestId: 'r', audiences: ['vip'], sample: 3, action: 'start', at: '2026-11-25T08:30:00Z' };
  expect(readBackfillRequest([request])).toEqual({ ok: true, request });
  expect(readBackfillRequest([{ requestId: 'r', action: 'cancel' }]).ok).toBe(true);
  expect(readStopRequest([{ waiting: 'deliver', deadlineMs: 0 }]).ok).toBe(true);
  expect(readRedeliverRequest([{ force: true }])).toEqual({ ok: true, request: { force: true } });
});

test('an edit may name every field of the form but one', () => {
  const edit = Object.fromEntries(
    JOB_FIELDS.filter((field) => field !== 'existingUsers').map((field) => [field, null]),
  );
  expect(readEdit([edit])).toEqual({ ok: true, request: edit });
});

test('all that is wrong is said at once', () => {
  expect(wrongWith('backfill', { audiences: 'vip', sample: 0, smaple: 1, action: 7 })).toBe(
    '"smaple": There is no such field. Did you mean "sample"? "action": This must be "start", "pause", "resume" or "cancel". "audiences": This must be a list of slugs or ids, not empty. "sample": This must be a whole number, 1 or more.',
  );
});
