import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import ora, { type Ora } from 'ora';
import type { JobStatus } from '../contract/job-status.ts';
import { jobWorkflowId } from '../domain/names.ts';
import { type DemoStage, openDemoStage } from './demo-stage.ts';
import { demoSummary } from './demo-summary.ts';
import type { ExpectedTrigger } from './ledger.ts';
import { liveTriggers } from './live-triggers.ts';
import { SAMPLE_AUDIENCES, samplePeople } from './sample-people.ts';

const HELP = `npm run demo [-- options]

Starts Temporal with its web UI, a worker, a webhook receiver and 1,000 sample people, and plays an export job.

  --exit         end after the summary; exit code 0 only if every expected message arrived
  --url URL      send to this endpoint instead of the built-in receiver
  --people N     sample people (default 1000)
  --live N       live enters and exits (default 200)`;

const JOB_ID = 'demo';
const PARALLEL = 20;
/** Live triggers come as from a small live pipeline. */
const LIVE_PER_SECOND = 40;
/** How long the demo waits without any progress before it gives up. */
const STALLED_MS = 60_000;

interface DemoOptions {
  readonly exit: boolean;
  readonly url: string | undefined;
  readonly people: number;
  readonly live: number;
}

function readOptions(): DemoOptions | undefined {
  const { values } = parseArgs({
    options: {
      exit: { type: 'boolean', default: false },
      url: { type: 'string' },
      people: { type: 'string', default: '1000' },
      live: { type: 'string', default: '200' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const people = Number(values.people);
  const live = Number(values.live);
  if (values.help || !(people >= 1) || !(live >= 0)) return undefined;
  return { exit: values.exit, url: values.url, people, live };
}

/** Plays the demo on its stage; true when all that was expected arrived. */
async function play(stage: DemoStage, options: DemoOptions, line: Ora, stop: AbortSignal): Promise<boolean> {
  const { jobs, sample, receiver, temporal } = stage;
  await jobs.start(
    {
      label: 'Demo: every audience to one webhook',
      audiences: SAMPLE_AUDIENCES.map(({ slug }) => slug),
      webhookUrl: options.url ?? receiver?.url ?? '',
      authorization: null,
      existingUsers: true,
      parallelRequestCount: PARALLEL,
    },
    { jobId: JOB_ID },
  );
  say(line, `Job started: ${jobLink(temporal.uiUrl)}`);

  const members = sample.audiences.reduce((sum, { size }) => sum + size, 0);
  line.start();
  await untilDelivered(
    stage,
    members,
    line,
    stop,
    (done) => `Backfill: ${done} of ${count(members)} existing memberships sent`,
  );
  say(line, `Backfill done: ${count(members)} memberships sent as enter.`);

  const expected: ExpectedTrigger[] = [];
  const stream = liveTriggers({
    people: samplePeople({ people: options.people }),
    audiences: SAMPLE_AUDIENCES.map(({ slug }) => slug),
  });
  line.start();
  for (const trigger of stream) {
    if (expected.length >= options.live || stop.aborted) break;
    await jobs.push(JOB_ID, [trigger]);
    expected.push(trigger);
    line.text = `Live: ${expected.length} of ${options.live} enters and exits signalled`;
    await sleep(1000 / LIVE_PER_SECOND, undefined, { signal: stop }).catch(() => undefined);
  }
  await untilDelivered(
    stage,
    members + expected.length,
    line,
    stop,
    (done) => `Live: waiting for the last; ${done} sent`,
  );
  say(line, `Live done: ${expected.length} enters and exits sent.`);
  const status = await jobs.status(JOB_ID);
  const { text, isComplete } = demoSummary({ members, expected, status, ledger: receiver?.ledger });
  console.log(`\n${text}`);
  return isComplete;
}

/** Shows progress until the job says that so many are delivered, or nothing has moved for a minute. */
async function untilDelivered(
  { jobs }: DemoStage,
  goal: number,
  line: Ora,
  stop: AbortSignal,
  text: (delivered: string) => string,
): Promise<void> {
  let last = -1;
  let movedAt = Date.now();
  for (let status: JobStatus | undefined; !stop.aborted; await sleep(100)) {
    status = await jobs.status(JOB_ID);
    const { delivered, inFlight, lastFailure } = status;
    if (delivered >= goal) return;
    if (delivered !== last) movedAt = Date.now();
    last = delivered;
    const trouble = lastFailure === undefined ? '' : `; last failure: ${lastFailure.status ?? lastFailure.code}`;
    line.text = `${text(count(delivered))}, ${inFlight} in flight${trouble}`;
    if (Date.now() - movedAt > STALLED_MS) return;
  }
}

/** Prints a line above the progress line. */
function say(line: Ora, text: string): void {
  line.stop();
  console.log(text);
}

function jobLink(uiUrl: string | undefined): string {
  return `${uiUrl}/namespaces/default/workflows/${jobWorkflowId(JOB_ID)}`;
}

function count(n: number): string {
  return n.toLocaleString('en');
}

/** Aborted by the first Ctrl-C. The terminal and a parent may both pass one on, so a second soon after is the same. */
function interrupts(): AbortSignal {
  const controller = new AbortController();
  const hear = () => controller.abort();
  process.on('SIGINT', hear);
  process.on('SIGTERM', hear);
  return controller.signal;
}

async function main(): Promise<number> {
  const options = readOptions();
  if (options === undefined) {
    console.log(HELP);
    return 2;
  }
  const stop = interrupts();
  const line = ora({ stream: process.stderr, discardStdin: false, hideCursor: process.stderr.isTTY });
  const stage = await openDemoStage(options, (text) => say(line, `- ${text}`));
  try {
    const isComplete = await play(stage, options, line, stop);
    const { temporal } = stage;
    console.log(
      `\nTemporal UI   ${temporal.uiUrl}\nThis job      ${jobLink(temporal.uiUrl)}\nTemporal      ${temporal.address}\nHTTP API      ${temporal.httpUrl}`,
    );
    if (!options.exit && !stop.aborted) {
      console.log('\nEverything stays up. Stop it with Ctrl-C.');
      await new Promise<void>((resolve) => stop.addEventListener('abort', () => resolve(), { once: true }));
    }
    return isComplete ? 0 : 1;
  } finally {
    line.stop();
    if (stop.aborted) console.log('\nStopping …');
    await stage.close();
  }
}

process.exitCode = await main();
