import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { JobSummary, WatchStatus } from '../../src/app/export-jobs.ts';
import { type Recorder, startRecorder } from '../../demo/recorder.ts';
import type { Ended } from '../support/cli-hosts.ts';
import { jsonLines, Program, startTriggers, triggers } from '../support/triggers-cli.ts';
import { blocksOf, root } from './pages.ts';
import { toolsIn } from './reader-tools.ts';
import { ParsingShell } from './shell-lines.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** The sample job, which runs wherever a page speaks of a job that is there. */
const SAMPLE_JOB = 'vips-to-the-crm';

/** What runs until Ctrl-C, and what it says once it does. A second one would want the same port: it gets a free one. */
const UNTIL_INTERRUPTED: readonly { readonly names: RegExp; readonly says: RegExp; readonly options?: string }[] = [
  { names: /triggers up\b/, says: /^Ready\./m, options: '--port 0 --ui-port 0 --http-port 0 --api-port 0' },
  { names: /triggers worker\b/, says: /^Worker ready/m },
  { names: /triggers receive\b/, says: /Stop with Ctrl-C\./, options: '--port 0' },
  { names: /triggers api\b/, says: /^API ready/m, options: '--port 0' },
  { names: /triggers codec-server\b/, says: /^Codec server ready/m, options: '--port 0' },
  { names: /triggers status .*--watch\b/, says: /./ },
  { names: /triggers attempts .*--follow\b/, says: /./ },
];

/** What its authorization says to the endpoint. */
export const STAGE_BEARER = 'Bearer a-token';

/** A machine as the reader of a page has it: Temporal and a worker by `triggers up`, the sample data, an endpoint. */
export class Stage {
  readonly receiver: Recorder;
  readonly #folder: string;
  readonly #origin: string;
  readonly #programs: Program[] = [];
  readonly #shell = new ParsingShell();
  #env: Record<string, string | undefined>;
  #apiUrl = '';

  static async open(): Promise<Stage> {
    const stage = new Stage(await startRecorder({ keepBodies: true }));
    const up = startTriggers(['up', '--port', '0', '--ui-port', '0', '--http-port', '0', '--api-port', '0', '--json'], {
      cwd: stage.#folder,
      env: stage.#env,
    });
    stage.#programs.push(up);
    await up.says(({ stdout }) => stdout.includes('\n'));
    const { address, apiUrl } = JSON.parse(up.stdout) as { address: string; apiUrl: string }; // As `up --json` says it.
    stage.#apiUrl = apiUrl;
    stage.#env = { ...stage.#env, TEMPORAL_ADDRESS: address };
    return stage;
  }

  private constructor(receiver: Recorder) {
    this.receiver = receiver;
    this.#origin = new URL(receiver.url).origin;
    this.#folder = tempFolder();
    const path = `${toolsIn(this.#folder)}${delimiter}${process.env['PATH'] ?? ''}`;
    const payloadKey = `a:${Buffer.alloc(32, 7).toString('base64')}`;
    this.#env = { PATH: path, TEMPORAL_ADDRESS: undefined, TRIGGERS_PAYLOAD_KEYS: payloadKey };
    cpSync(join(root, 'examples'), join(this.#folder, 'examples'), { recursive: true });
    this.#write('examples/job.json', readFileSync(join(root, 'examples', 'job.json'), 'utf8'));
    const source = { kind: 'file', folder: 'examples/data' };
    const authorizations = { crm: { origins: [this.#origin], bearer: STAGE_BEARER.replace('Bearer ', '') } };
    this.#write('triggers.config.json', JSON.stringify({ source, authorizations }));
  }

  /** Puts the files there that a page shows, but for the configuration: that one is the stage's. */
  showFiles(page: string): void {
    for (const { file, text } of blocksOf(page))
      if (/^[\w-]+\.json$/.test(file) && file !== 'triggers.config.json') this.#write(file, text);
  }

  async startSampleJob(): Promise<void> {
    await this.#triggers(['start', 'examples/job.json', '--yes']);
  }

  /** Runs a line; what would run until Ctrl-C gets it as soon as it says that it is ready. */
  async run(line: string): Promise<Ended> {
    const long = UNTIL_INTERRUPTED.find(({ names }) => names.test(line));
    const whole = long?.options === undefined ? line : `${line} ${long.options}`;
    const said = this.#toOurEndpoint(whole)
      .replaceAll(/\bJOB\b/g, SAMPLE_JOB)
      .replace(/TRIGGERS_METRICS_PORT=\d+/, 'TRIGGERS_METRICS_PORT=0')
      .replace('http://127.0.0.1:7280', this.#apiUrl);
    // A process of its own, for each of some hundred lines, costs a second; what is no work for a shell needs none.
    if (long === undefined && /^(?:npx )?triggers [^<>|&;$`*]+$/.test(said)) {
      const [call] = this.#shell.callsOf(said);
      return await triggers(call?.args ?? [], this.#options);
    }
    const program = new Program('sh', ['-c', `exec env ${said}`], { env: this.#env, cwd: this.#folder });
    this.#programs.push(program);
    if (long !== undefined) {
      await program.says(({ stdout, stderr }) => long.says.test(stdout) || long.says.test(stderr));
      program.signal('SIGINT');
    }
    return await program.end();
  }

  /** Ends every job and watch of a page, so that the next one finds none. */
  async tidy(): Promise<void> {
    const jobs = await this.#listed<JobSummary>(['list']);
    // One that has ended refuses it, unless it keeps something.
    for (const { jobId } of jobs) await triggers(['stop', jobId, '--waiting', 'discard', '--yes'], this.#options);
    for (const { jobId } of jobs) await triggers(['status', jobId, '--watch'], this.#options);
    const watches = await this.#listed<WatchStatus>(['watch', '--list']);
    for (const { audience } of watches) await this.#triggers(['watch', audience.slug, '--stop']);
  }

  async close(): Promise<void> {
    // The worker ends in peace while the receiver still answers.
    this.#programs[0]?.signal('SIGINT');
    await this.#programs[0]?.end();
    await Promise.all(this.#programs.map((program) => program.kill()));
    await this.receiver.close();
  }

  get #options() {
    return { cwd: this.#folder, env: this.#env };
  }

  async #triggers(args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await triggers(args, this.#options);
    if (code !== 0) throw new Error(`triggers ${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  }

  async #listed<T>(args: readonly string[]): Promise<T[]> {
    return jsonLines(await this.#triggers([...args, '--json']));
  }

  #write(file: string, text: string): void {
    writeFileSync(join(this.#folder, file), this.#toOurEndpoint(text));
  }

  /** Where pages have an endpoint of the reader's, there is the receiver. */
  #toOurEndpoint(text: string): string {
    return text.replaceAll(/https:\/\/\w+\.example\.com|http:\/\/127\.0\.0\.1:9000/g, this.#origin);
  }
}
