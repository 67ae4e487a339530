import { expect, test } from '@jest/globals';
import type { FailedAttempt } from '../../../src/contract/slice.ts';
import { AJob } from './a-job.ts';

/** A job whose only member, found by a backfill, is in a slice while `audience` sends an exit of the same person. */
function memberInFlight(audience: 'a' | 'b'): AJob {
  const job = new AJob(1);
  job.backfill(['1']);
  expect(job.dispatchedMessages()).toEqual(['1 enter a']);
  job.signal('1', 'exit', { audience });
  return job;
}

const NOT_DELIVERED: [string, Partial<FailedAttempt>][] = [
  ['fails', { status: 500 }],
  ['is refused', { status: 422 }],
  ['finds no profile', { code: 'PROFILE_MISSING' }],
  ['finds no source', { code: 'SOURCE_UNAVAILABLE' }],
];

test.each(NOT_DELIVERED)(
  'a live trigger of another audience goes at once when the enter of a backfill %s',
  (_, attempt) => {
    const job = memberInFlight('b');
    job.end({ 0: attempt });
    expect(job.state.chains.get('1')).toMatchObject({ place: 'ready', failures: 0, profileTries: 0 });
    expect(job.dispatchedMessages()).toEqual(['1 exit b', '1 enter a']);
    job.end();
    expect(job.status.backfill).toMatchObject({ state: 'finished', delivered: 1, superseded: 0, waiting: 0 });
  },
);

test.each(NOT_DELIVERED)('a live trigger of that audience replaces the enter of a backfill that %s', (_, attempt) => {
  const job = memberInFlight('a');
  job.end({ 0: attempt });
  expect(job.status.backfill).toMatchObject({ state: 'finished', delivered: 0, superseded: 1, waiting: 0 });
  expect(job.dispatchedMessages()).toEqual(['1 exit a']);
  job.end();
  expect(job.status).toMatchObject({ waiting: 0, delivered: 1 });
});

test.each(['a', 'b'] as const)('when the enter of a backfill comes back unsent, live news of %s goes first', (slug) => {
  const job = memberInFlight(slug);
  job.end({}, [0]);
  expect(job.dispatchedMessages()[0]).toBe(`1 exit ${slug}`);
});

test('a live trigger follows a delivered enter of a backfill', () => {
  const job = memberInFlight('a');
  job.end();
  expect(job.dispatchedMessages()).toEqual(['1 exit a']);
  expect(job.status.backfill).toMatchObject({ delivered: 1, superseded: 0 });
});

test('live triggers behind a failed enter of a backfill keep their order', () => {
  const job = memberInFlight('b');
  job.signal('1', 'enter', { audience: 'b' });
  job.signal('1', 'exit', { audience: 'b' });
  job.end({ 0: { status: 500 } });
  expect(job.dispatchedMessages()).toEqual(['1 exit b', '1 enter b', '1 exit b', '1 enter a']);
});

test('a live trigger that failed keeps its place and its failures before what came later', () => {
  const job = new AJob(1);
  job.dispatchEach(['1']);
  job.signal('1', 'exit', { audience: 'b' });
  job.end({ 0: { status: 500 } });
  expect(job.dispatch()).toEqual([]);
  expect(job.state.chains.get('1')).toMatchObject({ place: 'delayed', failures: 1 });
});
