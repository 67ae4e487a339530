import { expect, test } from '@jest/globals';
import { WorkerLog } from '../../chaos/worker-log.ts';

test('counts what workers complained of, by its words', () => {
  const log = new WorkerLog();
  log.read('{"level":40,"msg":"Failing workflow task","run_id":"a"}\n{"level":30,"msg":"well"}\n');
  log.read('{"level":40,"msg":"Failing workflow task","run_id":"b"}\n{"level":50,"msg":"bad"}\n');
  expect(log.workflowTaskFailures).toBe(2);
  expect([...log.complaints].map(([msg, { count }]) => [msg, count])).toEqual([
    ['Failing workflow task', 2],
    ['bad', 1],
  ]);
  expect(log.complaints.get('Failing workflow task')?.first).toContain('"run_id":"a"');
});

test('a line that is not JSON is a complaint: a process that aborts writes such lines', () => {
  const log = new WorkerLog();
  log.read('async hook stack has become corrupted\n{"level":40,"ms');
  expect([...log.complaints.keys()]).toEqual(['async hook stack has become corrupted', '{"level":…,"ms']);
  expect(log.workflowTaskFailures).toBe(0);
});

test('complaints that differ by an id or a number are of one kind', () => {
  const log = new WorkerLog();
  for (const task of ['960b5366-4057-425c-b540-0de10854719b:1091:1', 'e2f6e865-b541-4c15-b6a0-640792c935f6:914:2'])
    log.read(`{"level":40,"msg":"[TMPRL1104] ${task} Workflow task duration exceeded 5 seconds"}\n`);
  expect([...log.complaints.values()].map(({ count }) => count)).toEqual([2]);
});
