import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSampleSource } from '../../demo/sample-data.ts';
import { type Recorder, startRecorder } from '../../demo/recorder.ts';
import { readExposition, type ScrapedMetric } from '../support/exposition.ts';
import { Lab } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { type Program, startTriggers } from '../support/triggers-cli.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { givesToken } from '../webhook/an-authorization.ts';

/** A user who must be in no metric and no line of a log. */
export const CANARY = 'canary-7f3a@example.com';

/** The jobs of the stage, by what their endpoints do. */
export interface Jobs {
  readonly well: string;
  readonly unhealthy: string;
  readonly refusing: string;
}

/** Of the jobs, and of the watches, which are asked after them. */
const TOLD = ['triggers_job_waiting{', 'triggers_watches{'];

/** A worker as `triggers worker` runs it, serving its metrics, after it has done work of every kind. */
export class ScrapedWorker {
  readonly lab: Lab;
  readonly program: Program;
  readonly url: string;
  readonly jobs: Jobs;
  /** The folder of its audience source. */
  readonly source: string;
  /** Members that the backfill of the job with the healthy endpoint has to send. */
  readonly members: number;
  readonly #tokens: Recorder;
  readonly #endpoints: readonly Recorder[];

  static async open(): Promise<ScrapedWorker> {
    const folder = tempFolder();
    const source = join(folder, 'audiences');
    const { audiences } = await writeSampleSource(source, { people: 40 });
    const members = audiences.find(({ slug }) => slug === 'vip')?.size ?? 0;
    const tokens = await startRecorder({ answer: () => givesToken('a-token') });
    const unhealthy = await soonAnswering(503);
    const refusing = await soonAnswering(422);
    const lab = await Lab.open({ workers: 0 });
    const oauth2 = { tokenUrl: tokens.url, clientId: 'me', clientSecret: '${env:CRM_SECRET}' };
    const origins = [new URL(lab.receiver.url).origin];
    const config = {
      taskQueue: lab.taskQueue,
      source: { kind: 'file', folder: 'audiences' },
      network: { allowHttp: true, allowAddresses: ['127.0.0.0/8'] },
      authorizations: { crm: { origins, oauth2 } },
      metrics: { port: 0 },
    };
    const configFile = join(folder, 'triggers.config.json');
    writeFileSync(configFile, JSON.stringify(config));
    const program = startTriggers(['worker', '--json'], {
      env: { TRIGGERS_CONFIG: configFile, CRM_SECRET: 'a-secret' },
    });
    await program.says(({ stdout }) => stdout.endsWith('\n'));
    const { metricsUrl } = JSON.parse(program.stdout) as { metricsUrl: string };
    const jobs = {
      well: await lab.start({ audiences: ['vip'], authorization: 'crm', existingUsers: true }),
      unhealthy: await lab.start({ audiences: ['vip'], webhookUrl: unhealthy.url }),
      refusing: await lab.start({ audiences: ['vip'], webhookUrl: refusing.url }),
    };
    const stage = { lab, program, url: metricsUrl, jobs, source, members };
    return new ScrapedWorker(stage, tokens, [lab.receiver, unhealthy, refusing]);
  }

  private constructor(
    stage: Pick<ScrapedWorker, 'lab' | 'program' | 'url' | 'jobs' | 'source' | 'members'>,
    tokens: Recorder,
    endpoints: readonly Recorder[],
  ) {
    ({ lab: this.lab, program: this.program, url: this.url, jobs: this.jobs } = stage);
    ({ source: this.source, members: this.members } = stage);
    this.#tokens = tokens;
    this.#endpoints = endpoints;
  }

  /** Requests that the endpoints answered with this status. */
  answered(status: number): number {
    return this.#endpoints.reduce(
      (sum, { ledger }) => sum + ledger.entries.filter(({ answered }) => answered === status).length,
      0,
    );
  }

  /** Signals live triggers to all jobs; resolves when each job has done with them what it can. */
  async work(): Promise<void> {
    const { lab, jobs } = this;
    for (const job of [jobs.unhealthy, jobs.refusing]) {
      await lab.jobs.enter(job, { audience: 'vip', user: 'a', profile: {} });
      await lab.statusWhen(job, ({ delivered }) => delivered === 1);
    }
    // A new endpoint is tried with one message: with a member here, since nothing live is there yet.
    await lab.statusWhen(jobs.well, ({ delivered }) => delivered >= 1);
    const users = [CANARY, 'b', 'c', 'd', 'e'];
    const enters = users.map((user) => ({ audience: 'vip', user, event: 'enter', profile: {} }) as const);
    for (const job of Object.values(jobs)) await lab.jobs.push(job, enters);
    await lab.statusWhen(jobs.well, ({ backfill, waiting }) => backfill?.state === 'finished' && waiting === 0);
    await lab.statusWhen(jobs.unhealthy, ({ endpoint }) => endpoint?.state === 'unhealthy');
    await lab.statusWhen(jobs.refusing, ({ deadLetters }) => deadLetters > 0);
  }

  /** A scrape with the answers of jobs and watches, which the first scrape causes to be asked. */
  async scrape(): Promise<{ readonly text: string; readonly metrics: ReadonlyMap<string, ScrapedMetric> }> {
    const read = async () => (await fetch(this.url)).text();
    const text = await answerWhen(read, (scraped) => TOLD.every((metric) => scraped.includes(metric)), 100);
    return { text, metrics: readExposition(text) };
  }

  async close(): Promise<void> {
    await this.program.kill();
    await this.lab.close();
    await Promise.all([this.#tokens, ...this.#endpoints.slice(1)].map((receiver) => receiver.close()));
  }
}

/** An endpoint that accepts one request, since a new one is tried one request at a time, and from then on always answers with this status. */
async function soonAnswering(status: number): Promise<Recorder> {
  let isProven = false;
  return await startRecorder({
    answer: () => {
      if (isProven) return { status };
      isProven = true;
      return { status: 200 };
    },
  });
}
