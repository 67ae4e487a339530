import type { WatchStatus, WatchSummary } from '../client/export-jobs.ts';
import { printable } from '../domain/printable.ts';
import { count, counted, duration, fromNow } from './numbers.ts';
import { field } from './render.ts';
import { type Paint, plain, type Style } from './terminal.ts';

const STATES: Readonly<Record<WatchStatus['state'], { style: Style; words: string }>> = {
  scanning: { style: 'green', words: 'reading the members' },
  confirming: { style: 'green', words: 'checking with the source those who seem to have left' },
  telling: { style: 'green', words: 'telling jobs' },
  waiting: { style: 'green', words: 'waiting for the next round' },
  held: { style: 'yellow', words: 'held' },
  failing: { style: 'red', words: 'failing; it is tried again' },
  stopped: { style: 'dim', words: 'stopped' },
};

/** One watch for people, at most `columns` wide. */
export function watchLines(
  { audience, status }: WatchSummary,
  { nowMs, columns = 80, paint = plain }: { nowMs: number; columns?: number; paint?: Paint },
): string[] {
  const title = `${paint('bold', printable(audience.slug))} (${printable(audience.name)})`;
  if (status === undefined)
    return [title, ...field('State', paint('red', 'no worker answers; start one with: triggers worker'), columns)];
  const { state, members, rounds, enters, exits, nextAt, everyMs } = status;
  const { style, words } = STATES[state];
  const rows: (readonly [string, string | undefined])[] = [
    ['State', paint(style, words)],
    ['Held', heldText(status, nowMs)],
    ['Trouble', troubleText(status, nowMs)],
    ['Members', members === undefined ? 'not known yet' : count(members)],
    ['Reported', `${counted(enters, 'enter')} and ${counted(exits, 'exit')} in ${counted(rounds, 'round')}`],
    ['Last round', lastText(status, nowMs)],
    ['Next round', `${nextAt === undefined ? 'now' : fromNow(nextAt, nowMs)}, every ${duration(everyMs)}`],
    ['Missed', missedText(status)],
    ['Not told', notToldText(status)],
  ];
  return [title, ...rows.flatMap(([name, value]) => (value === undefined ? [] : field(name, value, columns)))];
}

function heldText({ held, audience }: WatchStatus, nowMs: number): string | undefined {
  if (held === undefined) return undefined;
  return `${counted(held.exits, 'member')} would leave at once and ${count(held.members)} would remain, seen ${fromNow(held.at, nowMs)}. Reported once the next round shows the same. If it is right: triggers watch ${audience.slug} --accept`;
}

function troubleText({ trouble }: WatchStatus, nowMs: number): string | undefined {
  if (trouble === undefined) return undefined;
  const { since, failures, reason } = trouble;
  return `since ${fromNow(since, nowMs)}, ${counted(failures, 'failure')}: ${printable(reason)}`;
}

function lastText({ last }: WatchStatus, nowMs: number): string | undefined {
  if (last === undefined) return undefined;
  const changes =
    last.isBaseline && last.enters === 0 ? 'the first' : `${count(last.enters)} in, ${count(last.exits)} out`;
  const jobs = last.told.jobs === 0 ? '' : `, told to ${counted(last.told.jobs, 'job')}`;
  return `${fromNow(last.at, nowMs)}, ${changes}${jobs}, took ${duration(last.durationMs)}`;
}

function missedText({ missed }: WatchStatus): string | undefined {
  if (missed === undefined) return undefined;
  return `what changed from ${missed.from.slice(0, 19)} to ${missed.to.slice(0, 19)} UTC, because the snapshot was lost`;
}

function notToldText({ last }: WatchStatus): string | undefined {
  const jobs = last?.told.unreadable ?? [];
  return jobs.length === 0 ? undefined : `encrypted with a key that the worker does not have: ${jobs.join(', ')}`;
}
