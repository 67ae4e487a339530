import { existsSync, statSync } from 'node:fs';
import type { Ora } from 'ora';
import type {
  EventTrigger,
  JobClient,
  PublishProgress,
  PublishResult,
  PushOptions,
  PushProgress,
  PushResult,
  Slugs,
} from '../../client/job-client.ts';
import { LONGEST_DURATION_MS } from '../../contract/duration.ts';
import { JOB_ID_PATTERN, JOB_ID_RULE, AUDIENCE_ID } from '../../domain/names.ts';
import { counted, printable } from '../../domain/text.ts';
import { command, type WaitForServer, withJobs } from '../command.ts';
import { PartlyDone, UsageError } from '../exit-code.ts';
import { openFile } from '../files.ts';
import { jsonIn } from '../job-options.ts';
import { timeSpan } from '../options.ts';
import { interruption, spinnerOn, type Terminal } from '../terminal.ts';
import { count, sentences } from '../text.ts';
import { AudienceMoved, InvalidTrigger, TriggersError, WorkerFailed } from '../../client/calls/errors.ts';
import { parseTrigger, readGiven, inputLines, UnreadableLine, withLine } from '../../client/push/trigger-lines.ts';
import { readTrigger } from '../../domain/trigger.ts';
import { nearestKey } from '../../contract/nearest-key.ts';
import { UnknownPayloadKey } from '../../temporal/encrypting-codec.ts';

export const pushCommand = command({
  name: 'push',
  description: 'send triggers to a job, or without a job to every job that subscribes to the audience',
  takes: (it) =>
    it
      .argument('[job]', 'id of the job; "-" means: no job, triggers from standard input')
      .argument('[input]', '"-": NDJSON on standard input, one trigger a line')
      .option('--file <path>', 'NDJSON file to read instead')
      .option('--audience <slug>', 'one trigger: its audience')
      .option('--enter', 'one trigger: the person enters')
      .option('--exit', 'one trigger: the person leaves')
      .option('--user <id>', 'one trigger: the person')
      .option('--at <time>', 'one trigger: when (RFC 3339); default: now')
      .option('--profile <json>', "one trigger: the person's fields; default: from the audience source")
      .option(
        '--patience <time>',
        'how long to wait for a full job or an unreachable server, such as 30s (default: 5m; at the start: no wait)',
        timeSpan(0, LONGEST_DURATION_MS),
      ),
  json: ': what was accepted',
  notes: `Triggers for audiences that no job subscribes to are dropped. The rest is
pushed, and the exit code is 1. Empty input is not an error: the exit code is 0
if the job exists.`,
  examples: [
    'triggers push vip-to-crm --audience vip --enter --user 7076027172059065053',
    `triggers push - < changes.ndjson
A line looks like this; "at" is optional:
  {"event":"exit","audience":"vip","user":"707…","at":"2026-11-25T08:30:00Z"}`,
  ],
  async run([first, second], { file, patience, ...options }, { terminal, json, print }) {
    if (second !== undefined && (second !== '-' || first === '-'))
      throw new UsageError('Only "-" (standard input) may follow the job. To read a file, use --file.');
    const job = first === '-' ? undefined : first;
    if (job !== undefined) refuseUnlessJobId(job);
    const isNamed = first === '-' || second === '-';
    const triggers = sourceOf(terminal, isNamed, file, options);
    const again = file !== undefined && isReadableTwice(file) ? () => readTriggers(openFile(file)) : undefined;
    const spinner = spinnerOn(terminal, json);
    const isOne = options.user !== undefined;
    const stop = interruption();
    const stage = { terminal, spinner, patienceMs: patience, again, isOne, json, signal: stop.signal };
    spinner?.start('Sending');
    const wait = waitForServer(stage, job);
    const result = await withJobs((jobs) => send(jobs, job, triggers, stage), wait).finally(() => {
      spinner?.stop();
      stop.dispose();
      // An open standard input would keep the process alive after an interruption.
      terminal.stdin.destroy();
    });
    const { unmatched = 0 } = result;
    const read = 'jobs' in result ? result.read : result.accepted + unmatched;
    print({ ...(job === undefined ? {} : { jobId: job }), ...result }, () =>
      read === 0 ? nothingText(file, isNamed) : pushedText(job, result),
    );
    if ('jobs' in result && read > 0 && result.jobs.length === 0) throw new PartlyDone('Nothing was sent.', 0, read);
    if (unmatched > 0) throw new PartlyDone(unmatchedText(job, unmatched), read - unmatched, unmatched);
  },
});

/**
 * Checks the job id before anything is read: for an empty input, no other step would check it.
 * @throws UsageError
 */
function refuseUnlessJobId(job: string): void {
  if (JOB_ID_PATTERN.test(job)) return;
  const advice = existsSync(job) ? ` There is a file of that name: triggers push vip-to-crm --file ${job}` : '';
  throw new UsageError(`"${job}" cannot be the id of a job. ${JOB_ID_RULE}${advice}`);
}

type Source = Iterable<EventTrigger> | AsyncIterable<EventTrigger>;

function sourceOf(terminal: Terminal, dash: boolean, file: string | undefined, options: TriggerOptions): Source {
  const one = Object.values(options).some((value) => value !== undefined);
  if ([dash, file !== undefined, one].filter(Boolean).length > 1) {
    throw new UsageError('Give either one trigger with options, or --file, or "-" for standard input.');
  }
  if (one) return [triggerFrom(options)];
  if (file === '-') throw new UsageError('Standard input is read without --file: triggers push vip-to-crm -');
  if (file !== undefined) return readTriggers(openFile(file));
  if (dash || terminal.stdin.isTTY !== true) return readTriggers(terminal.stdin);
  throw new UsageError('Give a trigger (--audience vip --enter --user 707…), or NDJSON: --file changes.ndjson');
}

/** A pipe or a device is read only once. */
function isReadableTwice(path: string): boolean {
  return statSync(path).isFile();
}

interface Stage {
  readonly terminal: Terminal;
  readonly spinner: Ora | undefined;
  readonly patienceMs: number | undefined;
  /** The same triggers once more; undefined if they can be read only once. */
  readonly again: (() => AsyncIterable<EventTrigger>) | undefined;
  /** A single trigger, given as options. */
  readonly isOne: boolean;
  readonly json: boolean;
  /** Aborted by Ctrl-C, which ends the input. */
  readonly signal: AbortSignal;
}

/**
 * Waits for a server that is away at the start, as it does later. Without a patience, the push fails at once: mostly there is no server at all, or it
 * has another address.
 */
function waitForServer({ patienceMs = 0, spinner, signal }: Stage, job: string | undefined): WaitForServer {
  const none = { accepted: 0, signals: 0, waitingFor: 'server' as const };
  const onPause = (): void => {
    if (spinner !== undefined) spinner.text = progressText(job === undefined ? { ...none, read: 0, jobs: 0 } : none, 0);
  };
  return { deadlineMs: performance.now() + patienceMs, signal, onPause };
}

/** Notes on the result of a push. */
interface Remarks {
  /** Why the meaning of slugs was not checked. */
  readonly unchecked?: string;
  /** Triggers about audiences to which the job does not subscribe: they were not sent. */
  readonly unmatched?: number;
  /** Warnings about triggers that were sent as given, and were probably not meant so. */
  readonly doubts?: readonly string[];
  /** The jobs among them that were stopping when the push began, as far as the server shows it. */
  readonly stopping?: readonly string[];
}

/** Sends and shows progress. Ctrl-C ends the input, and the accepted triggers are still reported. */
async function send(
  jobs: JobClient,
  job: string | undefined,
  typed: Source,
  { terminal, spinner, patienceMs, again, isOne, json, signal }: Stage,
): Promise<(PushResult | PublishResult) & Remarks> {
  const startedAt = performance.now();
  const options: Omit<PushOptions, 'onProgress'> = {
    signal,
    ...(patienceMs === undefined ? {} : { patienceMs }),
  };
  const onProgress = (progress: PushProgress | PublishProgress) => {
    if (spinner !== undefined) spinner.text = progressText(progress, performance.now() - startedAt);
  };
  let unchecked: Pick<Remarks, 'unchecked'> = {};
  const unmatched = new Unmatched();
  const onUnmatched = (audience: string, near: string | undefined): void => {
    if (isOne)
      throw new UsageError(
        `It does not subscribe to "${audience}".${near === undefined ? '' : ` Did you mean "${near}"?`} See what it subscribes to: triggers status ${job ?? ''}`,
      );
    unmatched.add(audience, near);
  };
  const onUnchecked = (slug: string, { message }: Error) => {
    unchecked = { unchecked: message };
    spinner?.clear();
    if (!json) terminal.err(sentences(uncheckedText(slug, message), terminal));
  };
  let slugs: Slugs | undefined;
  const remarks = (jobIds: readonly string[]): Remarks => {
    const stopping = slugs?.stopping.filter((jobId) => jobIds.includes(jobId)) ?? [];
    for (const doubt of doubts.texts) {
      spinner?.clear();
      if (!json) terminal.err(sentences(`Warning: ${doubt}`, terminal));
    }
    return {
      ...unchecked,
      ...(doubts.texts.length === 0 ? {} : { doubts: doubts.texts }),
      ...(stopping.length === 0 ? {} : { stopping }),
    };
  };
  const doubts = new Doubts();
  const triggers = withMeantAudiences(doubts.of(typed), {
    slugs: async () => (slugs = await jobs.slugs(job)),
    again,
    onUnchecked,
    onUnmatched: job === undefined ? undefined : onUnmatched,
  });
  if (job !== undefined) {
    const result = await jobs.push(job, triggers, { ...options, onProgress });
    // With an empty input, no signal was sent that the server would have refused if there is no such job.
    if (result.accepted === 0) await jobs.slugs(job);
    if (unmatched.count === 0) return { ...result, ...remarks([job]) };
    spinner?.clear();
    if (!json) terminal.err(sentences(unmatched.text(job), terminal));
    return { ...result, ...remarks([job]), unmatched: unmatched.count };
  }
  const onLeftOut = ({ message }: Error) => {
    spinner?.clear();
    terminal.err(sentences(`${message}\nThe push to the other jobs goes on.`, terminal));
  };
  const result = await jobs.publish(triggers, { ...options, onProgress, onLeftOut });
  return { ...result, ...remarks(result.jobs.map(({ jobId }) => jobId)) };
}

/** Counts triggers that are valid, but probably not meant as they are. */
class Doubts {
  #later = 0;
  #spaced = 0;

  async *of(triggers: Source): AsyncGenerator<EventTrigger> {
    for await (const trigger of triggers) {
      const { at, user } = trigger;
      if (at !== undefined && Date.parse(at) > Date.now() + A_DAY_MS) this.#later++;
      if (user !== user.trim()) this.#spaced++;
      yield trigger;
    }
  }

  get texts(): string[] {
    return [
      ...(this.#later === 0
        ? []
        : [`The "at" of ${counted(this.#later, 'trigger')} is more than a day ahead. It is sent now, not then.`]),
      ...(this.#spaced === 0
        ? []
        : [`The "user" of ${counted(this.#spaced, 'trigger')} begins or ends with a space, which is part of the id.`]),
    ];
  }
}

/** Clocks differ, and people forget time zones. */
const A_DAY_MS = 86_400_000;

/** Triggers about audiences to which the job does not subscribe. */
class Unmatched {
  count = 0;
  /** By audience, with the audience that was most likely meant; only the first few. */
  readonly #near = new Map<string, string | undefined>();

  add(audience: string, near: string | undefined): void {
    this.count++;
    if (this.#near.size < 5) this.#near.set(audience, near);
  }

  text(job: string): string {
    const named = [...this.#near].map(([audience, near]) =>
      near === undefined ? `"${audience}"` : `"${audience}" (did you mean "${near}"?)`,
    );
    return `${job} does not subscribe to ${named.join(', ')}.`;
  }
}

/** Why a push did not do everything that was asked. */
function unmatchedText(job: string | undefined, unmatched: number): string {
  const were = `${counted(unmatched, 'trigger')} ${unmatched === 1 ? 'was' : 'were'}`;
  return job === undefined
    ? `${were} sent to no job.`
    : `${were} not sent. See what it subscribes to: triggers status ${job}`;
}

function uncheckedText(slug: string, why: string): string {
  return `It was not checked whether "${slug}" is still the slug of the audience that a job knows by it: it means what the job takes it for. An id always means the same audience. Why: ${why}`;
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

function acceptedText(job: string, { accepted, unmatched = 0 }: PushResult & Remarks): string {
  const rest = unmatched === 0 ? '' : ` ${count(unmatched)} not sent.`;
  return `${counted(accepted, 'trigger')} accepted by ${job}.${rest}`;
}

function stoppingText({ stopping = [] }: Remarks): string[] {
  if (stopping.length === 0) return [];
  return [
    `${stopping.join(', ')} ${stopping.length === 1 ? 'is' : 'are'} stopping: what is not sent by then is kept or dropped.`,
  ];
}

/** The text for an input without a trigger. Without an explicit standard input, the person may have meant to give one by options. */
function nothingText(file: string | undefined, isNamed: boolean): string {
  if (file !== undefined) return printable(`There is no trigger in ${file}; nothing was pushed.`);
  const nothing = 'Standard input was empty; nothing was pushed.';
  return isNamed ? nothing : `${nothing} To push one trigger: --audience vip --enter --user 707…`;
}

function pushedText(job: string | undefined, result: (PushResult | PublishResult) & Remarks): string {
  if ('accepted' in result) return [acceptedText(job ?? '', result), ...stoppingText(result)].join(' ');
  const lines = result.jobs.map(({ jobId, accepted }) => `  ${jobId}  ${count(accepted)} accepted`);
  const whose = result.read === 1 ? 'its audience' : 'their audiences';
  const readable = result.unreadable.length === 0 ? '' : ' that can be read here';
  const reached = result.jobs.length === 0 ? `No running job${readable} subscribes to ${whose}.` : 'Sent to:';
  const unmatched =
    result.jobs.length === 0 || result.unmatched === 0
      ? []
      : [`No running job subscribes to the audiences of ${count(result.unmatched)} of them.`];
  const unreadable =
    result.unreadable.length === 0
      ? []
      : [
          `Skipped jobs, encrypted with a key that is not here: ${result.unreadable.join(', ')}. Set TRIGGERS_PAYLOAD_KEYS if they are yours.`,
        ];
  const notes = [...unmatched, ...unreadable, ...stoppingText(result)];
  return [`${counted(result.read, 'trigger')} read. ${reached}`, ...lines, ...notes].join('\n');
}

/**
 * Reads one trigger a line and keeps the digits of long integers; blank lines do not count. Memory: one chunk and one line.
 *
 * @throws InvalidTrigger at a line that is no trigger, with its number.
 */
export async function* readTriggers(chunks: AsyncIterable<string | Uint8Array>): AsyncGenerator<EventTrigger> {
  let number = 0;
  for await (const line of inputLines(chunks)) {
    number += 1;
    if (line instanceof UnreadableLine) throw new InvalidTrigger(line.reason, { line: number });
    if (line.trim() === '') continue;
    yield withLine(number, () => {
      const value = parseTrigger(line);
      readGiven(value);
      return value as unknown as EventTrigger; // It was just read as one.
    });
  }
}

/** One trigger, as options give it. */
export interface TriggerOptions {
  readonly audience?: string | undefined;
  readonly enter?: boolean | undefined;
  readonly exit?: boolean | undefined;
  readonly user?: string | undefined;
  readonly at?: string | undefined;
  /** JSON */
  readonly profile?: string | undefined;
}

/**
 * The trigger that options describe.
 * @throws UsageError
 */
export function triggerFrom(options: TriggerOptions): EventTrigger {
  const { audience, user, at, enter, exit } = options;
  if (audience === undefined || user === undefined || (enter === true) === (exit === true)) {
    throw new UsageError('One trigger needs --audience, --user, and either --enter or --exit.');
  }
  const raw = {
    event: enter === true ? 'enter' : 'exit',
    audience,
    user,
    ...(at === undefined ? {} : { at }),
    ...(options.profile === undefined ? {} : { profile: jsonIn(options.profile, '--profile') }),
  };
  const reading = readTrigger(raw);
  if (!reading.ok) throw new UsageError(`This is not a trigger: ${reading.reason}.`);
  return raw as EventTrigger; // It was just read as one.
}

interface Meaning {
  /** Called once, at the first slug. */
  readonly slugs: () => Promise<Slugs>;
  /** The same triggers once more, if they can be read twice: then nothing is sent when a later one is refused. */
  readonly again: (() => AsyncIterable<EventTrigger>) | undefined;
  /** Called once when it is unknown which audiences have the slugs now. The jobs then decide what a slug means. */
  readonly onUnchecked: (slug: string, why: Error) => void;
  /** Called in place of each trigger about an audience to which no job subscribes, as far as known. It gets the slug that was most likely meant. */
  readonly onUnmatched?: ((audience: string, near: string | undefined) => void) | undefined;
}

/**
 * The triggers as typed, each about the audience that has its slug now.
 * @throws AudienceMoved at a trigger whose slug means another audience to a job
 */
async function* withMeantAudiences(
  triggers: Iterable<EventTrigger> | AsyncIterable<EventTrigger>,
  { slugs: open, again, onUnchecked, onUnmatched }: Meaning,
): AsyncGenerator<EventTrigger> {
  let slugs: Slugs | undefined;
  let isAsked = false;
  let isReported = false;
  for await (const trigger of triggers) {
    let { audience } = trigger;
    if (onUnmatched !== undefined) slugs ??= await open();
    if (!AUDIENCE_ID.test(audience)) {
      const isFirst = !isAsked;
      isAsked = true;
      slugs ??= await open();
      try {
        audience = await slugs.meant(audience);
        if (isFirst && slugs.hasMoved && again !== undefined) await refuseLater(again(), slugs);
      } catch (error) {
        if (!isUnknown(error)) throw error;
        if (!isReported) onUnchecked(audience, error);
        isReported = true;
      }
    }
    if (onUnmatched !== undefined && slugs?.maySubscribe(audience) === false)
      onUnmatched(trigger.audience, nearestKey(trigger.audience, slugs.known));
    else yield audience === trigger.audience ? trigger : { ...trigger, audience };
  }
}

/** @throws AudienceMoved */
async function refuseLater(triggers: AsyncIterable<EventTrigger>, slugs: Slugs): Promise<void> {
  try {
    for await (const { audience } of triggers) await slugs.meant(audience);
  } catch (error) {
    // No trigger after it is sent, and the push reports it when it gets there.
    if (!(error instanceof InvalidTrigger)) throw error;
  }
}

/** Whether the error only means that a slug's meaning is unknown. */
function isUnknown(error: unknown): error is Error {
  // A worker without the key would reject the triggers.
  if (error instanceof AudienceMoved || (error instanceof WorkerFailed && error.hasOtherKeys)) return false;
  return error instanceof UnknownPayloadKey || error instanceof TriggersError;
}
