import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { missingFrom, violationsIn } from '../../demo/expected-triggers.ts';
import type { EventTrigger } from '../../src/contract/trigger.ts';
import type { LocalTemporal } from '../../src/local/temporal-server.ts';
import type { Ended } from '../support/cli-hosts.ts';
import { Lab } from '../support/lab.ts';
import { startTightServer } from '../support/tight-server.ts';
import { Operator, unwrapped } from '../support/triggers-cli.ts';

const SIGNALS_PER_RUN = 10;
let server: LocalTemporal;

beforeAll(async () => {
  server = await startTightServer({ signalsPerRun: SIGNALS_PER_RUN });
});
afterAll(async () => server.stop());

/** More triggers than fit into the signals that a run may have: each signal takes 64 KiB, profiles beside. */
function stream(): (EventTrigger & { at: string })[] {
  return Array.from({ length: 3000 }, (_, i) => ({
    audience: 'vip',
    user: `p${i % 300}`.padEnd(250, '.'),
    event: i % 600 < 300 ? 'enter' : 'exit',
    at: `2026-01-01T00:00:00.${String(i).padStart(9, '0')}Z`,
    profile: {},
  }));
}

/** A job whose worker is away, and somebody who pushes to it on the command line. */
class AbandonedJob {
  readonly lab: Lab;
  readonly jobId: string;
  readonly triggers = stream();
  readonly #operator: Operator;

  static async open(): Promise<AbandonedJob> {
    const config = { serverLimits: { signalsPerRun: SIGNALS_PER_RUN, eventsPerRun: 51_200, payloadBytes: 2 ** 21 } };
    const lab = await Lab.open({ address: server.address, workers: 0, config });
    const worker = await lab.addWorker();
    const jobId = await lab.start({ parallelRequestCount: 10 });
    await lab.shutdown(worker);
    return new AbandonedJob(lab, jobId);
  }

  private constructor(lab: Lab, jobId: string) {
    this.lab = lab;
    this.jobId = jobId;
    this.#operator = new Operator(lab.taskQueue);
  }

  async push(...args: string[]): Promise<Ended> {
    return await this.#operator.run(['push', ...args], {
      stdin: this.triggers.map((one) => JSON.stringify(one)).join('\n'),
      env: { TEMPORAL_ADDRESS: server.address },
    });
  }

  /** Resolves when the server lists it, which it does a moment after its start. */
  async isListed(): Promise<void> {
    for (;;) {
      const jobs = await this.lab.jobs.list();
      if (jobs.some(({ jobId, audiences }) => jobId === this.jobId && audiences !== undefined)) return;
    }
  }

  /** Ends the job too: the next push without a job must not find it. */
  async close(): Promise<void> {
    await this.lab.handle(this.jobId).terminate();
    await this.lab.close();
  }
}

/** A push with a patience of one second, as it ends while no worker is running. */
async function refusedPush(job: AbandonedJob, ...args: string[]): Promise<Ended> {
  const ended = await job.push(...args, '--patience', '1s');
  expect(ended).toMatchObject({ code: 1, stdout: '' });
  return ended;
}

/** How many a refused push says were accepted: `1,880 triggers were accepted.` */
function acceptedIn(text: string): number {
  const [, accepted = ''] = /([\d,]+) triggers were accepted\. Nothing after that was sent\./.exec(text) ?? [];
  return Number(accepted.replaceAll(',', ''));
}

async function expectEachOnce({ lab, jobId, triggers }: AbandonedJob, repeated: number): Promise<void> {
  await lab.receiver.ledger.waitFor(({ delivered }) => delivered === triggers.length);
  const status = await lab.statusWhen(jobId, ({ waiting }) => waiting === 0);
  expect(status).toMatchObject({ delivered: triggers.length, repeated, received: triggers.length + repeated });
  expect(missingFrom(lab.receiver.ledger, triggers)).toEqual([]);
  expect(violationsIn(lab.receiver.ledger, triggers)).toEqual([]);
  expect(lab.receiver.ledger.summary()).toMatchObject({ requests: triggers.length, duplicates: 0 });
}

test('a push that the server refuses says what was accepted, what was not and why; done again when a worker is there, each trigger arrives once', async () => {
  const job = await AbandonedJob.open();
  try {
    const first = await refusedPush(job, job.jobId, '-');
    const text = unwrapped(first.stderr);
    expect(text).toContain(`The push to "${job.jobId}" ended early: The job "${job.jobId}" takes no more signals`);
    expect(text).toContain('Start a worker: triggers worker');
    const accepted = acceptedIn(text);
    expect(text).toContain(`Push again from trigger ${accepted + 1} on.`);

    const second = await refusedPush(job, job.jobId, '-', '--json');
    expect(JSON.parse(second.stderr)).toMatchObject({
      error: { name: 'PushInterrupted', jobId: job.jobId, accepted: 0, unconfirmed: 0 },
    });

    await job.lab.addWorker();
    const third = await job.push(job.jobId, '-', '--json');
    expect(third).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(third.stdout)).toMatchObject({ accepted: job.triggers.length });
    await expectEachOnce(job, accepted);
  } finally {
    await job.close();
  }
});
