import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Dice } from '../demo/dice.ts';
import { MAIN } from './program.ts';

const START_AGAIN_MS = 500;
const LOOK_MS = 50;
const LAST_WORDS = 600;

interface Door {
  readonly child: ChildProcess;
  readonly url: string;
}

/** Processes of the HTTP API as it is built, each started anew when it has ended, whyever. */
export class ApiFleet {
  kills = 0;
  /** Those that ended by themselves while they served: their last words. */
  readonly crashes: string[] = [];
  readonly #folder: string;
  /** Of Temporal. */
  readonly #address: string;
  readonly #doors = new Set<Door>();
  readonly #running = new Set<ChildProcess>();
  #started = 0;
  #isClosing = false;

  /** Starts so many, and waits until all of them serve. */
  static async open(size: number, options: { readonly folder: string; readonly address: string }): Promise<ApiFleet> {
    const fleet = new ApiFleet(options);
    for (let place = 0; place < size; place++) fleet.#start();
    while (fleet.#doors.size < size) await sleep(LOOK_MS);
    return fleet;
  }

  private constructor({ folder, address }: { readonly folder: string; readonly address: string }) {
    this.#folder = folder;
    this.#address = address;
  }

  /** The URL of one that serves, as far as is known; undefined when none does. */
  urlOf(dice: Dice): string | undefined {
    return this.#doors.size === 0 ? undefined : dice.oneOf([...this.#doors]).url;
  }

  /** The URL of the first that serves. */
  get url(): string {
    const [door] = this.#doors;
    if (door === undefined) throw new Error('No API serves.');
    return door.url;
  }

  /** Ends one of those that serve, if any does, by SIGKILL; callers find out by themselves. */
  kill(dice: Dice): void {
    const alive = [...this.#doors].filter(({ child }) => !child.killed);
    if (alive.length === 0) return;
    this.kills += 1;
    dice.oneOf(alive).child.kill('SIGKILL');
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    const ends = [...this.#running].map((child) => once(child, 'exit'));
    for (const child of this.#running) child.kill('SIGTERM');
    await Promise.all(ends);
  }

  #start(): void {
    const logFile = join(this.#folder, `api-${++this.#started}.log`);
    const log = openSync(logFile, 'w');
    const child = spawn(process.execPath, [MAIN, 'api', '--port', '0', '--json'], {
      env: { ...process.env, TEMPORAL_ADDRESS: this.#address },
      stdio: ['ignore', 'pipe', log],
    });
    closeSync(log);
    this.#running.add(child);
    let door: Door | undefined;
    createInterface(child.stdout!).once('line', (line) => {
      door = { child, url: (JSON.parse(line) as { apiUrl: string }).apiUrl }; // As `api --json` says it.
      this.#doors.add(door);
    });
    child.once('exit', (code) => {
      this.#running.delete(child);
      const served = door !== undefined && this.#doors.delete(door);
      if (this.#isClosing) return;
      // One that finds no server ends before it serves; that is no crash.
      if (served && !child.killed)
        this.crashes.push(`api (${String(code)}): ${readFileSync(logFile, 'utf8').slice(-LAST_WORDS)}`);
      void sleep(START_AGAIN_MS).then(() => this.#isClosing || this.#start());
    });
  }
}
