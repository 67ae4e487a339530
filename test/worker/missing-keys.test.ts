import { expect, test } from '@jest/globals';
import type { RaisedAlert } from '../../src/contract/alert.ts';
import { MissingKeys } from '../../src/worker/missing-keys.ts';

const MINUTE_MS = 60_000;
const REASON = 'A payload is encrypted with the key "b", which is not among the payload keys here (a).';

function world() {
  const clock = { now: Date.UTC(2026, 0, 1) };
  const logged: unknown[] = [];
  const raised: RaisedAlert[] = [];
  const missing = new MissingKeys({
    log: { warn: (_, fields) => logged.push(fields) },
    raise: (alert) => Promise.resolve(void raised.push(alert)),
    now: () => clock.now,
  });
  return { clock, logged, raised, missing };
}

test('a job that waits for a payload key is logged once a minute, and raises an alert once an hour', () => {
  const { clock, logged, raised, missing } = world();
  for (let minute = 0; minute < 60; minute += 0.5) {
    missing.note('export-job-vip', REASON);
    clock.now += MINUTE_MS / 2;
  }
  expect(logged).toHaveLength(60);
  expect(logged[0]).toEqual({ jobId: 'vip', reason: REASON });
  expect(raised).toMatchObject([{ job: { id: 'vip' }, alert: { kind: 'payload-key-missing', text: REASON } }]);
  missing.note('export-job-vip', REASON);
  expect(new Set(raised.map(({ id }) => id)).size).toBe(2);
});

test('a worker is not ready while a job waits for its key, until it has not asked for a quarter of an hour', () => {
  const { clock, missing } = world();
  expect(missing.problem()).toBeUndefined();
  missing.note('export-job-vip', REASON);
  missing.note('watch-0123', REASON);
  expect(missing.problem()).toBe(`The job "vip" (and 1 more) waits for a payload key. ${REASON}`);
  clock.now += 16 * MINUTE_MS;
  expect(missing.problem()).toBeUndefined();
});

test('however many jobs wait, a hundred are remembered', () => {
  const { missing } = world();
  for (let n = 1; n <= 150; n++) missing.note(`export-job-${n}`, REASON);
  expect(missing.problem()).toContain('The job "51" (and 99 more)');
});
