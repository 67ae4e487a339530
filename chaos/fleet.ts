import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Dice } from '../demo/dice.ts';
import { WORKER_HEADER } from './endpoint.ts';
import { WorkerLog } from './worker-log.ts';
import type { FromWorker } from './worker.ts';

export interface FleetOptions {
  readonly size: number;
  /** Where configurations and logs are written. */
  readonly folder: string;
  /** Of Temporal. */
  readonly address: string;
  /** Bundled workflow code. */
  readonly bundle: string;
  /** The configuration of every worker. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Where the authorization `chaos` may be sent. */
  readonly origins: readonly string[];
}

interface Member {
  readonly name: string;
  readonly child: ChildProcess;
  isReady: boolean;
  rssBytes: number;
}

const START_AGAIN_MS = 500;
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
    for (let place = 0; place < this.#options.size; place++) this.#start(place);
    while (this.ready < this.#options.size) await sleep(50);
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
    for (const child of children) child.disconnect();
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
    const configFile = join(folder, `${name}.json`);
    const authorizations = { chaos: { origins, headers: { [WORKER_HEADER]: name } } };
    writeFileSync(configFile, JSON.stringify({ ...config, authorizations }));
    const logFile = this.#logFile(name);
    const log = openSync(logFile, 'w');
    const child = fork(new URL('./worker.ts', import.meta.url), {
      execArgv: ['--import', 'tsx'],
      env: { ...process.env, TRIGGERS_CONFIG: configFile, CHAOS_TEMPORAL: address, CHAOS_BUNDLE: bundle },
      stdio: ['ignore', log, log, 'ipc'],
    });
    closeSync(log);
    const member: Member = { name, child, isReady: false, rssBytes: 0 };
    this.#members[place] = member;
    child.on('message', (message: FromWorker) => this.#hear(member, message));
    child.once('exit', (code, signal) => {
      this.#members[place] = undefined;
      if (this.#isClosing) return;
      // One that finds no server ends before it is ready; that is no crash.
      if (member.isReady && !this.kills.has(name))
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
