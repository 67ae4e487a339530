import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Admin } from '@platformatic/kafka';
import { freePorts } from '../src/network/free-ports.ts';
import { dieWithParent, type Watchdog } from '../src/features/local/run-program.ts';

const SCRIPT = fileURLToPath(new URL('../ops/kafka/broker.sh', import.meta.url));
/** Longest wait for a broker to answer, in ms. */
const START_MS = 120_000;

/** Why there can be no broker on this machine; undefined when there can be one. The first time, its jars are fetched. */
export function whyNoKafka(): string | undefined {
  const { status, stderr, error } = spawnSync(SCRIPT, ['--fetch'], { encoding: 'utf8' });
  return status === 0 ? undefined : (error?.message ?? stderr.trim().split('\n').at(-1));
}

/** What a broker has besides what tests need. */
export interface FurtherSettings {
  /** A line each. */
  readonly properties?: (port: number, controllerPort: number) => readonly string[];
  /** A further option for formatting its storage. */
  readonly format?: string;
}

/** An Apache Kafka of one broker, on loopback; whoever starts it stops it. */
export class KafkaBroker {
  readonly address: string;
  readonly admin: Admin;
  readonly #args: readonly string[];
  readonly #format: string | undefined;
  #child: ChildProcess | undefined;
  #watchdog: Watchdog | undefined;

  /** Makes a new one below `folder` and starts it. */
  static async start(folder: string, further: FurtherSettings = {}): Promise<KafkaBroker> {
    const [port = 0, controllerPort = 0] = await freePorts(2);
    const file = join(folder, 'further.properties');
    const { properties = () => [], format } = further;
    writeFileSync(file, `${properties(port, controllerPort).join('\n')}\n`);
    const broker = new KafkaBroker(port, [join(folder, 'kafka'), String(port), String(controllerPort), file], format);
    await broker.startAgain();
    return broker;
  }

  private constructor(port: number, args: readonly string[], format: string | undefined) {
    this.address = `127.0.0.1:${port}`;
    this.#args = args;
    this.#format = format;
    this.admin = new Admin({ clientId: 'tests', bootstrapBrokers: [this.address], retries: 0 });
  }

  /** Starts it after `kill`, with all that it had. */
  async startAgain(): Promise<void> {
    const env = { ...process.env, ...(this.#format === undefined ? {} : { KAFKA_FORMAT: this.#format }) };
    const child = spawn(SCRIPT, this.#args, { env, stdio: ['ignore', 'ignore', 'ignore'], detached: true });
    this.#child = child;
    await once(child, 'spawn');
    this.#watchdog = dieWithParent(child.pid ?? 0);
    const giveUpAt = performance.now() + START_MS;
    while (!(await this.#answers())) {
      if (child.exitCode !== null || performance.now() > giveUpAt)
        throw new Error(`Kafka did not start: ${SCRIPT} ${this.#args.join(' ')}`);
      await sleep(100);
    }
  }

  /** As when the machine loses its power. */
  async kill(): Promise<void> {
    this.#watchdog?.release();
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  async stop(): Promise<void> {
    await this.admin.close();
    await this.kill();
  }

  async #answers(): Promise<boolean> {
    return await this.admin.listTopics().then(
      () => true,
      () => false,
    );
  }
}
