import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import ora, { type Ora } from 'ora';
import type { ExpectedTrigger } from './expected-triggers.ts';
import type { ExportJobs } from '../src/app/export-jobs.ts';
import { jobWorkflowId } from '../src/domain/names.ts';
import { failureInWords } from '../src/domain/verdict.ts';
import { liveTriggers } from './live-triggers.ts';
import { SAMPLE_AUDIENCES, samplePeople } from './sample-people.ts';
import { DEMO_SOURCES, type DemoSource, type DemoStage, openDemoStage } from './stage.ts';
import { count, demoSummary } from './summary.ts';

const HELP = `npm run demo [-- options]

Starts Temporal with its web UI, a worker, a webhook receiver and 1,000 sample people, and plays an export job.

  --exit         end after the summary; exit code 0 only if every expected message arrived
  --source KIND  where the sample people are: file (NDJSON, the default) or postgres (a server that comes with npm ci)
  --url URL      send to this endpoint instead of the built-in receiver
  --people N     sample people (default 1000)
  --live N       live enters and exits (default 200)
  --patience N   give up when nothing was delivered for N seconds (default 60)`;

const JOB_ID = 'demo';
const PARALLEL = 20;
/** Live triggers come at the pace of a small live pipeline. */
const LIVE_PER_SECOND = 40;
interface DemoOptions {
  readonly exit: boolean;
  readonly source: DemoSource;
  readonly url: string | undefined;
  readonly people: number;
  readonly live: number;
  /** How long the demo waits without any progress before it gives up. */
  readonly patienceMs: number;
}

function readOptions(): DemoOptions | undefined {
  const { values } = parseArgs({
    options: {
      exit: { type: 'boolean', default: false },
      source: { type: 'string', default: 'file' },
      url: { type: 'string' },
      people: { type: 'string', default: '1000' },
      live: { type: 'string', default: '200' },
      patience: { type: 'string', default: '60' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const people = Number(values.people);
  const live = Number(values.live);
  const patienceMs = Number(values.patience) * 1000;
  const source = DEMO_SOURCES.find((kind) => kind === values.source);
  if (values.help || source === undefined || !(people >= 1) || !(live >= 0) || !(patienceMs > 0)) return undefined;
  return { exit: values.exit, source, url: values.url, people, live, patienceMs };
}

/** Plays the demo on its stage; true when all that was expected arrived. */
async function play(stage: DemoStage, options: DemoOptions, line: Ora, stop: AbortSignal): Promise<boolean> {
  const { jobs, audiences, receiver } = stage;
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
  say(line, `Job started: ${consoleLink(stage)}`);

  const members = audiences.reduce((sum, { size }) => sum + size, 0);
  const watch = { jobs, line, stop, patienceMs: options.patienceMs };
  const backfilled = await untilDelivered(
    members,
    watch,
    (done) => `Backfill: ${done} of ${count(members)} existing memberships sent`,
  );
  const expected: ExpectedTrigger[] = [];
  if (backfilled) {
    say(line, `Backfill done: ${count(members)} memberships sent as enter.`);
    expected.push(...(await playLive(jobs, options, line, stop)));
    const all = members + expected.length;
    const live = await untilDelivered(all, watch, (done) => `Live: waiting for the last; ${done} sent`);
    if (live) say(line, `Live done: ${expected.length} enters and exits sent.`);
  }
  if (stop.aborted) return false;
  const status = await jobs.status(JOB_ID);
  const { text, isComplete } = demoSummary({ members, expected, status, ledger: receiver?.ledger });
  console.log(`\n${text}`);
  return isComplete;
}

/** Signals enters and exits one by one; returns what it signalled. */
async function playLive(
  jobs: ExportJobs,
  options: DemoOptions,
  line: Ora,
  stop: AbortSignal,
): Promise<ExpectedTrigger[]> {
  const signalled: ExpectedTrigger[] = [];
  const stream = liveTriggers({
    people: samplePeople({ people: options.people }),
    audiences: SAMPLE_AUDIENCES.map(({ slug }) => slug),
  });
  line.start(liveText(0, options));
  for (const trigger of stream) {
    if (signalled.length >= options.live || stop.aborted) break;
    await jobs.push(JOB_ID, [trigger]);
    signalled.push(trigger);
    line.text = liveText(signalled.length, options);
    await sleep(1000 / LIVE_PER_SECOND, undefined, { signal: stop }).catch(() => undefined);
  }
  return signalled;
}

function liveText(signalled: number, { live }: DemoOptions): string {
  return `Live: ${signalled} of ${live} enters and exits signalled`;
}

/** Shows progress until the job reports this many deliveries, then returns true. False when nothing moves any more, or when it is stopped. */
async function untilDelivered(
  goal: number,
  {
    jobs,
    line,
    stop,
    patienceMs,
  }: { readonly jobs: ExportJobs; readonly line: Ora; readonly stop: AbortSignal; readonly patienceMs: number },
  text: (delivered: string) => string,
): Promise<boolean> {
  let last = -1;
  let movedAt = Date.now();
  while (!stop.aborted) {
    const { delivered, inFlight, lastFailure } = await jobs.status(JOB_ID);
    if (delivered >= goal) return true;
    const trouble = lastFailure === undefined ? '' : `; last failure: ${failureInWords(lastFailure)}`;
    const progress = `${text(count(delivered))}, ${inFlight} in flight${trouble}`;
    // Not before: without a terminal, a start prints the line as it is then, and never again.
    if (last < 0) line.start(progress);
    else line.text = progress;
    if (delivered !== last) movedAt = Date.now();
    last = delivered;
    if (Date.now() - movedAt > patienceMs) {
      say(line, `Nothing was delivered for ${patienceMs / 1000} s${trouble}. That is the end of the demo.`);
      return false;
    }
    await sleep(100);
  }
  return false;
}

/** Prints a line above the progress line. */
function say(line: Ora, text: string): void {
  line.stop();
  console.log(text);
}

function consoleLink({ apiUrl }: DemoStage): string {
  return `${apiUrl}/jobs/${JOB_ID}`;
}

function jobLink(uiUrl: string | undefined): string {
  return `${uiUrl}/namespaces/default/workflows/${jobWorkflowId(JOB_ID)}`;
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
    if (stop.aborted) return 1;
    if (!options.exit) {
      console.log(
        `\nConsole       ${consoleLink(stage)}\nTemporal UI   ${jobLink(temporal.uiUrl)}\nTemporal      ${temporal.address}`,
      );
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
