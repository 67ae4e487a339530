import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Dice } from '../demo/dice.ts';
import { WORKER_HEADER } from './endpoint.ts';
import type { Release } from './release-build.ts';
import { WorkerLog } from './worker-log.ts';
import type { FromWorker } from './worker.ts';

export interface FleetOptions {
  readonly size: number;
  /** Where configurations and logs are written. */
  readonly folder: string;
  /** Of Temporal. */
  readonly address: string;
  /** Bundled workflow code of this checkout. */
  readonly bundle: string;
  /** The configuration of every worker. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Which release a place starts with; default: this checkout, from its source. */
  readonly releaseOf?: (place: number) => Release | undefined;
  /** Where the authorization `chaos` may be sent. */
  readonly origins: readonly string[];
}

interface Member {
  readonly name: string;
  readonly child: ChildProcess;
  isReady: boolean;
  /** It was told to end in peace. */
  isEnding: boolean;
  rssBytes: number;
}

const START_AGAIN_MS = 500;
const LOOK_MS = 50;
const LAST_WORDS = 600;

/** Worker processes, each started anew when it has ended, whyever. */
export class Fleet {
  /** By name, of those that we killed: epoch ms. */
  readonly kills = new Map<string, number>();
  /** Those that ended by themselves while they ran: which, and their last words. */
  readonly crashes: string[] = [];
  mostRssBytes = 0;
  readonly #options: FleetOptions;
  readonly #members: (Member | undefined)[] = [];
  readonly #releases = new Map<number, Release | undefined>();
  #started = 0;
  #isClosing = false;

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** Workers that poll. */
  get ready(): number {
    return this.#running().length;
  }

  /** Of all workers that run now, together. */
  get rssBytes(): number {
    return this.#running().reduce((sum, { rssBytes }) => sum + rssBytes, 0);
  }

  /** Starts all, and waits until they poll. */
  async open(): Promise<void> {
    const { size, releaseOf } = this.#options;
    for (let place = 0; place < size; place++) {
      this.#releases.set(place, releaseOf?.(place));
      this.#start(place);
    }
    while (this.ready < size) await sleep(LOOK_MS);
  }

  /** Starts workers of this release at the given places, each after the one before it there has ended in peace. Waits until they poll. */
  async roll(places: readonly number[], release: Release | undefined): Promise<void> {
    for (const place of places) {
      this.#releases.set(place, release);
      const before = this.#members[place];
      if (before !== undefined) {
        before.isEnding = true;
        if (before.child.connected) before.child.disconnect();
      }
      while (this.#members[place] === before || this.#members[place]?.isReady !== true) await sleep(LOOK_MS);
    }
  }

  /** Ends one of those that poll, if any does, by SIGKILL; the dice choose. */
  kill(dice: Dice): void {
    const running = this.#running();
    if (running.length > 0) this.#kill(dice.oneOf(running));
  }

  /** Ends all that poll, by SIGKILL. */
  killAll(): void {
    for (const member of this.#running()) this.#kill(member);
  }

  /** What all of them logged so far. */
  readLogs(): WorkerLog {
    const log = new WorkerLog();
    for (let i = 1; i <= this.#started; i++) log.read(readFileSync(this.#logFile(`worker-${i}`), 'utf8'));
    return log;
  }

  /** Ends all in peace. */
  async close(): Promise<void> {
    this.#isClosing = true;
    const children = this.#members.flatMap((member) => (member === undefined ? [] : [member.child]));
    const ends = children.map((child) => once(child, 'exit'));
    for (const child of children) if (child.connected) child.disconnect();
    await Promise.all(ends);
  }

  #kill({ name, child }: Member): void {
    this.kills.set(name, Date.now());
    child.kill('SIGKILL');
  }

  #running(): Member[] {
    return this.#members.flatMap((member) => (member?.isReady === true ? [member] : []));
  }

  #start(place: number): void {
    const name = `worker-${++this.#started}`;
    const { folder, address, bundle, config, origins } = this.#options;
    const release = this.#releases.get(place);
    const configFile = join(folder, `${name}.json`);
    const authorizations = { chaos: { origins, headers: { [WORKER_HEADER]: name } } };
    writeFileSync(configFile, JSON.stringify({ ...config, ...release?.config, authorizations }));
    const logFile = this.#logFile(name);
    const log = openSync(logFile, 'w');
    const child = fork(new URL('./worker.ts', import.meta.url), {
      execArgv: ['--import', 'tsx'],
      env: {
        ...process.env,
        TRIGGERS_CONFIG: configFile,
        CHAOS_TEMPORAL: address,
        ...(release === undefined ? { CHAOS_BUNDLE: bundle } : { CHAOS_LIB: release.lib }),
      },
      stdio: ['ignore', log, log, 'ipc'],
    });
    closeSync(log);
    const member: Member = { name, child, isReady: false, isEnding: false, rssBytes: 0 };
    this.#members[place] = member;
    child.on('message', (message: FromWorker) => this.#hear(member, message));
    child.once('exit', (code, signal) => {
      this.#members[place] = undefined;
      if (this.#isClosing) return;
      // One that finds no server ends before it is ready; that is no crash.
      if (member.isReady && !member.isEnding && !this.kills.has(name))
        this.crashes.push(`${name} (${signal ?? code}): ${lastWords(logFile)}`);
      void sleep(START_AGAIN_MS).then(() => this.#isClosing || this.#start(place));
    });
  }

  #logFile(name: string): string {
    return join(this.#options.folder, `${name}.log`);
  }

  #hear(member: Member, message: FromWorker): void {
    member.isReady = true;
    if (message.kind !== 'memory') return;
    member.rssBytes = message.rssBytes;
    this.mostRssBytes = Math.max(this.mostRssBytes, message.rssBytes);
  }
}

function lastWords(logFile: string): string {
  return readFileSync(logFile, 'utf8').slice(-LAST_WORDS);
}
