import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import type { EventTrigger } from '../../src/contract/trigger.ts';
import { SLICES } from '../../src/domain/limits.ts';
import { type Receiver, startReceiver } from '../../src/local/receiver.ts';
import { Lab, type LabOptions } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { afterwards } from '../webhook/a-server.ts';

const EVERY_MS = 60;
const SAMPLES = 40;
/** The one person whom the unhealthy endpoint is told about without hanging: a job whose endpoint never took anything sends one request at a time. */
const PROOF = 'first';

/** A lab whose receiver is well, and a second endpoint that hangs. */
class TwoEndpoints {
  readonly lab: Lab;
  readonly unhealthy: Receiver;
  #people = 0;

  static async open(options: LabOptions): Promise<TwoEndpoints> {
    return new TwoEndpoints(
      await Lab.open(options),
      await startReceiver({ answer: ({ message }) => (message?.user === PROOF ? undefined : 'hang') }),
    );
  }

  private constructor(lab: Lab, unhealthy: Receiver) {
    this.lab = lab;
    this.unhealthy = unhealthy;
  }

  /** Starts jobs that send to the unhealthy endpoint, each with as many slices as a job can have, after it has accepted one request from each. */
  async startUnhealthy(count: number): Promise<string[]> {
    const job = { webhookUrl: this.unhealthy.url, parallelRequestCount: SLICES };
    const jobs = await Promise.all(Array.from({ length: count }, () => this.lab.start(job)));
    await Promise.all(jobs.map((one) => this.lab.jobs.enter(one, { audience: 'vip', user: PROOF, profile: {} })));
    await this.unhealthy.ledger.waitFor(({ delivered }) => delivered === count);
    return jobs;
  }

  /** Gives each of these jobs a thousand people to send, and waits until this many requests hang. */
  async hang(jobs: readonly string[], requests: number): Promise<void> {
    await Promise.all(jobs.map((job) => this.lab.jobs.push(job, people(1000))));
    await answerWhen(
      () => this.unhealthy.inFlight,
      (hanging) => hanging >= requests,
      20,
    );
  }

  /**
   * Signals at a steady pace without waiting, and returns how long triggers took from the call to their arrival, in ms: the median and the
   * longest.
   */
  async latencies(job: string, samples = SAMPLES): Promise<{ medianMs: number; longestMs: number }> {
    const { ledger } = this.lab.receiver;
    const sentAtMs = new Map<string, number>();
    for (let i = 0; i < samples; i++) {
      const user = `healthy ${this.#people++}`;
      sentAtMs.set(user, Date.now());
      const signal = this.lab.handle(job).signal('enter', { audience: 'vip', user, profile: {} });
      await Promise.all([signal, sleep(EVERY_MS)]);
    }
    await ledger.waitFor(({ delivered }) => delivered === this.#people);
    const tookMs = ledger.entries.flatMap(({ message, arrivedAtMs }) => {
      const sent = sentAtMs.get(message?.user ?? '');
      return sent === undefined ? [] : arrivedAtMs - sent;
    });
    tookMs.sort((a, b) => a - b);
    return { medianMs: tookMs[samples >> 1] ?? Number.NaN, longestMs: tookMs.at(-1) ?? Number.NaN };
  }

  async close(): Promise<void> {
    // First, or the worker would wait for its requests.
    await this.unhealthy.close();
    await this.lab.close();
  }
}

function people(count: number): EventTrigger[] {
  return Array.from({ length: count }, (_, i) => ({ audience: 'vip', user: `p${i}`, event: 'enter', profile: {} }));
}

test('[S29] beside fifteen jobs with all the slices they can have, each waiting for an endpoint that hangs, a job is as quick as alone', async () => {
  // Long enough to measure while they hang, also on a slow machine.
  const both = await TwoEndpoints.open({ config: { requestTimeoutMs: 60_000 } });
  afterwards(() => both.close());
  const healthy = await both.lab.start();
  const unhealthy = await both.startUnhealthy(15);
  await both.latencies(healthy);
  const alone = await both.latencies(healthy);
  await both.hang(unhealthy, 15 * SLICES);
  const beside = await both.latencies(healthy);
  expect(both.unhealthy.inFlight).toBe(15 * SLICES);
  expect(beside.medianMs).toBeLessThan(5 * alone.medianMs + 500);
  // Whoever had to wait for one of them would have waited for a minute.
  expect(beside.longestMs).toBeLessThan(30_000);
});

test("[S29] when requests that hang take all of a worker's slots, a job waits for the time of one request, and no more after that", async () => {
  const config = { maxConcurrentSlices: SLICES, requestTimeoutMs: 10_000 };
  const both = await TwoEndpoints.open({ config });
  afterwards(() => both.close());
  const healthy = await both.lab.start();
  const unhealthy = await both.startUnhealthy(1);
  await both.latencies(healthy, 5);
  await both.hang(unhealthy, SLICES);
  const full = await both.latencies(healthy, 1);
  expect(full.longestMs).toBeGreaterThan(1000);
  expect(full.longestMs).toBeLessThan(20_000);
  // 984 people still wait for it, but only one at a time asks whether it is well; and two may have been started before the third came back.
  const after = await both.latencies(healthy);
  expect(after.longestMs).toBeLessThan(9_000);
  expect(both.unhealthy.inFlight).toBeLessThanOrEqual(2);
});
