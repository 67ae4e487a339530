import { Option } from '@commander-js/extra-typings';
import type { DeliveryFilter, DeliveryRow } from '../../contract/delivery.ts';
import type { DeliveryReader } from '../../delivery-log/delivery-reader.ts';
import { printable } from '../../domain/shown.ts';
import { VERDICTS } from '../../domain/verdict.ts';
import { command } from '../command.ts';
import { configuredReader } from '../delivery-log.ts';
import { answerStatus, countingNumber, pastTime, positiveNumber } from '../options.ts';
import { count, headed, sentences, tableColumns } from '../text.ts';

const DEFAULT_LIMIT = 50;
const PAGE_ROWS = 1_000;
/** As many characters as the receiver shows. */
const ID_DIGITS = 12;

export const deliveriesCommand = command({
  name: 'deliveries',
  description: 'show what was sent and what came back, newest first, from the delivery log',
  takes: (it) =>
    it
      .argument('[job]', 'only of this job')
      .option('--user <id>', 'only to this person')
      .option('--audience <slug>', 'only about this audience')
      .addOption(new Option('--event <event>', 'only enters or exits').choices(['enter', 'exit'] as const))
      .option('--id <webhook-id>', 'only with this webhook-id; its first digits are enough')
      .addOption(
        new Option('--verdict <verdict>', 'only with this verdict; "failed": any but delivered').choices([
          'delivered',
          'failed',
          ...Object.keys(VERDICTS),
        ]),
      )
      .option('--status <status>', 'only with this HTTP status', answerStatus)
      .option('--code <code>', 'only with this code, such as ECONNREFUSED')
      .option('--slower-than <ms>', 'only those that took longer', positiveNumber)
      .option('--since <time>', 'not before then: how long ago (2h, 7d), or an RFC 3339 time', pastTime)
      .option('--until <time>', 'before then', pastTime)
      .option('--limit <count>', `how many (default: ${DEFAULT_LIMIT})`, countingNumber),
  json: ': one delivery a line',
  notes: 'Needs "deliveryLog" in the configuration, here and of the workers. Times are UTC.',
  examples: ['triggers deliveries vip-to-crm --verdict failed --since 2h', 'triggers deliveries --id 061907e97f65'],
  async run([job], options, { terminal, json, print, printEach }) {
    const { limit = DEFAULT_LIMIT, id, since, until, slowerThan, verdict, ...same } = options;
    const filter: DeliveryFilter = {
      ...same,
      jobId: job,
      deliveryId: id,
      slowerThanMs: slowerThan,
      since: since?.toISOString(),
      until: until?.toISOString(),
      verdict: verdict as DeliveryFilter['verdict'], // One of the choices.
    };
    const reader = configuredReader();
    try {
      const found = await firstRows(reader, filter, limit, (rows) => json && printEach(rows, () => []));
      if (json) return;
      if (found.length === 0) terminal.err(sentences('There is no such delivery.', terminal));
      else
        print(found, () =>
          headed([HEADS, ...found.map(cells)], { columns: tableColumns(terminal), paint: terminal.paint }),
        );
    } finally {
      await reader.close();
    }
  },
});

/** Reads page by page. @param onPage gets each page as it comes. */
async function firstRows(
  reader: DeliveryReader,
  filter: DeliveryFilter,
  limit: number,
  onPage: (rows: readonly DeliveryRow[]) => unknown,
): Promise<DeliveryRow[]> {
  const found: DeliveryRow[] = [];
  let next: string | undefined;
  do {
    const page = await reader.find(filter, Math.min(PAGE_ROWS, limit - found.length), next);
    onPage(page.rows);
    found.push(...page.rows);
    ({ next } = page);
  } while (next !== undefined && found.length < limit);
  return found;
}

const HEADS = ['AT', 'JOB', 'OUTCOME', 'MS', 'EVENT', 'AUDIENCE', 'PERSON', 'TRY', 'WEBHOOK-ID'];

function cells(row: DeliveryRow): string[] {
  const { at, jobId, verdict, status, code, durationMs, event, audience, user, attempt, deliveryId } = row;
  return [
    at.slice(0, 23).replace('T', ' '),
    printable(jobId),
    [verdict, status ?? code ?? ''].join(' ').trim(),
    count(Math.round(durationMs)),
    event,
    printable(audience),
    printable(user),
    String(attempt),
    printable(deliveryId.slice(0, ID_DIGITS)),
  ];
}
