import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { Dice } from '../demo/dice.ts';
import { stringifyJson } from '../src/domain/json.ts';
import type { ApiFleet } from './api-fleet.ts';
import { changeKey } from './judge.ts';
import type { PushingOptions, Upstream } from './pushing.ts';
import { changeOf, type TimedTrigger } from './workload.ts';

export interface CallingOptions extends Omit<PushingOptions, 'jobs' | 'pushSize'> {
  readonly apis: ApiFleet;
  readonly seed: number;
}

/** So many callers bring what there is of a job, each of its own people, a call at a time. */
const CALLERS = 16;
/** Most triggers in a call. */
const MOST_IN_CALL = 30;
/** One call in so many brings NDJSON. */
const LINES_EVERY = 4;
/** A call that is not answered within this many ms is made again. */
const ANSWER_MS = 20_000;
const AGAIN_MS = 250;
const LOOK_MS = 20;

/**
 * Brings a job its triggers by HTTP: each call goes to whichever API there is, and again to whichever there is then, with the same `Idempotency-Key`,
 * until one says that Temporal has all of it. A person's triggers are brought by one caller, so they have an order.
 */
export class Calling implements Upstream {
  accepted = 0;
  readonly repeated = new Set<string>();
  readonly interruptions = new Map<string, number>();
  readonly #options: CallingOptions;
  readonly #told = new Set<TimedTrigger>();

  constructor(options: CallingOptions) {
    this.#options = options;
  }

  get told(): readonly TimedTrigger[] {
    return this.#options.triggers.filter((trigger) => this.#told.has(trigger));
  }

  async run(): Promise<void> {
    const own = Array.from({ length: CALLERS }, (): TimedTrigger[] => []);
    const callerOf = new Map<string, number>();
    for (const trigger of this.#options.triggers) {
      const caller = callerOf.get(trigger.user) ?? callerOf.size % CALLERS;
      callerOf.set(trigger.user, caller);
      own[caller]?.push(trigger);
    }
    const agent = new Agent();
    await Promise.all(
      own.map(async (triggers, i) => await this.#bring(triggers, new Dice(this.#options.seed + i), agent)),
    );
    await agent.close();
  }

  async #bring(triggers: readonly TimedTrigger[], dice: Dice, agent: Agent): Promise<void> {
    const { lead, delivered, signal } = this.#options;
    let next = 0;
    while (next < triggers.length && !signal.aborted) {
      if (this.accepted - delivered() >= lead()) {
        await sleep(LOOK_MS);
        continue;
      }
      const some = triggers.slice(next, next + dice.between(1, MOST_IN_CALL));
      const key = randomUUID();
      const inLines = dice.between(1, LINES_EVERY) === 1;
      while (!signal.aborted && !(await this.#call(some, { key, inLines }, dice, agent))) {
        for (const trigger of some) this.repeated.add(changeKey(changeOf(trigger)));
        await sleep(AGAIN_MS);
      }
      if (signal.aborted) return;
      next += some.length;
      this.accepted += some.length;
      for (const trigger of some) this.#told.add(trigger);
    }
  }

  /** Whether it was accepted; else it is to be brought again. @throws Error when it never will be */
  async #call(
    some: readonly TimedTrigger[],
    { key, inLines }: { readonly key: string; readonly inLines: boolean },
    dice: Dice,
    dispatcher: Agent,
  ): Promise<boolean> {
    const { apis, jobId } = this.#options;
    const url = apis.urlOf(dice);
    if (url === undefined) return this.#again('no API');
    const said = inLines ? some.map((trigger) => `${stringifyJson(trigger)}\n`).join('') : stringifyJson(some);
    let answered: { readonly status: number; readonly text: string };
    try {
      const { statusCode: status, body } = await request(`${url}/v1/jobs/${jobId}/triggers`, {
        method: 'POST',
        headers: { 'content-type': inLines ? 'application/x-ndjson' : 'application/json', 'idempotency-key': key },
        body: said,
        signal: AbortSignal.timeout(ANSWER_MS),
        dispatcher,
      });
      answered = { status, text: await body.text() };
    } catch (error) {
      if (!isConnectionLost(error)) throw error;
      return this.#again('no answer');
    }
    const { status, text } = answered;
    if (status === 202) return true;
    if (status !== 429 && status !== 503) throw new Error(`The API answered ${status}: ${text}`);
    return this.#again(String(status));
  }

  #again(reason: string): false {
    this.interruptions.set(reason, (this.interruptions.get(reason) ?? 0) + 1);
    return false;
  }
}

/** Whether a request ended without an answer because its API was killed, was not there yet, or stood still. */
function isConnectionLost(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as NodeJS.ErrnoException;
  return error.name === 'TimeoutError' || CONNECTION_LOST.includes(code ?? '');
}

const CONNECTION_LOST = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'UND_ERR_CONNECT_TIMEOUT'];
