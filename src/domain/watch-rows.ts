import type { WatchPhase, WatchStatus } from '../contract/watch.ts';
import { counted, detailsTable, duration, printableReason, shownCount, shownTime } from './shown.ts';
import { type StatusRow, toneOf } from './status-rows.ts';

const PHASES: Readonly<Record<WatchPhase, string>> = {
  scanning: 'reading the members',
  confirming: 'checking with the source who has left',
  publishing: 'sending the changes to jobs',
  waiting: 'waiting for the next round',
  held: 'held',
  failing: 'failing; it is tried again',
  stopped: 'stopped',
};

/** A watch as the Temporal UI shows it. */
export function watchDetails(status: WatchStatus): string {
  const { slug, name } = status.audience;
  const rows = watchRows(status, (at) => `at ${shownTime(at)}`, 'the update "accept"');
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
  const { state, everyMs, rounds, members, enters, exits, last, nextAt, held, trouble, missed } = status;
  const { absent = [], unreadable = [], lost = [] } = last?.published ?? {};
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
        `${counted(held.exits, 'member')} would leave at once and ${shownCount(held.members)} remain, seen ${time(held.at)}. The next round must confirm it. If it is right: ${accept}`,
      tone: 'caution',
    },
    { name: 'Members', value: members === undefined ? 'not known yet' : shownCount(members) },
    {
      name: 'Reported',
      value: `${counted(enters, 'enter')} and ${counted(exits, 'exit')} in ${counted(rounds, 'round')}`,
    },
    { name: 'Last round', value: last && lastText(last, time) },
    { name: 'Next round', value: `${nextAt === undefined ? 'now' : time(nextAt)}, every ${duration(everyMs)}` },
    { name: 'Settings', value: settingsText(status) },
    { name: 'Missed', value: missed && `changes ${between(missed)}: the snapshot was lost`, tone: 'caution' },
    {
      name: 'Unreadable',
      value: unreadable.length === 0 ? '' : `jobs with a payload key that the worker lacks: ${unreadable.join(', ')}`,
      tone: 'caution',
    },
    {
      name: 'Away',
      value: absent.length === 0 ? '' : `jobs that get what they missed once they run again: ${absent.join(', ')}`,
      tone: 'caution',
    },
    ...lost.map((one) => ({
      name: 'Missed',
      value: `${one.jobId} can no longer get the changes ${between(one)}: reconcile it with its endpoint's list`,
      tone: 'caution' as const,
    })),
  ];
  return rows.flatMap(({ value, ...row }) => (value ? [{ ...row, value: printableReason(value) }] : []));
}

/** The settings of a watch, apart from how often it looks. */
export function settingsText({
  emitExisting,
  largestExitPercent,
}: Pick<WatchStatus, 'emitExisting' | 'largestExitPercent'>): string {
  const existing = emitExisting ? 'all members are reported as entering' : 'nobody is reported';
  const exits =
    largestExitPercent === 100
      ? 'No exits are held.'
      : `When more than ${largestExitPercent} % of the members leave at once, that is held until it is seen twice.`;
  return `${exits} Without an earlier snapshot, ${existing}.`;
}

function lastText(last: NonNullable<WatchStatus['last']>, time: (at: string) => string): string {
  const changes =
    last.isBaseline && last.enters === 0 ? 'the first' : `${shownCount(last.enters)} in, ${shownCount(last.exits)} out`;
  const jobs = last.published.jobs === 0 ? '' : `, to ${counted(last.published.jobs, 'job')}`;
  return `${time(last.at)}, ${changes}${jobs}, took ${duration(last.durationMs)}`;
}

function between({ from, to }: { readonly from: string; readonly to: string }): string {
  return `from ${shownTime(from)} to ${shownTime(to)}`;
}
