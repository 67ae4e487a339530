import { closeSync, createReadStream, fstatSync, openSync } from 'node:fs';
import { Command } from '@commander-js/extra-typings';
import ora, { type Ora } from 'ora';
import type {
  ExportJobs,
  PublishProgress,
  PublishResult,
  PushOptions,
  PushProgress,
  PushResult,
} from '../../client/export-jobs.ts';
import { timeSpan } from '../job-options.ts';
import { withJobs } from '../jobs.ts';
import { readTriggers } from '../ndjson.ts';
import { count, counted } from '../numbers.ts';
import { sentences } from '../render.ts';
import { interruption, type Terminal } from '../terminal.ts';
import { type TriggerOptions, triggerFrom } from '../trigger-options.ts';
import { UsageError } from '../usage-error.ts';

export function pushCommand(terminal: Terminal) {
  return new Command('push')
    .description('send triggers to a job, or without a job to every job that listens to their audience')
    .argument('[job]', 'id of the job; "-" means: no job, triggers from standard input')
    .argument('[input]', '"-": NDJSON on standard input, one trigger a line')
    .option('--file <path>', 'NDJSON file to read instead')
    .option('--audience <slug>', 'one trigger: its audience')
    .option('--enter', 'one trigger: the person enters')
    .option('--exit', 'one trigger: the person leaves')
    .option('--user <id>', 'one trigger: the person')
    .option('--at <time>', 'one trigger: when (RFC 3339); default: when the job receives it')
    .option('--profile <json>', "one trigger: the person's fields; default: from the audience source")
    .option(
      '--patience <time>',
      'longest wait for the server or the job to take more, such as 30s (default: 5m)',
      timeSpan,
    )
    .option('--json', 'print JSON for machines')
    .addHelpText(
      'after',
      `
Examples:
  triggers push vip-to-crm --audience vip --enter --user 7076027172059065053
  triggers push - < changes.ndjson
A line looks like this; "at" may be left out:
  {"event":"exit","audience":"vip","user":"707…","at":"2026-11-25T08:30:00Z"}`,
    )
    .action(async (first, second, { json, file, patience, ...options }) => {
      const job = first === '-' ? undefined : first;
      const triggers = sourceOf(terminal, first === '-' || second === '-', file, options);
      const spinner = json !== true && terminal.interactive ? ora({ stream: process.stderr }) : undefined;
      const stage = { terminal, spinner, patienceMs: patience };
      // An open standard input would keep the process alive after an interruption.
      const result = await withJobs((jobs) => send(jobs, job, triggers, stage)).finally(() => terminal.stdin.destroy());
      terminal.out(
        json === true
          ? JSON.stringify({ ...(job === undefined ? {} : { jobId: job }), ...result })
          : sentences(pushedText(job, result), terminal),
      );
    });
}

type Source = Iterable<ReturnType<typeof triggerFrom>> | AsyncIterable<ReturnType<typeof triggerFrom>>;

function sourceOf(terminal: Terminal, dash: boolean, file: string | undefined, options: TriggerOptions): Source {
  const one = Object.values(options).some((value) => value !== undefined);
  if ([dash, file !== undefined, one].filter(Boolean).length > 1) {
    throw new UsageError('Give either one trigger with options, or --file, or "-" for standard input.');
  }
  if (one) return [triggerFrom(options)];
  if (file !== undefined) return readTriggers(openFile(file));
  if (dash || terminal.stdin.isTTY !== true) return readTriggers(terminal.stdin);
  throw new UsageError('Give a trigger (--audience vip --enter --user 707…), or NDJSON: --file changes.ndjson');
}

function openFile(path: string): AsyncIterable<Uint8Array> {
  const unreadable = (cause?: unknown): UsageError =>
    new UsageError(`The file ${path} cannot be read. Check its path.`, { cause });
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    throw unreadable(error);
  }
  // A folder can be opened too; only reading it fails.
  if (fstatSync(fd).isDirectory()) {
    closeSync(fd);
    throw unreadable();
  }
  return createReadStream(path, { fd });
}

interface Stage {
  readonly terminal: Terminal;
  readonly spinner: Ora | undefined;
  readonly patienceMs: number | undefined;
}

/** Sends and shows progress; Ctrl-C ends the input, so that it is still reported what was accepted. */
async function send(
  jobs: ExportJobs,
  job: string | undefined,
  triggers: Source,
  { terminal, spinner, patienceMs }: Stage,
): Promise<PushResult | PublishResult> {
  const stop = interruption();
  spinner?.start('Sending');
  const startedAt = performance.now();
  const options: Omit<PushOptions, 'onProgress'> = {
    signal: stop.signal,
    ...(patienceMs === undefined ? {} : { patienceMs }),
  };
  const onProgress = (progress: PushProgress | PublishProgress) => {
    if (spinner !== undefined) spinner.text = progressText(progress, performance.now() - startedAt);
  };
  try {
    if (job !== undefined) return await jobs.push(job, triggers, { ...options, onProgress });
    const onLeftOut = ({ message }: Error) => {
      spinner?.clear();
      terminal.err(sentences(`${message}\nThe push to the other jobs goes on.`, terminal));
    };
    return await jobs.publish(triggers, { ...options, onProgress, onLeftOut });
  } finally {
    spinner?.stop();
    stop.dispose();
  }
}

/** The progress of a push, in a line; exported for its test. */
export function progressText(progress: PushProgress | PublishProgress, elapsedMs: number): string {
  const { accepted, waitingFor } = progress;
  const rate = `${count((accepted * 1000) / Math.max(elapsedMs, 1))} a second`;
  const done =
    'read' in progress
      ? `${counted(progress.read, 'trigger')} read, ${count(accepted)} accepted by ${counted(progress.jobs, 'job')}, ${rate}`
      : `${counted(accepted, 'trigger')} accepted, ${rate}`;
  if (waitingFor === 'history')
    return `${done}; waiting for ${'read' in progress ? 'a' : 'the'} job to process what it has`;
  return waitingFor === 'server' ? `${done}; waiting for the Temporal server` : done;
}

function pushedText(job: string | undefined, result: PushResult | PublishResult): string {
  if ('accepted' in result) return `${counted(result.accepted, 'trigger')} accepted by ${job ?? ''}.`;
  const lines = result.jobs.map(({ jobId, accepted }) => `  ${jobId}  ${count(accepted)} accepted`);
  const whose = result.read === 1 ? 'its audience' : 'their audiences';
  const heard = result.jobs.length === 0 ? `No running job listens to ${whose}.` : 'Sent to:';
  const unheard =
    result.jobs.length === 0 || result.unheard === 0
      ? []
      : [`No running job listens to the audiences of ${count(result.unheard)} of them.`];
  const unreadable =
    result.unreadable.length === 0
      ? []
      : [
          `Not told, since they are encrypted with a key that is not here: ${result.unreadable.join(', ')}. Set TRIGGERS_PAYLOAD_KEYS if they are yours.`,
        ];
  return [`${counted(result.read, 'trigger')} read. ${heard}`, ...lines, ...unheard, ...unreadable].join('\n');
}
