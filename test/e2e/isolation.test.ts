import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import type { EventTrigger } from '../../src/contract/trigger.ts';
import { SLICE_BUDGET_MS } from '../../src/domain/job/dispatching.ts';
import { SLICES } from '../../src/domain/limits.ts';
import { type Recorder, startRecorder } from '../../demo/recorder.ts';
import { Lab, type LabOptions } from '../support/lab.ts';
import { answerWhen, until } from '../support/patience.ts';
import { afterwards } from '../webhook/a-server.ts';

const EVERY_MS = 60;
const SAMPLES = 40;
/** The one person whom the unhealthy endpoint is told about without hanging: a job whose endpoint never took anything sends one request at a time. */
const PROOF = 'first';

/** Requests hang for as long as the test lasts, unless it ends them: longer than a worker may be configured with. */
const HANGING_MS = 600_000;

interface Hanging {
  /** Of the requests that hang. */
  readonly sockets: Set<Socket>;
  /** From now on, none hangs. */
  isOver: boolean;
}

/** A lab whose receiver is well, and a second endpoint that hangs. */
class TwoEndpoints {
  readonly lab: Lab;
  readonly unhealthy: Recorder;
  readonly #hanging: Hanging;
  #people = 0;

  static async open(config: LabOptions['config']): Promise<TwoEndpoints> {
    const hanging: Hanging = { sockets: new Set(), isOver: false };
    const unhealthy = await startRecorder({
      answer: ({ message }, { socket }) => {
        if (message?.user === PROOF || hanging.isOver) return undefined;
        hanging.sockets.add(socket);
        return 'hang';
      },
    });
    const lab = await Lab.open({ config: { requestTimeoutMs: HANGING_MS, ...config } });
    return new TwoEndpoints(lab, unhealthy, hanging);
  }

  private constructor(lab: Lab, unhealthy: Recorder, hanging: Hanging) {
    this.lab = lab;
    this.unhealthy = unhealthy;
    this.#hanging = hanging;
  }

  /** Requests to the unhealthy endpoint that hang, and those that have ended so far. */
  get requests(): { readonly hanging: number; readonly ended: number } {
    return { hanging: this.unhealthy.inFlight, ended: this.unhealthy.ledger.summary().refused };
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
    await until(() => this.unhealthy.inFlight >= requests);
  }

  /** Resets all requests that hang. */
  reset(): void {
    for (const socket of this.#hanging.sockets) socket.resetAndDestroy();
    this.#hanging.sockets.clear();
  }

  /** Signals a trigger about another person, without waiting for its arrival; returns the person. */
  async signal(job: string): Promise<string> {
    const user = `healthy ${this.#people++}`;
    await this.lab.handle(job).signal('enter', { audience: 'vip', user, profile: {} });
    return user;
  }

  async allArrive(): Promise<void> {
    await this.lab.receiver.ledger.waitFor(({ delivered }) => delivered === this.#people);
  }

  /** Signals at a steady pace, and returns how long triggers usually took from the call to their arrival, in ms. */
  async medianMs(job: string): Promise<number> {
    const sentAtMs = new Map<string, number>();
    for (let i = 0; i < SAMPLES; i++) {
      const atMs = Date.now();
      const [user] = await Promise.all([this.signal(job), sleep(EVERY_MS)]);
      sentAtMs.set(user, atMs);
    }
    await this.allArrive();
    const tookMs = this.lab.receiver.ledger.entries.flatMap(({ message, arrivedAtMs }) => {
      const sent = sentAtMs.get(message?.user ?? '');
      return sent === undefined ? [] : arrivedAtMs - sent;
    });
    tookMs.sort((a, b) => a - b);
    return tookMs[SAMPLES >> 1] ?? Number.NaN;
  }

  async close(): Promise<void> {
    // First, or the worker would wait for its requests.
    this.#hanging.isOver = true;
    this.reset();
    await this.lab.close();
    // Last: another test may be given its port, and must get none of these requests.
    await this.unhealthy.close();
  }
}

function people(count: number): EventTrigger[] {
  return Array.from({ length: count }, (_, i) => ({ audience: 'vip', user: `p${i}`, event: 'enter', profile: {} }));
}

test('[S29] a job is as quick beside fifteen jobs whose slices all wait for a hanging endpoint as alone', async () => {
  const both = await TwoEndpoints.open({});
  afterwards(() => both.close());
  const healthy = await both.lab.start();
  const unhealthy = await both.startUnhealthy(15);
  await both.medianMs(healthy);
  const aloneMs = await both.medianMs(healthy);
  await both.hang(unhealthy, 15 * SLICES);
  // A busy machine can make one measurement slow. If the job waited for a request that hangs, none would ever end.
  await answerWhen(
    () => both.medianMs(healthy),
    (besideMs) => besideMs < 5 * aloneMs + 500,
  );
  expect(both.requests).toEqual({ hanging: 15 * SLICES, ended: 0 });
});

test('[S29] a job waits only once, for one request, when hanging requests take all slots of its worker', async () => {
  const both = await TwoEndpoints.open({ maxConcurrentSlices: SLICES });
  afterwards(() => both.close());
  const healthy = await both.lab.start();
  await both.signal(healthy);
  await both.allArrive();
  const unhealthy = await both.startUnhealthy(1);
  await both.hang(unhealthy, SLICES);
  await both.signal(healthy);
  await both.lab.statusWhen(healthy, ({ inFlight }) => inFlight === 1);
  // From then on, their slices start no other request.
  await sleep(SLICE_BUDGET_MS);
  expect(both.lab.receiver.ledger.delivered).toBe(1);
  both.reset();
  await both.allArrive();
  // 984 people still wait for it, but only one at a time asks whether it is well; and two may have been started before the third came back.
  await both.medianMs(healthy);
  expect(both.requests.hanging).toBeLessThanOrEqual(2);
  expect(both.requests.ended).toBe(SLICES);
});
