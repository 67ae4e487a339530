import { expect, test } from '@jest/globals';
import type { SliceInput } from '../../../src/contract/slice.ts';
import { settleSlice } from '../../../src/domain/job/settling.ts';
import { AJob } from './a-job.ts';

interface World {
  readonly permits: number;
  readonly triggers: number;
  /** What one request lasts; each a little more or less. */
  readonly requestMs: number;
  /** From a decision of the job to a slice's first request, and from its last one to the next decision. */
  readonly wayMs: number;
}

/** A job in a simulated world with a clock of its own: how long it takes to send what was signalled at a stroke, in ms. */
function sendingMs({ permits, triggers, requestMs, wayMs }: World): number {
  const job = new AJob(permits);
  const startedAt = job.now;
  const agenda: { readonly at: number; readonly run: () => void }[] = [];
  let clock = 0;
  let requests = 0;
  let lastAt = 0;
  const after = (ms: number, run: () => void): void => {
    const at = clock + ms;
    const place = agenda.findLastIndex((one) => one.at <= at);
    agenda.splice(place + 1, 0, { at, run });
  };
  const decide = (): void => {
    for (const slice of job.dispatch()) after(wayMs, () => send(slice));
    job.running.length = 0;
  };
  const send = ({ sliceId, triggers: mine, permits: lanes, budgetMs }: SliceInput): void => {
    const beganAt = clock;
    let next = 0;
    let open = lanes;
    const goOn = (): void => {
      if (next < mine.length && clock - beganAt < budgetMs) {
        next++;
        after(requestMs * (0.98 + 0.01 * (requests++ % 5)), () => {
          lastAt = clock;
          goOn();
        });
        return;
      }
      if (--open > 0) return;
      const unsent = mine.map((_, index) => index).slice(next);
      const report = { failed: [], unsent, sendingMs: clock - beganAt };
      after(wayMs, () => {
        settleSlice(job.state, sliceId, report, job.now);
        decide();
      });
    };
    for (let lane = 0; lane < lanes; lane++) goOn();
  };
  for (let i = 0; i < triggers; i++) job.signal(`${i}`);
  decide();
  for (let next = agenda.shift(); next !== undefined; next = agenda.shift()) {
    clock = next.at;
    job.now = startedAt + Math.round(clock);
    next.run();
  }
  expect(job.status).toMatchObject({ delivered: triggers, waiting: 0, inFlight: 0 });
  return lastAt;
}

test.each([
  { permits: 5, triggers: 1_000, requestMs: 50, wayMs: 10 },
  { permits: 50, triggers: 10_000, requestMs: 50, wayMs: 10 },
  { permits: 20, triggers: 4_000, requestMs: 50, wayMs: 10 },
  { permits: 7, triggers: 500, requestMs: 200, wayMs: 10 },
])(
  'a slow endpoint is kept busy, from the first request to the last: %j',
  ({ permits, triggers, requestMs, wayMs }) => {
    const leastMs = (triggers * requestMs) / permits;
    expect(leastMs / sendingMs({ permits, triggers, requestMs, wayMs })).toBeGreaterThan(0.96);
  },
);
