import type { Command } from '@commander-js/extra-typings';
import { definedOf, stringifyJson } from '../../domain/json.ts';
import type {
  DeadLetterFilter,
  DeadLetterReport,
  DeadLetterSummary,
  Decided,
  DecisionExtent,
  DecisionOptions,
  DecisionProgress,
  JobClient,
  WhichDeadLetters,
} from '../../client/job-client.ts';
import { deadLetterWorkflowId } from '../../domain/names.ts';
import { counted, exactTime, printable, printableReason } from '../../domain/text.ts';
import { confirmed, nobodyToAsk, UserAborted } from '../ask.ts';
import { command, commandGroup, withJobs } from '../command.ts';
import { PartlyDone, UsageError } from '../exit-code.ts';
import { countingNumber, pastTime, REASON, redeliveryRate } from '../options.ts';
import { interruption, type Paint, plain, spinnerOn, type Style, type Terminal } from '../terminal.ts';
import { count, field, fromNow, sentences, wrap } from '../text.ts';
import { ATTEMPT_CODES, failureInWords } from '../../domain/verdict.ts';

/** The options of a command about all dead letters that match every given option. */
const filterWords = (it: Command) =>
  it
    .option('--job <id>', 'of this job')
    .option('--user <id>', 'of this person')
    .option('--audience <name>', 'of this audience, by slug or id')
    .option('--failure <what>', 'whose last attempt failed with this: "HTTP 422", "connection refused", ECONNREFUSED')
    .option('--older-than <time>', 'older than this: how long ago (2h, 7d), or an RFC 3339 time', pastTime)
    .option('--newer-than <time>', 'newer than this', pastTime);

type FilterOptions = ReturnType<ReturnType<typeof filterWords>['opts']>;

function filterFrom({ job, user, audience, failure, olderThan, newerThan }: FilterOptions): DeadLetterFilter {
  return { jobId: job, user, audience, failure, olderThan, newerThan };
}

const listCommand = command({
  name: 'list',
  description: 'show dead letters waiting for a decision, newest first',
  takes: filterWords,
  json: ': one dead letter a line',
  examples: ['triggers dead-letters list --failure "HTTP 422" --newer-than 2h'],
  async run(_args, options, { terminal, json, print }) {
    const filter = filterFrom(options);
    await withJobs(async (jobs) => {
      let found = 0;
      for await (const letter of jobs.deadLetters.list(filter)) {
        found += 1;
        print(letter, () => summaryLines(letter, { nowMs: Date.now(), ...terminal }));
      }
      if (!json) terminal.err(foundText(found, filter));
    });
  },
});

function foundText(found: number, filter: DeadLetterFilter): string {
  const isOfAll = Object.values(filter).every((part) => part === undefined);
  if (found === 0) return isOfAll ? 'No dead letters are waiting.' : 'No matching dead letters are waiting.';
  return `${counted(found, 'dead letter')}. See one with: triggers dead-letters show <id>`;
}

const showCommand = (hasLog: () => boolean) =>
  command({
    name: 'show',
    description: 'show one in full: person, trigger, time, answer of the endpoint, and what to do',
    takes: (it) => it.argument('<id>', 'id of the dead letter, as the list shows it, or its workflow id'),
    examples: ['triggers dead-letters show 36e243f8fd8f4530bbd330fa7fb1a685-0'],
    async run([id], _options, { terminal, json, print }) {
      const letter = await withJobs((jobs) => jobs.deadLetters.show(id));
      // A profile's integers keep their digits.
      if (json) return terminal.out(stringifyJson(letter));
      print(letter, () => reportLines(letter, { nowMs: Date.now(), isLogged: hasLog(), ...terminal }));
    },
  });

/**
 * The dead letters that a command line names.
 * @throws UsageError when it names one and also gives a filter, or does neither.
 */
function whichFrom(id: string | undefined, all: true | undefined, options: FilterOptions): WhichDeadLetters {
  const filter = filterFrom(options);
  const filters = all === true || Object.values(filter).some((value) => value !== undefined);
  if (id !== undefined && filters) throw new UsageError('Give either one id or a filter, not both.');
  if (id !== undefined) return id;
  if (!filters) throw new UsageError('Say which ones: an id, a filter such as --job vip-to-crm, or --all.');
  return { ...filter, all };
}

/** The words for a decision. */
interface Wording {
  readonly asks: string;
  /** The words for the result: for one, for many, and after "could not be". */
  readonly done: { readonly one: string; readonly many: string; readonly past: string };
}

/**
 * Carries out a decision: shows exactly what it affects and asks, shows progress, and reports each failure.
 * @throws PartlyDone when some were not done; UsageError when there is no terminal to confirm on and --yes is missing: nothing was done.
 */
async function decide(
  terminal: Terminal,
  { json, yes, isDry, ...words }: Wording & { readonly json: boolean; readonly yes: boolean; readonly isDry: boolean },
  carryOut: (deadLetters: JobClient['deadLetters'], options: DecisionOptions) => Promise<Decided>,
): Promise<void> {
  const stop = interruption();
  const spinner = spinnerOn(terminal, json);
  let far = '';
  const failed = new Map<string, string[]>();
  const onProgress = ({ id, failure, settled, of }: DecisionProgress): void => {
    far = `${count(settled)} of ${count(of)}`;
    if (json) terminal.out(JSON.stringify({ id, ...(failure === undefined ? {} : { failure }) }));
    else if (failure !== undefined) failed.set(failure, [...(failed.get(failure) ?? []), id]);
    if (spinner !== undefined) spinner.text = far;
  };
  let found = 0;
  let isDeclined = false;
  const confirm = async (extent: DecisionExtent): Promise<boolean> => {
    found = extent.letters;
    if (json) terminal.err(JSON.stringify({ extent }));
    else for (const line of extentLines(extent, terminal)) terminal.err(line);
    if (isDry) return false;
    if (!yes && terminal.stdin.isTTY !== true) throw nobodyToAsk();
    const agreed = yes || (await confirmed(terminal, `${words.asks} ${found === 1 ? 'it' : 'them'}?`, stop.signal));
    if (agreed) spinner?.start();
    isDeclined = !agreed;
    return agreed;
  };
  try {
    const { done, failures, shared } = await withJobs((jobs) =>
      carryOut(jobs.deadLetters, { confirm, onProgress, signal: stop.signal }),
    );
    spinner?.stop();
    if (isDeclined) throw new UserAborted('Nothing was done.');
    if (!json && !(isDry && found > 0))
      terminal.out(found === 0 ? 'No matching dead letters are waiting.' : doneText(done, words.done, shared));
    if (failures.length > 0) throw notAllDone(done, failures, words.done.past);
  } catch (error) {
    spinner?.stop();
    if (!json && far !== '' && !(error instanceof PartlyDone)) terminal.err(`Stopped after ${far}.`);
    throw error;
  } finally {
    spinner?.stop();
    for (const [reason, ids] of failed) terminal.err(sentences(failedText(reason, ids), terminal));
    stop.dispose();
  }
}

/** Each reason is given once, with its dead letters. */
function failedText(reason: string, ids: readonly string[]): string {
  const more = ids.length > MOST_NAMED ? ` and ${count(ids.length - MOST_NAMED)} more` : '';
  return printableReason(`${ids.slice(0, MOST_NAMED).join(', ')}${more}: ${reason}`);
}
const MOST_NAMED = 20;

/** The error for dead letters that were not decided, and for those where that is unknown. */
export function notAllDone(done: number, failures: Decided['failures'], past: string): PartlyDone {
  const unknown = failures.filter(({ isUnknown }) => isUnknown).length;
  const failed = failures.length - unknown;
  const texts = [
    ...(failed === 0 ? [] : [`${counted(failed, 'dead letter')} could not be ${past}.`]),
    ...(unknown === 0
      ? []
      : [
          `Unknown: whether ${counted(unknown, 'dead letter')} ${unknown === 1 ? 'was' : 'were'} ${past}. Run the command again to find out: nothing is done twice.`,
        ]),
  ];
  return new PartlyDone(texts.join(' '), done, failed, unknown);
}

function doneText(done: number, words: Wording['done'], shared = 0): string {
  if (done === 0) return 'Nothing was done.';
  const others = shared === 0 ? '' : ` Somebody else asked for ${count(shared)} of them at the same time.`;
  return `${counted(done, 'dead letter')} ${done === 1 ? words.one : words.many}.${others}`;
}

const ONE = ['[id]', 'id of one dead letter, as the list shows it'] as const;
const YES = ['--yes', 'do not ask; required without a terminal'] as const;

const REDELIVERING = {
  asks: 'Redeliver',
  done: { one: 'was returned to its job', many: 'were returned to their jobs', past: 'redelivered' },
};

const redeliverCommand = command({
  name: 'redeliver',
  description: "send again, last in its person's order and with the same webhook-id",
  takes: (it) =>
    filterWords(it)
      .argument(...ONE)
      .option('--all', 'all of them')
      .option('--force', 'even if it contradicts the current membership or the job left the audience')
      .option('--limit <n>', 'at most this many, oldest triggers first', countingNumber)
      .option('--rate <n/s>', 'at most this many per second', redeliveryRate)
      .option('--dry-run', 'only show what would be redelivered')
      .option(...REASON)
      .option(...YES),
  json: ': one dead letter a line, with a failure if it was not redelivered; stderr shows the extent first',
  examples: [
    'triggers dead-letters redeliver 36e243f8fd8f4530bbd330fa7fb1a685-0',
    'triggers dead-letters redeliver --job vip-to-crm --limit 100 --rate 10/s --yes',
  ],
  async run([id], { yes, all, force, limit, rate, dryRun, reason, ...filter }, { terminal, json }) {
    const which = whichFrom(id, all, filter);
    if (id !== undefined && (limit ?? rate) !== undefined)
      throw new UsageError('--limit and --rate are about many dead letters, not about one.');
    const few = definedOf({ limit, perSecond: rate, reason });
    const asking = { json, yes: yes === true, isDry: dryRun === true };
    await decide(terminal, { ...REDELIVERING, ...asking }, (deadLetters, options) =>
      deadLetters.redeliver(which, { ...options, ...few, force: force === true }),
    );
  },
});

const DISCARDING = {
  asks: 'Discard',
  done: { one: 'was discarded', many: 'were discarded', past: 'discarded' },
};

const discardCommand = command({
  name: 'discard',
  description: 'drop for good',
  takes: (it) =>
    filterWords(it)
      .argument(...ONE)
      .option('--all', 'all of them')
      .option(...REASON)
      .option(...YES),
  json: ': one dead letter a line, with a failure if it was not discarded; stderr shows the extent first',
  examples: [
    'triggers dead-letters discard 36e243f8fd8f4530bbd330fa7fb1a685-0',
    'triggers dead-letters discard --job vip-to-crm --older-than 7d --yes',
  ],
  async run([id], { yes, all, reason, ...filter }, { terminal, json }) {
    const which = whichFrom(id, all, filter);
    await decide(terminal, { ...DISCARDING, json, yes: yes === true, isDry: false }, (deadLetters, options) =>
      deadLetters.discard(which, { ...options, reason }),
    );
  },
});

/** @param hasLog whether there is a delivery log, which has all attempts. Default: there is none. */
export const deadLettersCommand = ({ hasLog = () => false }: { readonly hasLog?: () => boolean }) =>
  commandGroup({
    name: 'dead-letters',
    description: 'triggers that will not be sent without a decision',
    parts: [listCommand, showCommand(hasLog), redeliverCommand, discardCommand],
    examples: ['triggers dead-letters list --job vip-to-crm'],
  });

/** One dead letter of the list: its id and the last result, then its trigger. */
export function summaryLines(
  letter: DeadLetterSummary,
  options: { nowMs: number; columns?: number; paint?: Paint },
): string[] {
  const { nowMs, columns = 80, paint = plain } = options;
  const { id, jobId, user, audience, event, failure, diedAt, notice } = letter;
  const lines = [
    `${event} of ${user}, ${audience}, job ${jobId}`,
    ...(notice === undefined ? [] : [`Not redelivered: ${notice}`]),
  ];
  return [
    `${paint('bold', printable(id))}  ${printable(failure)}, ${fromNow(diedAt, nowMs)}`,
    ...lines.flatMap((line) => wrap(printable(line), Math.max(20, columns - 2))).map((line) => `  ${line}`),
  ];
}

/** The exact extent of a decision: how many dead letters, of which jobs and audiences, and how many people. */
function extentLines(
  { letters, jobs, audiences, people, neverSent }: DecisionExtent,
  { columns, paint }: Pick<Terminal, 'columns' | 'paint'>,
): string[] {
  const isTwice = (slug: string): boolean => audiences.filter((one) => one.slug === slug).length > 1;
  // A slug may have belonged to another audience before.
  const named = audiences.map(({ id, slug, letters: own }) => ({
    name: isTwice(slug) ? `${slug} (${id})` : slug,
    letters: own,
  }));
  return [
    paint('bold', `${counted(letters, 'dead letter')} of ${people === 1 ? '1 person' : `${count(people)} people`}`),
    ...field('Jobs', sums(jobs.map(({ jobId, letters: own }) => ({ name: jobId, letters: own }))), columns),
    ...field('Audiences', sums(named), columns),
    ...(neverSent === undefined
      ? []
      : field('Never sent', `${count(neverSent)}: their job has ended, and nobody can send them any more`, columns)),
  ];
}

function sums(parts: readonly { readonly name: string; readonly letters: number }[]): string {
  return parts.map(({ name, letters }) => `${printable(name)}: ${count(letters)}`).join(', ');
}

const STATES: Readonly<Record<DeadLetterReport['state'], { style: Style; words: string }>> = {
  waiting: { style: 'red', words: 'waits for a decision' },
  redelivering: { style: 'yellow', words: 'checking with the source and the job' },
  redelivered: { style: 'green', words: 'redelivered: returned to its job' },
  discarded: { style: 'dim', words: 'discarded' },
  expired: { style: 'dim', words: 'expired: nobody decided in time' },
  terminated: { style: 'red', words: 'its workflow was terminated: it will not be sent' },
};

/** All about one dead letter, at most `columns` wide. */
export function reportLines(
  letter: DeadLetterReport,
  options: { nowMs: number; columns?: number; paint?: Paint; isLogged?: boolean },
): string[] {
  const { nowMs, columns = 80, paint = plain, isLogged = false } = options;
  const { style, words } = STATES[letter.state];
  const rows: (readonly [string, string | undefined])[] = [
    ['State', paint(style, words)],
    ['Person', printable(letter.user)],
    ['Trigger', `${letter.event}, at ${printable(exactTime(letter.at))}`],
    ['Audience', printable(`${letter.audience.slug} (${letter.audience.name})`)],
    ['Job', printable(letter.jobId)],
    ['Last attempt', printable(lastAttempt(letter, nowMs))],
    ['Attempts', count(letter.attempts)],
    ['Given up', fromNow(letter.diedAt, nowMs)],
    ['Redelivered', letter.redeliveries === 0 ? undefined : times(letter.redeliveries)],
    ['Delivery id', printable(letter.deliveryId)],
    ['Requests', isLogged ? printable(`triggers deliveries show ${letter.deliveryId}`) : undefined],
    ['Not sent', letter.notice && paint('yellow', printableReason(letter.notice))],
    ...nextRows(letter, nowMs),
  ];
  return [
    `Dead letter ${paint('bold', printable(letter.id))}`,
    ...rows.flatMap(([name, value]) => (value === undefined || value === '' ? [] : field(name, value, columns))),
  ];
}

function lastAttempt({ failure }: DeadLetterReport, nowMs: number): string {
  const answerText = failure.answer === undefined || failure.answer === '' ? '' : `: ${failure.answer}`;
  return `${failureInWords(failure)}, ${fromNow(failure.at, nowMs)}${answerText}`;
}

function times(redeliveries: number): string {
  return redeliveries === 1 ? 'once before' : `${count(redeliveries)} times before`;
}

/** Temporal's own way to continue a workflow that was ended from outside. */
function resetCommand(id: string): string {
  return `temporal workflow reset --workflow-id ${printable(deadLetterWorkflowId(id))} --type LastWorkflowTask --reason mistake`;
}

/** The next steps for a person. */
function nextRows(report: DeadLetterReport, nowMs: number): (readonly [string, string])[] {
  const { id, state, orphaned, forceable, failure, expiresAt } = report;
  if (state === 'terminated') return [['Next', `If that was a mistake: ${resetCommand(id)}`]];
  if (state !== 'waiting') return [];
  const expiry = ['', `Without a decision it expires ${fromNow(expiresAt, nowMs)}.`] as const;
  const obstacle =
    orphaned === true
      ? 'It can never be sent, since its job has ended. To tell the endpoint all the same, push the trigger to another job.'
      : failure.code === ATTEMPT_CODES.profileLost
        ? 'It cannot be sent without the profile that it came with: push the trigger again.'
        : undefined;
  if (obstacle !== undefined)
    return [['Next', obstacle], ['', `Then drop this one: triggers dead-letters discard ${printable(id)}`], expiry];
  const force = forceable === true ? ' --force' : '';
  return [
    ['Next', `Once the cause is fixed, send it: triggers dead-letters redeliver ${printable(id)}${force}`],
    ['', `Or drop it: triggers dead-letters discard ${printable(id)}`],
    expiry,
  ];
}
