import { type Command, Option } from '@commander-js/extra-typings';
import type { DeliveryDetails, DeliveryFilter, DeliveryRow } from './delivery.ts';
import { DeliveryNotFound } from '../../client/calls/errors.ts';
import { CSV_HEAD, csvLine } from './delivery-csv.ts';
import type { DeliveryReader } from './delivery-reader.ts';
import { LEAST_ID_DIGITS } from '../../domain/delivery-id.ts';
import { definedOf } from '../../domain/json.ts';
import { EXPORT_WAIT_MS, gapsInWords } from './gaps-in-words.ts';
import { printable } from '../../domain/text.ts';
import { SEARCHED_VERDICTS } from './searched-verdicts.ts';
import { command, commandGroup, unknownJob } from '../../cli/command.ts';
import { withDeliveryLog } from './configured.ts';
import { UsageError } from '../../cli/exit-code.ts';
import { anyTime, answerStatus, asId, countingNumber, pastTime, positiveNumber } from '../../cli/options.ts';
import { interruption, type Terminal } from '../../cli/terminal.ts';
import { count, field, headed, sentences, tableColumns } from '../../cli/text.ts';

const DEFAULT_LIMIT = 50;
/** Since always. */
const EVER = '1970-01-02T00:00:00Z';
/** As many characters as the receiver shows. */
const ID_DIGITS = 12;

const filterWords = (it: Command) =>
  it
    .argument('[job]', 'only of this job')
    .option('--user <id>', 'only to this person')
    .option('--audience <slug>', 'only about this audience')
    .addOption(new Option('--event <event>', 'only enters or exits').choices(['enter', 'exit'] as const))
    .option('--id <webhook-id>', 'only with this webhook-id; its first digits are enough')
    .addOption(
      new Option('--verdict <verdict>', 'only with this verdict; "failed": any failure').choices(SEARCHED_VERDICTS),
    )
    .option('--status <status>', 'only with this HTTP status', answerStatus)
    .option('--code <code>', 'only with this code, such as ECONNREFUSED')
    .option('--slower-than <ms>', 'only those that took longer', positiveNumber)
    .option('--since <time>', 'not before then: how long ago (2h, 7d), or an RFC 3339 time', pastTime)
    .option('--until <time>', 'before then', anyTime);

type FilterOptions = ReturnType<ReturnType<typeof filterWords>['opts']>;

function filterFrom(job: string | undefined, options: FilterOptions): DeliveryFilter {
  const { id, since, until, slowerThan, verdict, ...same } = options;
  return {
    ...same,
    jobId: job,
    deliveryId: id && asId(id),
    slowerThanMs: slowerThan,
    since: since?.toISOString(),
    until: until?.toISOString(),
    verdict: verdict as DeliveryFilter['verdict'], // One of the choices.
  };
}

const listCommand = command({
  name: 'list',
  description: 'show deliveries, newest first',
  takes: (it) =>
    filterWords(it)
      .option('--limit <count>', `how many (default: ${DEFAULT_LIMIT}; with --csv: all)`, countingNumber)
      .option('--csv', 'print CSV')
      .option('--follow', 'go on with new ones as they come, until Ctrl-C'),
  json: ': one delivery a line',
  notes: 'Times are UTC. It is what "triggers deliveries" does by itself.',
  examples: ['triggers deliveries vip-to-crm --verdict failed --since 2h', 'triggers deliveries --id 061907e97f65'],
  async run([job], { limit, csv: isCsv, follow: isFollowing, ...options }, { terminal, json, note, printEach }) {
    if (isCsv === true && json) throw new UsageError('Choose one: --csv or --json.');
    if (isFollowing === true && (options.until !== undefined || limit !== undefined))
      throw new UsageError('--follow has no end: leave out --until and --limit.');
    const { since, until } = options;
    if (since !== undefined && until !== undefined && since >= until)
      throw new UsageError('--until must be later than --since.');
    const filter = filterFrom(job, options);
    const most = limit ?? (isCsv === true ? Infinity : DEFAULT_LIMIT);
    await withDeliveryLog(async (reader) => {
      const safe = terminal.interactive ? printable : (line: string): string => line;
      if (isCsv === true) terminal.out(CSV_HEAD);
      const each = (rows: readonly DeliveryRow[]): void => {
        if (isCsv === true) for (const row of rows) terminal.out(safe(csvLine(row)));
        else if (json) printEach(rows, () => []);
        else if (isFollowing === true) for (const row of rows) terminal.out(cells(row).join('  '));
      };
      if (isFollowing === true) return await follow(reader, filter, each, note);
      const isStreamed = isCsv === true || json;
      const found: DeliveryRow[] = [];
      const exported =
        isCsv === true
          ? await reader.gaps({ since: EVER, ...definedOf(filter) }, { waitMs: EXPORT_WAIT_MS })
          : undefined;
      let [left, oldest, isEmpty] = [most, filter.since, true];
      for await (const rows of reader.pages(filter, most)) {
        each(rows);
        left -= rows.length;
        isEmpty &&= rows.length === 0;
        if (left === 0) oldest = rows.at(-1)?.at;
        if (!isStreamed) found.push(...rows);
      }
      const gaps = gapsInWords(exported ?? (await reader.gaps({ since: oldest ?? EVER, until: filter.until })));
      if (gaps !== undefined) note(gaps);
      const unknown = job !== undefined && isEmpty ? await unknownJob(job) : undefined;
      if (unknown !== undefined) note(unknown);
      if (isStreamed) return;
      tell(found, terminal);
      if (found.length === most)
        terminal.err(sentences(`These are the newest ${count(most)}; see more with --limit.`, terminal));
    });
  },
});

async function follow(
  reader: DeliveryReader,
  filter: DeliveryFilter,
  each: (rows: readonly DeliveryRow[]) => void,
  note: (text: string) => void,
): Promise<void> {
  const stop = interruption();
  const noticed = (problem: Error | undefined): void =>
    note(problem === undefined ? 'The delivery log can be read again.' : `${problem.message} Trying again.`);
  for await (const row of reader.follow(filter, stop.signal, noticed)) each([row]);
  stop.dispose();
}

function tell(found: readonly DeliveryRow[], terminal: Terminal): void {
  if (found.length === 0) return terminal.err(sentences('There is no such delivery.', terminal));
  const lines = headed([HEADS, ...found.map(cells)], { columns: tableColumns(terminal), paint: terminal.paint });
  for (const line of lines) terminal.out(line);
}

const HEADS = ['AT', 'JOB', 'OUTCOME', 'MS', 'EVENT', 'AUDIENCE', 'PERSON', 'TRY', 'WEBHOOK-ID'];

function cells(row: DeliveryRow): string[] {
  const { at, jobId, durationMs, event, audience, user, attempt, deliveryId } = row;
  return [
    shownAt(at),
    printable(jobId),
    outcomeOf(row),
    count(Math.round(durationMs)),
    event,
    printable(audience),
    printable(user),
    String(attempt),
    printable(deliveryId.slice(0, ID_DIGITS)),
  ];
}

function shownAt(at: string): string {
  return at.slice(0, 23).replace('T', ' ');
}

function outcomeOf({ verdict, status, code }: DeliveryRow): string {
  return [verdict, status ?? code ?? ''].join(' ').trim();
}

const showCommand = command({
  name: 'show',
  description: 'show all attempts of one delivery: what was sent, and what came back',
  takes: (it) => it.argument('<webhook-id>', 'its webhook-id, or the first digits of it'),
  json: ': one attempt a line',
  notes: `Requests are kept as "bodies" of the delivery log says; by default, those of
failed attempts. Secrets are left out.`,
  examples: ['triggers deliveries show 061907e97f65'],
  async run([id], _options, { terminal, printEach }) {
    if (id.length < LEAST_ID_DIGITS) throw new UsageError(`Give at least ${LEAST_ID_DIGITS} digits of the webhook-id.`);
    const attempts = await withDeliveryLog(async (reader) => await reader.attempts(asId(id)));
    if (attempts.length === 0) throw new DeliveryNotFound(id);
    printEach(attempts, () => attempts.flatMap((attempt) => [...detailLines(attempt, terminal), '']).slice(0, -1));
  },
});

function detailLines(row: DeliveryDetails, { columns }: Terminal): string[] {
  const { at, jobId, deliveryId, batchId, user, audience, event, triggerAt, attempt, durationMs, lane, worker } = row;
  const { request, response, answer } = row;
  const line = (name: string, value: string): string[] => field(name, printable(value), columns);
  const header = ([name, value]: readonly [string, string]): string => `    ${printable(`${name}: ${value}`)}`;
  return [
    ...line('Attempt', `${attempt} at ${shownAt(at)} UTC: ${outcomeOf(row)}, ${count(Math.round(durationMs))} ms`),
    ...line('Trigger', `${event} of ${user}, ${audience}, at ${triggerAt}`),
    ...line('Job', `${jobId} (${lane}), by the worker ${worker}`),
    ...line('Webhook-id', batchId === undefined ? deliveryId : `${deliveryId}, in the batch ${batchId}`),
    ...(request === undefined
      ? []
      : [
          ...line('Request', `${request.method} ${request.url}`),
          ...request.headers.map(header),
          ...bodyLines(request.body),
        ]),
    ...(response === undefined
      ? answer === undefined
        ? []
        : line('Answer', answer)
      : ['  Answer', ...response.headers.map(header), ...bodyLines(response.body)]),
  ];
}

function bodyLines(body: string): string[] {
  return body === '' ? [] : ['', `    ${printable(body)}`];
}

export const deliveriesCommand = commandGroup({
  name: 'deliveries',
  description: 'what was sent and what came back, from the delivery log',
  parts: [listCommand, showCommand],
  usual: 'list',
  examples: ['triggers deliveries vip-to-crm --verdict failed --since 2h', 'triggers deliveries show 061907e97f65'],
});
