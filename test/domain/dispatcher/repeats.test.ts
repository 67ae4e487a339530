import { expect, test } from '@jest/globals';
import { REMEMBERED_DELIVERIES } from '../../../src/domain/limits.ts';
import { AJob } from './a-job.ts';

const AT = { at: '2026-01-01T01:00:00.000000001+01:00' };
/** The same instant. */
const SPELT_OTHERWISE = { at: '2026-01-01T00:00:00.000000001Z' };

test('a trigger signalled again while the first waits is sent once', () => {
  const job = new AJob(1);
  job.signal('1', 'enter', AT);
  job.signal('1', 'enter', SPELT_OTHERWISE);
  expect(job.cutMessages()).toEqual(['1 enter a']);
  job.signal('1', 'enter', AT);
  job.end();
  expect(job.status).toMatchObject({ received: 3, repeated: 2, delivered: 1, waiting: 0 });
});

test('a trigger signalled again soon after it was delivered is not sent again, in this run or the next', () => {
  const job = new AJob(1);
  job.signal('1', 'enter', AT);
  job.cut();
  job.end();
  job.signal('1', 'enter', SPELT_OTHERWISE);
  expect(job.cut()).toEqual([]);
  expect(job.status).toMatchObject({ repeated: 1, delivered: 1 });
});

test(`"soon" is ${REMEMBERED_DELIVERIES} deliveries`, () => {
  const job = new AJob(100);
  job.signal('1', 'enter', AT);
  job.cut();
  job.end();
  for (let i = 0; i < REMEMBERED_DELIVERIES; i++) job.signal(`other ${i}`);
  while (job.status.waiting > 0) {
    job.cut();
    while (job.running.length > 0) job.end();
  }
  job.signal('1', 'enter', AT);
  expect(job.cutMessages()).toEqual(['1 enter a']);
});

test.each([
  ['another time', 'enter', { at: '2026-01-01T00:00:00.000000002Z' }],
  ['the other event', 'exit', AT],
  ['another audience', 'enter', { ...AT, audience: 'b' }],
  ['no time', 'enter', {}],
] as const)('with %s it is another trigger', (_, event, more) => {
  const job = new AJob(1);
  job.signal('1', 'enter', AT);
  job.signal('1', event, more);
  expect(job.status).toMatchObject({ repeated: 0, waiting: 2 });
});

test('two triggers without a time are two triggers', () => {
  const job = new AJob(1);
  job.signal('1');
  job.signal('1');
  expect(job.status).toMatchObject({ repeated: 0, waiting: 2 });
});

test('thousands of triggers of one person are told apart in no time', () => {
  const job = new AJob(1);
  const from = performance.now();
  for (let i = 0; i < 4500; i++)
    job.signal('1', 'enter', { at: `2026-01-01T00:00:00.${String(i).padStart(9, '0')}-07:00` });
  job.signal('1', 'enter', { at: '2026-01-01T07:00:00.000000007Z' });
  expect(job.status).toMatchObject({ repeated: 1, waiting: 4500 });
  // A workflow has five seconds for all that an activation brings.
  expect(performance.now() - from).toBeLessThan(3000);
});
