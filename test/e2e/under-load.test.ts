import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Receiver, startReceiver } from '../../src/local/receiver.ts';
import { Lab } from '../support/lab.ts';
import { configured } from '../webhook/an-authorization.ts';

const PEOPLE = 400;
const CHANGES = 12;
/** How long an operator's question may take on a busy machine. */
const ANSWER_MS = 8000;
/** A slice starts no request later than 1.5 s after its start; a busy machine takes its time. */
const LAST_SLICE_MS = 5000;

let lab: Lab;
let before: Receiver;
let after: Receiver;

beforeAll(async () => {
  before = await startReceiver({ keepBodies: true, delayMs: 5 });
  after = await startReceiver({ keepBodies: true, delayMs: 5 });
  lab = await Lab.open({
    config: {
      authorizations: configured({
        before: {
          origins: [new URL(before.url).origin],
          headers: { 'x-api-key': 'secret of before' },
        },
        after: {
          origins: [new URL(after.url).origin],
          headers: { 'x-api-key': 'secret of after' },
        },
      }),
    },
  });
});
afterAll(async () => Promise.all([lab.close(), before.close(), after.close()]));

/** A job in the middle of sending 4,800 triggers, which takes it some seconds. */
async function jobUnderLoad(): Promise<{ job: string; prefix: string }> {
  const prefix = randomUUID().slice(0, 8);
  const job = await lab.start({ webhookUrl: before.url, authorization: 'before', parallelRequestCount: 8 });
  const triggers = Array.from({ length: PEOPLE * CHANGES }, (_, index) => ({
    event: Math.floor(index / PEOPLE) % 2 === 0 ? ('enter' as const) : ('exit' as const),
    audience: 'vip',
    user: `${prefix}-${index % PEOPLE}`,
    at: `2026-11-25T08:30:00.${100 + Math.floor(index / PEOPLE)}Z`,
    profile: {},
  }));
  await lab.jobs.push(job, triggers);
  await lab.statusWhen(job, ({ delivered }) => delivered > 200);
  return { job, prefix };
}

async function answeredInTime<T>(ask: () => Promise<T>): Promise<T> {
  const from = performance.now();
  const answer = await ask();
  expect(performance.now() - from).toBeLessThan(ANSWER_MS);
  return answer;
}

function arrived(receiver: Receiver, prefix: string) {
  return receiver.ledger.entries.filter(({ message }) => message?.user.startsWith(prefix) === true);
}

test('a busy job pauses, and resumes, as soon as it is told to', async () => {
  const { job, prefix } = await jobUnderLoad();
  expect((await answeredInTime(() => lab.jobs.pause(job))).state).toBe('paused');
  const pausedAtMs = Date.now();
  const { waiting } = await lab.statusWhen(job, ({ inFlight }) => inFlight === 0);
  expect(waiting).toBeGreaterThan(500);
  const last = arrived(before, prefix).at(-1);
  expect((last?.arrivedAtMs ?? 0) - pausedAtMs).toBeLessThan(LAST_SLICE_MS);
  expect(arrived(before, prefix)).toHaveLength(PEOPLE * CHANGES - waiting);
  expect((await answeredInTime(() => lab.jobs.resume(job))).state).toBe('running');
  await lab.statusWhen(job, ({ delivered }) => delivered === PEOPLE * CHANGES);
});

test('a busy job that is edited sends everything once, in order, and no secret to another origin than its own', async () => {
  const { job, prefix } = await jobUnderLoad();
  await answeredInTime(() => lab.jobs.edit(job, { webhookUrl: after.url, authorization: 'after' }));
  await lab.statusWhen(job, ({ delivered }) => delivered === PEOPLE * CHANGES);
  const [first, second] = [arrived(before, prefix), arrived(after, prefix)];
  expect(second.length).toBeGreaterThan(500);
  expect(first.length + second.length).toBe(PEOPLE * CHANGES);
  expect(new Set(first.map(({ headers }) => headers?.['x-api-key']))).toEqual(new Set(['secret of before']));
  expect(new Set(second.map(({ headers }) => headers?.['x-api-key']))).toEqual(new Set(['secret of after']));
  const told = new Map<string, string[]>();
  for (const { message } of [...first, ...second].sort((a, b) => a.arrivedAtMs - b.arrivedAtMs)) {
    told.set(message?.user ?? '', [...(told.get(message?.user ?? '') ?? []), message?.at ?? '']);
  }
  for (const times of told.values()) expect(times).toEqual(times.toSorted());
});
