import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectClient } from '../../src/client/calls/connect.ts';
import { runProgram } from '../../src/features/local/run-program.ts';
import { type LocalTemporal, startLocalTemporal } from '../../src/features/local/temporal-server.ts';
import type { Ended } from '../support/cli-hosts.ts';
import { answerWhen } from '../support/patience.ts';
import { rawText } from '../support/raw-history.ts';
import { temporal as testServer } from '../support/temporal.ts';
import { type Program, type ProgramOptions, startTriggers, triggers } from '../support/triggers-cli.ts';
import { afterwards } from '../webhook/a-server.ts';
import { KEPT } from './canaries.ts';
import { canaryConfiguration, type CanaryServices, echoOf, startCanaryServices } from './canary-services.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** A Temporal server with a database file, whatever workers send secrets to, and all that anybody can see of them; until the test is over. */
export class CanaryStage {
  readonly services: CanaryServices;
  /** What commands printed. */
  readonly printed: string[] = [];
  /** What metrics said. */
  readonly scraped: string[] = [];
  /** What `ps` showed. */
  readonly processes: string[] = [];
  readonly #folder: string;
  readonly #server: LocalTemporal;
  readonly #programs: Program[] = [];

  static async open(): Promise<CanaryStage> {
    const folder = tempFolder();
    const server = await startLocalTemporal({ cliPath: testServer.cliPath, dbFile: join(folder, 'temporal.db') });
    afterwards(() => server.stop());
    const services = await startCanaryServices();
    const stage = new CanaryStage(folder, server, services);
    afterwards(async () => void (await Promise.all(stage.#programs.map((program) => program.kill()))));
    const configuration = canaryConfiguration(services, (name, text) => stage.write(name, text));
    stage.write('triggers.config.json', JSON.stringify(configuration));
    return stage;
  }

  private constructor(folder: string, server: LocalTemporal, services: CanaryServices) {
    this.#folder = folder;
    this.#server = server;
    this.services = services;
  }

  get #env(): Record<string, string> {
    return {
      TEMPORAL_ADDRESS: this.#server.address,
      TEMPORAL_API_KEY: KEPT.apiKey,
      TEMPORAL_TLS: 'false',
      TRIGGERS_CONFIG: join(this.#folder, 'triggers.config.json'),
      TRIGGERS_LOG_LEVEL: 'debug',
    };
  }

  /** All that left workers, for those whom it was meant for. */
  get sent(): string {
    const { seen, source, alerts, collector, proxy } = this.services;
    const endpoints = seen.map(({ url, headers }) => JSON.stringify([url, headers]));
    const asked = [...source.asked, ...alerts.asked].map(echoOf);
    return [...endpoints, ...asked, JSON.stringify(collector.headers), ...proxy.credentials].join('\n');
  }

  /** What programs that ran on said. */
  get logs(): string {
    return this.#programs.map(({ stdout, stderr }) => stdout + stderr).join('\n');
  }

  /** @returns how the configuration refers to it. */
  write(name: string, text: string): string {
    writeFileSync(join(this.#folder, name), text);
    return `\${file:${name}}`;
  }

  /** Starts what runs on, and waits until it says something on its standard output. */
  async start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Program> {
    const program = startTriggers(args, { env: { ...this.#env, ...env } });
    this.#programs.push(program);
    await program.says(({ stdout }) => stdout.includes('\n'));
    return program;
  }

  /** Runs a command as an operator does, and keeps what it says. */
  async say(args: readonly string[], { env, ...options }: ProgramOptions = {}): Promise<Ended> {
    const ended = await triggers(args, { ...options, env: { ...this.#env, ...env } });
    this.printed.push(ended.stdout, ended.stderr);
    return ended;
  }

  /** The same for people and for machines. @returns what machines are told. */
  async sayBothWays(...args: string[]): Promise<Ended> {
    await this.say(args);
    return await this.say([...args, '--json']);
  }

  /** What is true when nothing is left to happen: all that can be delivered is, all that cannot is a dead letter. */
  async untilDone(job: string, { delivered, dead }: { delivered: number; dead: number }): Promise<void> {
    const ask = async () => {
      const { code, stdout } = await this.say(['status', job, '--json']);
      // On a busy machine a worker may leave a question unanswered.
      if (code !== 0) return { delivered: 0, deadLetters: 0 };
      return JSON.parse(stdout) as { delivered: number; deadLetters: number };
    };
    await answerWhen(ask, (status) => status.delivered >= delivered && status.deadLetters >= dead, 1000);
  }

  /** Keeps what the metrics of a worker say, and what `ps` says of all processes. */
  async look({ stdout }: Program): Promise<void> {
    const { metricsUrl } = JSON.parse(stdout) as { metricsUrl: string };
    this.scraped.push(await (await fetch(metricsUrl)).text());
    const shown = await runProgram('ps', ['-A', '-ww', '-o', 'args='], { timeoutMs: 5000 });
    this.processes.push(shown.stdout);
  }

  /** Every event of every workflow with what lists show of it, and the search attributes by themselves. */
  async held(): Promise<{ readonly histories: string; readonly searchAttributes: string }> {
    const { address, namespace } = this.#server;
    const { client, close } = await connectClient({ connectionOptions: { address }, namespace }, []);
    try {
      const { executions } = await client.workflowService.listWorkflowExecutions({ namespace, pageSize: 1000 });
      const attributes = (executions ?? []).flatMap(({ searchAttributes }) =>
        Object.values(searchAttributes?.indexedFields ?? {}).map(({ data }) => latin1(data ?? new Uint8Array())),
      );
      return { histories: await rawText(client, ''), searchAttributes: attributes.join('\n') };
    } finally {
      await close();
    }
  }

  /** Stops the server. @returns what it leaves on disk. */
  async database(): Promise<string> {
    await this.#server.stop();
    const files = readdirSync(this.#folder).filter((name) => name.startsWith('temporal.db'));
    return files.map((name) => latin1(readFileSync(join(this.#folder, name)))).join('\n');
  }
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
