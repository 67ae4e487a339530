import type { Command } from '@commander-js/extra-typings';
import type {
  DeadLetterFilter,
  Decided,
  DecisionExtent,
  DecisionOptions,
  DecisionProgress,
  ExportJobs,
  WhichDeadLetters,
} from '../../client/export-jobs.ts';
import { stringifyJson } from '../../domain/json.ts';
import { counted, printableReason } from '../../domain/shown.ts';
import { confirmed, UserAborted, nobodyToAsk } from '../ask.ts';
import { command, commandGroup } from '../command.ts';
import { PartlyDone, UsageError } from '../exit-code.ts';
import { withJobs } from '../jobs.ts';
import { countingNumber, pastTime, redeliveryRate } from '../options.ts';
import { extentLines, reportLines, summaryLines } from '../render-dead-letters.ts';
import { interruption, spinnerOn, type Terminal } from '../terminal.ts';
import { count, sentences } from '../text.ts';

/** The options of a command about all dead letters that match everything given. */
const filterWords = (it: Command) =>
  it
    .option('--job <id>', 'of this job')
    .option('--user <id>', 'of this person')
    .option('--audience <name>', 'of this audience, by slug or id')
    .option('--failure <what>', 'whose last attempt ended with this: "HTTP 422", "connection refused", ECONNREFUSED')
    .option('--older-than <time>', 'that died before then: how long ago (2h, 7d), or an RFC 3339 time', pastTime)
    .option('--newer-than <time>', 'that died since then', pastTime);

type FilterOptions = ReturnType<ReturnType<typeof filterWords>['opts']>;

function filterFrom({ job, user, audience, failure, olderThan, newerThan }: FilterOptions): DeadLetterFilter {
  return { jobId: job, user, audience, failure, olderThan, newerThan };
}

const listCommand = command({
  name: 'list',
  description: 'show what waits for a decision, newest first',
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
  if (found === 0) return isOfAll ? 'No dead letter waits.' : 'No such dead letter waits.';
  return `${counted(found, 'dead letter')}. See one with: triggers dead-letters show <id>`;
}

const showCommand = command({
  name: 'show',
  description: 'show all about one: who, what, when, what the endpoint answered, and what to do',
  takes: (it) => it.argument('<id>', 'id of the dead letter, as the list shows it, or its workflow id'),
  examples: ['triggers dead-letters show 36e243f8fd8f4530bbd330fa7fb1a685-0'],
  async run([id], _options, { terminal, json, print }) {
    const letter = await withJobs((jobs) => jobs.deadLetters.show(id));
    // A profile's integers keep their digits.
    if (json) return terminal.out(stringifyJson(letter));
    print(letter, () => reportLines(letter, { nowMs: Date.now(), ...terminal }));
  },
});

/**
 * Which dead letters a command line means.
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
  /** What was done to them: for one, for many, and after "could not be". */
  readonly done: { readonly one: string; readonly many: string; readonly past: string };
}

/**
 * Carries out a decision: shows exactly what it is about and asks, shows progress, and reports each failure.
 * @throws PartlyDone when some were not done; UsageError when nobody can be asked and nobody said --yes: nothing was done.
 */
async function decide(
  terminal: Terminal,
  { json, yes, isDry, ...words }: Wording & { readonly json: boolean; readonly yes: boolean; readonly isDry: boolean },
  carryOut: (deadLetters: ExportJobs['deadLetters'], options: DecisionOptions) => Promise<Decided>,
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
    const { done, failures } = await withJobs((jobs) =>
      carryOut(jobs.deadLetters, { confirm, onProgress, signal: stop.signal }),
    );
    spinner?.stop();
    if (isDeclined) throw new UserAborted('Nothing was done.');
    if (!json && !(isDry && found > 0))
      terminal.out(found === 0 ? 'No such dead letter waits.' : doneText(done, words.done));
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

/** Each reason is said once, with those that it is about. */
function failedText(reason: string, ids: readonly string[]): string {
  const more = ids.length > MOST_NAMED ? ` and ${count(ids.length - MOST_NAMED)} more` : '';
  return printableReason(`${ids.slice(0, MOST_NAMED).join(', ')}${more}: ${reason}`);
}
const MOST_NAMED = 20;

/** What to say of those that were not decided, and of those of which that is not known. */
export function notAllDone(done: number, failures: Decided['failures'], past: string): PartlyDone {
  const unknown = failures.filter(({ isUnknown }) => isUnknown).length;
  const failed = failures.length - unknown;
  const texts = [
    ...(failed === 0 ? [] : [`${counted(failed, 'dead letter')} could not be ${past}.`]),
    ...(unknown === 0
      ? []
      : [
          `It is not known whether ${counted(unknown, 'dead letter')} ${unknown === 1 ? 'was' : 'were'} ${past}. To find out, run the command again: nothing is done twice.`,
        ]),
  ];
  return new PartlyDone(texts.join(' '), done, failed, unknown);
}

function doneText(done: number, words: Wording['done']): string {
  if (done === 0) return 'Nothing was done.';
  return `${counted(done, 'dead letter')} ${done === 1 ? words.one : words.many}.`;
}

const ONE = ['[id]', 'id of one dead letter, as the list shows it'] as const;
const YES = ['--yes', 'do not ask; needed where nobody can be asked'] as const;

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
      .option(
        '--force',
        'also what contradicts who is in the audience today, or is about an audience that the job left',
      )
      .option('--limit <n>', 'at most so many, those of the oldest triggers', countingNumber)
      .option('--rate <n/s>', 'at most so many per second', redeliveryRate)
      .option('--dry-run', 'only show what would be redelivered')
      .option(...YES),
  json: ': one dead letter a line, with a failure when it was not redelivered; on stderr first the extent',
  examples: [
    'triggers dead-letters redeliver 36e243f8fd8f4530bbd330fa7fb1a685-0',
    'triggers dead-letters redeliver --job vip-to-crm --limit 100 --rate 10/s --yes',
  ],
  async run([id], { yes, all, force, limit, rate, dryRun, ...filter }, { terminal, json }) {
    const which = whichFrom(id, all, filter);
    if (id !== undefined && (limit ?? rate) !== undefined)
      throw new UsageError('--limit and --rate are about many dead letters, not about one.');
    const few = { ...(limit === undefined ? {} : { limit }), ...(rate === undefined ? {} : { perSecond: rate }) };
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
      .option(...YES),
  json: ': one dead letter a line, with a failure when it was not discarded; on stderr first the extent',
  examples: [
    'triggers dead-letters discard 36e243f8fd8f4530bbd330fa7fb1a685-0',
    'triggers dead-letters discard --job vip-to-crm --older-than 7d --yes',
  ],
  async run([id], { yes, all, ...filter }, { terminal, json }) {
    const which = whichFrom(id, all, filter);
    await decide(terminal, { ...DISCARDING, json, yes: yes === true, isDry: false }, (deadLetters, options) =>
      deadLetters.discard(which, options),
    );
  },
});

export const deadLettersCommand = commandGroup({
  name: 'dead-letters',
  description: 'triggers that will not be sent without a decision',
  parts: [listCommand, showCommand, redeliverCommand, discardCommand],
  examples: ['triggers dead-letters list --job vip-to-crm'],
});
