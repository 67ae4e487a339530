import type { WatchPhase, WatchStatus } from './watch.ts';
import { counted, duration, printableReason, shownCount, shownTime } from '../../../domain/text.ts';
import { detailsTable } from '../../../domain/workflow-visibility.ts';
import { type StatusRow, toneOf } from '../../../words/status-rows.ts';

const PHASES: Readonly<Record<WatchPhase, string>> = {
  scanning: 'scanning the members',
  confirming: 'confirming exits with the source',
  publishing: 'publishing changes to jobs',
  waiting: 'waiting for the next round',
  held: 'holding a large exit',
  failing: 'failing; retrying',
  stopped: 'stopped',
};

/** A watch as the Temporal UI shows it. */
export function watchDetails(status: WatchStatus): string {
  const { slug, name } = status.audience;
  const rows = watchRows(status, (at) => `at ${shownTime(at)}`, 'use the update "accept"');
  return detailsTable(`Watch of ${slug}`, [
    ['Audience', `${slug} (${name})`],
    ...rows.map((row) => [row.name, row.value] as const),
  ]);
}

/**
 * A watch, row by row, without empty rows. Only what needs attention has a tone, apart from its state. Nothing in it can control a terminal.
 * @param time a time as people read it there: when it was, or seen from now.
 * @param accept how people accept there what is held.
 */
export function watchRows(status: WatchStatus, time: (at: string) => string, accept: string): StatusRow[] {
  const { state, everyMs, rounds, members, enters, exits, last, nextAt, held, trouble, lost } = status;
  const { behind = [], unreadable = [], lost: lostByJobs = [] } = last?.published ?? {};
  const rows: (Omit<StatusRow, 'value'> & { readonly value: string | undefined })[] = [
    { name: 'State', value: PHASES[state], tone: toneOf(state) },
    {
      name: 'Trouble',
      value: trouble && `${counted(trouble.failures, 'failure')}, the first ${time(trouble.since)}: ${trouble.reason}`,
      tone: 'bad',
    },
    {
      name: 'Held',
      value:
        held &&
        `${counted(held.exits, 'member')} would leave at once and ${shownCount(held.members)} would remain, found ${time(held.at)}. Published once the next round finds the same. To accept it now: ${accept}`,
      tone: 'caution',
    },
    { name: 'Members', value: members === undefined ? 'unknown before the first round' : shownCount(members) },
    {
      name: 'Published',
      value: `${counted(enters, 'enter')} and ${counted(exits, 'exit')} in ${counted(rounds, 'round')}`,
    },
    { name: 'Last round', value: last && lastText(last, time) },
    { name: 'Next round', value: `${nextAt === undefined ? 'now' : time(nextAt)}, every ${duration(everyMs)}` },
    { name: 'Settings', value: settingsText(status) },
    { name: 'Lost', value: lost && `all changes ${between(lost)}: the snapshot was lost`, tone: 'caution' },
    {
      name: 'Unreadable',
      value: unreadable.length === 0 ? '' : `${unreadable.join(', ')} (encrypted with a key that the worker lacks)`,
      tone: 'caution',
    },
    {
      name: 'Behind',
      value: behind.length === 0 ? '' : `${behind.join(', ')} (missed rounds follow once the job runs again)`,
      tone: 'caution',
    },
    ...lostByJobs.map((one) => ({
      name: 'Lost',
      value: `${one.jobId} can no longer get the changes ${between(one)}; to repair its endpoint: triggers reconcile ${one.jobId}`,
      tone: 'caution' as const,
    })),
  ];
  return rows.flatMap(({ value, ...row }) => (value ? [{ ...row, value: printableReason(value) }] : []));
}

/** The changes that a stop of this watch would lose, in sentences; '': none. Nothing in it can control a terminal. */
export function stopLoss({ state, audience: { slug }, held, last, unpublished }: WatchStatus): string {
  if (state === 'stopped') return '';
  const behind = last?.published.behind ?? [];
  const losses = [
    ...(behind.length === 0
      ? []
      : [`These jobs will not get the rounds of ${slug} that they missed: ${behind.join(', ')}.`]),
    ...(unpublished === undefined
      ? []
      : [`The last round of ${slug} (${changesText(unpublished)}) has not reached every job, and will not.`]),
    ...(held === undefined
      ? []
      : [`The held round of ${slug} (${counted(held.exits, 'exit')}) will not be published.`]),
  ];
  return printableReason(losses.join(' '));
}

function changesText({ enters, exits }: { readonly enters: number; readonly exits: number }): string {
  return `${counted(enters, 'enter')}, ${counted(exits, 'exit')}`;
}

/** The settings of a watch, apart from its interval. */
export function settingsText({
  existingUsers,
  largestExitPercent,
}: Pick<WatchStatus, 'existingUsers' | 'largestExitPercent'>): string {
  const existing = existingUsers ? 'all members as enters' : 'nothing';
  const exits =
    largestExitPercent === 100
      ? 'No exits are held.'
      : `If more than ${largestExitPercent} % of the members leave at once, the round is held until the next one finds the same.`;
  return `${exits} A round without an earlier snapshot publishes ${existing}.`;
}

function lastText(last: NonNullable<WatchStatus['last']>, time: (at: string) => string): string {
  const changes = last.isBaseline && last.enters === 0 ? 'baseline only' : changesText(last);
  const jobs = last.published.jobs === 0 ? '' : `, to ${counted(last.published.jobs, 'job')}`;
  return `${time(last.at)}, ${changes}${jobs}, took ${duration(last.durationMs)}`;
}

function between({ from, to }: { readonly from: string; readonly to: string }): string {
  return `from ${shownTime(from)} to ${shownTime(to)}`;
}
