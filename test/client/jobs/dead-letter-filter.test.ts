import { describe, expect, test } from '@jest/globals';
import {
  type DeadLetterFilter,
  type FilterFacts,
  filterProblem,
  isMeant,
  meansAll,
  queryOf,
} from '../../../src/client/jobs/dead-letter-filter.ts';
import { notAllDone } from '../../../src/cli/commands/dead-letters.ts';
import { DeadLetters } from '../../../src/client/dead-letters.ts';
import { GRPC } from '../../../src/client/calls/server-errors.ts';
import { clientWith } from '../an-easy-worker.ts';
import { serverError } from '../recorded-job.ts';

const VIP_ID = '42976a269a5e6b9d06c681b1c27292df';
const WAITING = "WorkflowType = 'deadLetter' AND ExecutionStatus = 'Running'";

const facts: FilterFacts = {
  jobId: 'vip-to-crm',
  user: '7076027172059065053',
  audience: 'vip',
  failure: 'HTTP 422',
  diedAt: '2026-11-25T12:00:00.000000000Z',
  failureCode: 'HTTP 422',
  audienceId: VIP_ID,
};

describe('the query to the server', () => {
  test('an empty filter asks for all waiting dead letters', () => {
    expect(queryOf({}, [])).toBe(WAITING);
  });

  test('the query asks by search attributes, and includes dead letters that have none', () => {
    const newerThan = new Date('2026-11-25T10:00:00Z');
    expect(queryOf({ jobId: 'crm', user: '7', audience: VIP_ID, failure: '422', newerThan }, [])).toBe(
      [
        WAITING,
        "StartTime >= '2026-11-25T10:00:00.000Z'",
        "(ExportJobId = 'crm' OR ExportJobId IS NULL)",
        "(ExportPerson = '7' OR ExportPerson IS NULL)",
        "(ExportFailure = 'HTTP 422' OR ExportFailure IS NULL)",
        "(ExportAudiences = '42976a269a5e6b9d' OR ExportAudiences IS NULL)",
      ].join(' AND '),
    );
  });

  test('the query leaves out attributes that the namespace lacks', () => {
    const query = queryOf({ jobId: 'crm', user: '7' }, ['ExportPerson']);
    expect(query).toContain('ExportJobId');
    expect(query).not.toContain('ExportPerson');
  });

  test('the query leaves out what no search attribute holds: slugs, words of a failure, times of death', () => {
    const olderThan = new Date('2026-11-25T10:00:00Z');
    expect(queryOf({ audience: 'vip', failure: 'connection refused', olderThan }, [])).toBe(WAITING);
  });

  test.each(["o'brien", 'a"b', 'back\\slash', 'tab\there', "' OR ExecutionStatus = 'Completed"])(
    'the query leaves out values that cannot stand between quotes: %j',
    (user) => {
      expect(queryOf({ user }, [])).toBe(WAITING);
    },
  );
});

describe('matching dead letters against a filter', () => {
  test.each<[DeadLetterFilter, Partial<FilterFacts>, boolean]>([
    [{}, {}, true],
    [{ jobId: 'vip-to-crm', user: '7076027172059065053', audience: 'vip', failure: 'HTTP 422' }, {}, true],
    [{ jobId: 'other' }, {}, false],
    [{ user: '707' }, {}, false],
    [{ audience: 'news' }, {}, false],
    [{ audience: VIP_ID }, {}, true],
    [{ audience: 'ab'.repeat(16) }, {}, false],
    // Its search attribute is the same.
    [{ audience: `${VIP_ID.slice(0, -1)}e` }, {}, false],
    [{ failure: '422' }, {}, true],
    [{ failure: 'HTTP422' }, {}, true],
    [{ failure: 'HTTP 422' }, { failureCode: undefined }, true],
    [{ failure: 'HTTP 500' }, {}, false],
    [{ failure: 'connection refused' }, { failure: 'connection refused', failureCode: 'ECONNREFUSED' }, true],
    [{ failure: 'ECONNREFUSED' }, { failure: 'connection refused', failureCode: 'ECONNREFUSED' }, true],
    [{ failure: 'ECONNREFUSED' }, { failure: 'connection refused', failureCode: undefined }, true],
    // The words are the same, the failure is not.
    [{ failure: 'EPIPE' }, { failure: 'the connection was cut off', failureCode: 'ECONNRESET' }, false],
    [{ olderThan: new Date('2026-11-25T12:00:00Z') }, {}, false],
    [{ olderThan: new Date('2026-11-25T12:00:01Z') }, {}, true],
    [{ newerThan: new Date('2026-11-25T12:00:00Z') }, {}, true],
    [{ newerThan: new Date('2026-11-25T12:00:01Z') }, {}, false],
  ])('filter %j matches %j: %s', (filter, changed, meant) => {
    expect(isMeant(filter, { ...facts, ...changed })).toBe(meant);
  });
});

test.each<[DeadLetterFilter, boolean]>([
  [{}, true],
  [{ jobId: undefined }, true],
  [{ jobId: 'crm' }, false],
  [{ olderThan: new Date(0) }, false],
])('%j means all: %s', (filter, all) => {
  expect(meansAll(filter)).toBe(all);
});

test('a time in which nothing can have died is a problem, and not a filter that finds nothing', () => {
  const [early, late] = [new Date('2026-01-01T00:00:00Z'), new Date('2026-01-02T00:00:00Z')];
  expect(filterProblem({ olderThan: early, newerThan: late })).toContain('Nothing died');
  expect(filterProblem({ olderThan: early, newerThan: early })).toContain('Nothing died');
  expect(filterProblem({ olderThan: late, newerThan: early })).toBeUndefined();
});

/** A dead letter that takes the first signal, of which the caller hears nothing, and that answers no question for a while after that. */
function busy(silences: number) {
  let [signals, questions] = [0, 0];
  const state = () => (signals === 0 ? 'waiting' : 'redelivered');
  const handle = {
    signal: async () => {
      signals++;
      // The server no longer takes signals for one that has ended.
      if (signals > 1) throw serverError(GRPC.NOT_FOUND);
      await Promise.reject(serverError(GRPC.UNAVAILABLE));
    },
    query: async () => {
      questions += signals;
      if (questions > 0 && questions <= silences) throw serverError(GRPC.DEADLINE_EXCEEDED);
      return await Promise.resolve({ state: state(), jobId: 'vip', user: 'ada', audience: { id: 'a', slug: 'vip' } });
    },
    describe: async () => await Promise.resolve({ runId: 'one', taskQueue: 'q', status: { name: 'RUNNING' } }),
  };
  return new DeadLetters(() => clientWith(handle), 'q');
}

test('a decision about a dead letter is asked about until it is known: no answer is no failure', async () => {
  expect(await busy(2).redeliver('36e243f8fd8f4530bbd330fa7fb1a685-0')).toEqual({ done: 1, failures: [] });
});

test('a redelivery with an unknown outcome is not called a failure', () => {
  const failures = [
    { id: 'a', reason: 'gone' },
    ...['b', 'c'].map((id) => ({ id, reason: '?', isUnknown: true as const })),
  ];
  const { message, ...data } = notAllDone(493, failures, 'redelivered');
  expect(data).toMatchObject({ done: 493, failed: 1, unknown: 2 });
  expect(message).toBe(
    '1 dead letter could not be redelivered. Unknown: whether 2 dead letters were redelivered. Run the command again to find out: nothing is done twice.',
  );
});
