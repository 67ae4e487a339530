import { setTimeout as sleep } from 'node:timers/promises';
import type { Dice } from '../demo/dice.ts';
import type { ApiFleet } from './api-fleet.ts';
import type { Fleet } from './fleet.ts';
import type { ChaosServer, Outage } from './server.ts';

export interface FaultsOptions {
  readonly fleet: Fleet;
  /** They are killed as often as workers are. */
  readonly apis: ApiFleet | undefined;
  readonly server: ChaosServer;
  readonly dice: Dice;
  /** Mean time between two kills of a worker, in ms. */
  readonly killEveryMs: number;
  /** Most kills of workers. */
  readonly mostKills: number;
  /** How often Temporal is killed; each other part of the server once more. */
  readonly restarts: number;
  /** Share of the work that is done, 0..1. */
  readonly progress: () => number;
}

const LOOK_MS = 50;

/** Kills workers and APIs all the time, and servers now and then, until it is told to end. */
export class Faults {
  readonly outages: Outage[] = [];
  readonly #options: FaultsOptions;
  readonly #end = new AbortController();
  #running: Promise<unknown> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;

  constructor(options: FaultsOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = Promise.all([this.#killWorkers(), this.#killApis(), this.#restartServers()]);
    this.#running.catch((error: unknown) => (this.#failure = { error }));
  }

  /** @throws when a server did not come up again: without it, nothing would be delivered until the time is up. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** @throws when a server did not come up again. */
  async end(): Promise<void> {
    this.#end.abort();
    await this.#running;
  }

  async #killWorkers(): Promise<void> {
    const { fleet, dice, killEveryMs, mostKills } = this.#options;
    while (fleet.kills.size < mostKills && (await this.#wait(dice.between(killEveryMs / 2, (killEveryMs * 3) / 2))))
      fleet.kill(dice);
  }

  async #killApis(): Promise<void> {
    const { apis, dice, killEveryMs, mostKills } = this.#options;
    if (apis === undefined) return;
    while (apis.kills < mostKills && (await this.#wait(dice.between(killEveryMs / 2, (killEveryMs * 3) / 2))))
      apis.kill(dice);
  }

  /** One after another, evenly over the work. */
  async #restartServers(): Promise<void> {
    const { server, restarts, progress } = this.#options;
    const plan = [...server.parts, ...Array<Outage['what']>(restarts).fill('temporal')].slice(
      0,
      restarts + server.parts.length - 1,
    );
    for (const [place, part] of plan.entries()) {
      while (progress() < (place + 1) / (plan.length + 1)) if (!(await this.#wait(LOOK_MS))) return;
      this.outages.push(await server.restart(part));
    }
  }

  /** False when it is over. */
  async #wait(ms: number): Promise<boolean> {
    return await sleep(ms, true, { signal: this.#end.signal }).catch(() => false);
  }
}
