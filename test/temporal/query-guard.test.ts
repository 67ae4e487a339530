import { expect, test } from '@jest/globals';
import type { ActivateInput } from '@temporalio/workflow';
import { EVENTS_AHEAD } from '../../src/domain/errors.ts';
import { ENDED_RUN } from '../../src/workflows/messages.ts';
import { interceptors } from '../../src/temporal/sandbox/query-guard.ts';

type Activation = ActivateInput['activation'];

/** A run on a worker that does not have it yet: what reaches its code. */
function aRun() {
  const [guard] = interceptors().internals ?? [];
  const reached: Activation[] = [];
  const activate = (activation: object) =>
    guard?.activate?.({ activation, batchIndex: 0 }, (input) => {
      reached.push(input.activation);
    });
  const decide = (isReplaying: boolean, began: number, historyLength: number) =>
    activate({
      isReplaying,
      timestamp: { seconds: began, nanos: 0 },
      historyLength,
      jobs: [{ fireTimer: { seq: 1 } }],
    });
  return {
    reached,
    /** A task that another worker finished. */
    replay: (began: number, events: number) => decide(true, began, events),
    /** Events that are new to all. */
    go: (began: number, events: number) => decide(false, began, events),
    ask: (queryType = 'status', queryId = 'legacy_query') =>
      activate({ isReplaying: true, jobs: [{ queryWorkflow: { queryId, queryType } }] }),
  };
}

test('a query is refused if it brings events with which no task has begun yet', () => {
  const cold = aRun();
  cold.replay(1, 3);
  cold.replay(2, 8);
  cold.go(2, 11);
  expect(() => cold.ask()).toThrow(EVENTS_AHEAD);
  const warm = aRun();
  warm.go(1, 3);
  warm.ask();
  warm.go(1, 6);
  expect(() => warm.ask()).toThrow(EVENTS_AHEAD);
});

test('a query is refused if it brings the begin of a task that a dead worker may not have finished', () => {
  const { replay, go, ask } = aRun();
  replay(1, 3);
  go(4, 8);
  expect(() => ask()).toThrow(EVENTS_AHEAD);
});

test('a run answers after its first task, once a worker has replayed it, and after each task from then on', () => {
  const first = aRun();
  first.go(1, 3);
  first.ask();
  first.go(2, 8);
  first.ask();
  const cold = aRun();
  cold.replay(1, 3);
  cold.replay(2, 8);
  cold.ask();
  cold.go(3, 12);
  cold.ask();
  const busy = aRun();
  busy.replay(1, 3);
  busy.go(2, 8);
  busy.go(3, 12);
  busy.ask();
  expect(busy.reached).toHaveLength(4);
});

test('a query of a task is never refused: the whole task would fail', () => {
  const { replay, go, ask } = aRun();
  replay(1, 3);
  go(4, 8);
  ask('status', 'q1');
  ask();
});

test('a run that has ended answers by the plain name, whatever it did at its end', () => {
  const { reached, replay, go, ask } = aRun();
  replay(1, 3);
  go(1, 6);
  ask(`status${ENDED_RUN}`);
  expect(reached.at(-1)?.jobs?.[0]?.queryWorkflow?.queryType).toBe('status');
});
