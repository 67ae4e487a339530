import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, type Connection } from '@temporalio/client';
import { connect } from './connection.ts';
import { ExportJobs } from '../../src/app/export-jobs.ts';
import { type Recorder, type RecorderOptions, startRecorder } from '../../demo/recorder.ts';
import { dataConverterWith } from '../../src/temporal/data-converter.ts';
import { temporal } from './temporal.ts';
import { type Program, startTriggers } from './triggers-cli.ts';
import { tempFolder } from './temp-folder.ts';

/** Workers in processes of their own, which a test may kill, with a task queue, a folder and an endpoint. The test that opens it closes it. */
export class WorkerProcesses {
  readonly folder: string;
  readonly receiver: Recorder;
  readonly client: Client;
  readonly jobs: ExportJobs;
  readonly #connection: Connection;
  readonly #taskQueue: string;
  readonly #programs: Program[] = [];

  static async open(name: string, answering: Pick<RecorderOptions, 'answer'> = {}): Promise<WorkerProcesses> {
    const receiver = await startRecorder(answering);
    return new WorkerProcesses(name, receiver, await connect(temporal.address));
  }

  private constructor(name: string, receiver: Recorder, connection: Connection) {
    this.folder = tempFolder();
    this.receiver = receiver;
    this.#connection = connection;
    this.#taskQueue = `${name}-${randomUUID()}`;
    this.client = new Client({ connection, namespace: temporal.namespace, dataConverter: dataConverterWith([]) });
    this.jobs = new ExportJobs(this.client, { taskQueue: this.#taskQueue });
  }

  /** A worker that is ready, and may send to this machine. @param config what else is in its configuration; paths are from the folder. */
  async start(config: Readonly<Record<string, unknown>>): Promise<Program> {
    const path = join(this.folder, 'triggers.config.json');
    writeFileSync(path, JSON.stringify({ network: { allowHttp: true, allowAddresses: ['127.0.0.0/8'] }, ...config }));
    const program = startTriggers(['worker', '--config', path], { env: { TRIGGERS_TASK_QUEUE: this.#taskQueue } });
    this.#programs.push(program);
    await program.says(({ stdout }) => stdout.includes('Worker ready'));
    return program;
  }

  async close(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.kill()));
    await this.#connection.close();
    await this.receiver.close();
  }
}

/** What a source over HTTP needs to say when it answers as `startJsonServer` is told to. */
export function httpSource(url: string) {
  return {
    kind: 'http',
    url,
    audiences: { url: '/audiences', id: 'id', slug: 'slug', name: 'name' },
    members: { url: '/members/{audience}', maxLimit: 100 },
    profiles: { url: '/people/{user}' },
  };
}
