import type { FoundTold } from './found-told.ts';
import { findTold, replay } from './replay.ts';
import { Option } from '@commander-js/extra-typings';
import type { JobClient, JobStatus } from '../../client/job-client.ts';
import type { ReplayOptions, ReplayWish } from './replay.ts';
import { counted, printable, shownTime } from '../../domain/text.ts';
import { gapsInWords } from '../delivery-log/gaps-in-words.ts';
import { confirmed, nobodyToAsk, UserAborted } from '../../cli/ask.ts';
import { command, withJobs } from '../../cli/command.ts';
import { anyTime, asId, collect, pastTime, REASON } from '../../cli/options.ts';
import type { Terminal } from '../../cli/terminal.ts';
import { count, sentences } from '../../cli/text.ts';

export const replayCommand = command({
  name: 'replay',
  description: 'send again what an endpoint was told, from the delivery log',
  takes: (it) =>
    it
      .argument('<job>', 'id of the job')
      .option('--since <time>', 'what was told since: how long ago (2h, 7d), or an RFC 3339 time', pastTime)
      .option('--until <time>', 'and before; default: now', anyTime)
      .option('--user <id>', 'only to this person')
      .option('--audience <slug>', "only about this one of the job's audiences; may be repeated", collect)
      .option('--id <webhook-id>', 'only this delivery; 8 of its first digits are enough')
      .addOption(
        new Option('--only <what>', 'only what each person was told last about each audience').choices([
          'last',
        ] as const),
      )
      .option('--new-ids', 'with other webhook-ids, for a receiver that drops those it knows')
      .option('--request-id <id>', 'two requests with the same id run it once')
      .option('--dry-run', 'only show what would be sent')
      .option(...REASON)
      .option('--yes', 'do not ask; required without a terminal'),
  json: ': what was found, and the status once it is being sent',
  notes: `Sends each person's triggers in their order, behind live ones, unless the person
was told something newer since. It runs as a backfill, at its rate: triggers
backfill JOB --pause, --resume, --cancel; triggers edit JOB --backfill-rate 100.`,
  examples: [
    'triggers replay vip-to-crm --since 2026-11-29T03:00:00Z --dry-run',
    'triggers replay vip-to-crm --since 1d --only last --yes',
    'triggers replay vip-to-crm --id 061907e97f65',
  ],
  async run([job], { since, until, user, audience, id, only, ...options }, { terminal, json, print, note }) {
    const wish: ReplayWish = {
      since: since?.toISOString(),
      until: until?.toISOString(),
      user,
      audiences: audience,
      deliveryId: id && asId(id),
      onlyLast: only && true,
    };
    const result = await withJobs((jobs) => findAndSend(jobs, job, wish, { terminal, json, note, ...options }));
    print(result, () => doneText(job, result));
  },
});

interface Stage extends ReplayOptions {
  readonly terminal: Terminal;
  readonly json: boolean;
  readonly note: (text: string) => void;
  readonly dryRun?: boolean | undefined;
  readonly yes?: boolean | undefined;
}

interface Replayed {
  readonly found: FoundTold;
  /** Absent: nothing is sent. */
  readonly status?: JobStatus;
}

/** Shows what would be sent, asks, and has it sent. */
async function findAndSend(
  jobs: JobClient,
  job: string,
  wish: ReplayWish,
  { terminal, json, note, dryRun, yes, ...options }: Stage,
): Promise<Replayed> {
  const found = await findTold(jobs.core, job, wish);
  if (!json) for (const line of foundLines(found)) terminal.err(sentences(line, terminal));
  const gaps = gapsInWords(found.gaps ?? []);
  if (gaps !== undefined) note(gaps);
  if (dryRun === true || found.enters + found.exits === 0) return { found };
  if (yes !== true && terminal.stdin.isTTY !== true) throw nobodyToAsk(`At most ${extent(found)} would be sent again.`);
  if (yes !== true && !(await confirmed(terminal, `Send at most ${extent(found)} to ${job} again?`)))
    throw new UserAborted('Nothing was sent.');
  return { found, status: await replay(jobs.core, job, found, options) };
}

function extent({ enters, exits, people }: Pick<FoundTold, 'enters' | 'exits' | 'people'>): string {
  return `${counted(enters, 'enter')} and ${counted(exits, 'exit')} of ${counted(people, 'person', 'people')}`;
}

/** The counts, the first triggers, and how many are left out. */
function foundLines(found: FoundTold): string[] {
  const { first, lastAt, outdated, foreign } = found;
  const [begin] = first;
  return [
    ...(begin === undefined || lastAt === undefined
      ? []
      : [`${extent(found)}, told from ${shownTime(begin.at)} to ${shownTime(lastAt)}, such as:`]),
    ...first.map(
      ({ at, event, audience, user }) => `  ${shownTime(at)}  ${event}  ${printable(audience)}  ${printable(user)}`,
    ),
    ...(outdated === 0 ? [] : [`Left out, since it was told again or something newer was told: ${count(outdated)}.`]),
    ...(foreign === 0
      ? []
      : [
          `Left out, since the job no longer has that audience or event, or another job had its id: ${count(foreign)}.`,
        ]),
  ];
}

function doneText(job: string, { found, status }: Replayed): string {
  if (found.enters + found.exits === 0) return 'Nothing to send again.';
  if (status === undefined) return `At most ${extent(found)} would be sent again. Nothing was sent.`;
  const watch = `Follow it with: triggers status ${job} --watch`;
  const { askedBefore, backfill } = status;
  return askedBefore === undefined
    ? `Backfill ${backfill?.n ?? ''} sends ${extent({ ...found, ...backfill?.replay })} again, except to people who hear something newer meanwhile. ${watch}`
    : `Backfill ${askedBefore.n} had been asked for under this request id, and is ${askedBefore.state}. No other was started. ${watch}`;
}
