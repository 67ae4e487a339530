import type { AuditAction, Deed, LoggedDeed, ManyDecided, ReplayDeed } from '../contract/audit.ts';
import { counted } from '../domain/text.ts';

const DONE: Readonly<Record<AuditAction, string>> = {
  start: 'started',
  edit: 'edited',
  pause: 'paused',
  resume: 'resumed',
  retry: 'retried now',
  stop: 'stopped',
  recover: 'recovered',
  backfill: 'backfill started',
  'pause-backfill': 'backfill paused',
  'resume-backfill': 'backfill resumed',
  'cancel-backfill': 'backfill cancelled',
  reconcile: 'reconcile started',
  replay: 'replay started',
  erase: 'erased',
  end: 'ended from outside',
  forget: 'what waited for a person was dropped',
  change: 'changed',
  'start-round': 'round started',
  accept: 'held exits accepted',
  redeliver: 'redelivered',
  discard: 'discarded',
  'sign-in': 'signed in',
  'refuse-sign-in': 'sign-in refused',
  'sign-out': 'signed out',
};

const WAITING: Readonly<Record<NonNullable<Deed['waiting']>, string>> = {
  deliver: ', what waits is sent first',
  keep: ', what waits is kept',
  discard: ', what waits is dropped',
};

/** A deed in words: `edited (revision 4)`. */
export function deedInWords({ action, revision, waiting, replay, many, erased }: Deed): string {
  if (many !== undefined) return manyInWords(action, many);
  if (action === 'erase') return erasedInWords(erased);
  const more = waiting === undefined ? '' : WAITING[waiting];
  const again = replay === undefined ? '' : `: ${replayInWords(replay)}`;
  return `${DONE[action]}${more}${again}${revision === undefined ? '' : ` (revision ${revision})`}`;
}

function erasedInWords(erased: Deed['erased']): string {
  if (erased === undefined) return 'erase, end unknown';
  const { rows, shared, deadLetters } = erased;
  const others = shared === 0 ? '' : `, contents of ${shared} more`;
  return `${DONE.erase}: ${counted(rows, 'row')} of the log${others}, ${counted(deadLetters, 'dead letter')}`;
}

function replayInWords({ enters, exits, since, until, onlyLast, newIds, isOfOnePerson }: ReplayDeed): string {
  const told = since === undefined ? `told before ${until}` : `told from ${since} until ${until}`;
  return [
    `${counted(enters, 'enter')} and ${counted(exits, 'exit')}${isOfOnePerson ? ' of one person' : ''}, ${told}`,
    ...(onlyLast ? ['only what each was told last'] : []),
    ...(newIds ? ['with new ids'] : []),
  ].join(', ');
}

/** `38 of 40 discarded, failure HTTP 422` */
function manyInWords(action: AuditAction, { letters, done, isOfOnePerson, ...filter }: ManyDecided): string {
  const count = done === undefined ? `${action} ${letters}, end unknown` : `${done} of ${letters} ${DONE[action]}`;
  const of = Object.entries(filter).map(([name, value]) => `${NAMES_OF_FILTERS[name] ?? name} ${value}`);
  return [count, ...of, ...(isOfOnePerson === true ? ['of one person'] : [])].join(', ');
}

const NAMES_OF_FILTERS: Readonly<Record<string, string>> = { olderThan: 'older than', newerThan: 'newer than' };

/** In order of time, the newest first; those of one time as they are given. */
export function newestFirst<T extends Pick<LoggedDeed, 'at'>>(entries: readonly T[]): T[] {
  return entries.toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at));
}

/** Who did it, and why: `by ops@vm: a test person`. */
export function askerInWords({ who, door, reason }: Pick<LoggedDeed, 'who' | 'door' | 'reason'>): string {
  return `by ${who ?? `somebody (${door})`}${reason === undefined ? '' : `: ${reason}`}`;
}

/** The target of a deed, in words: `watch of vip`. */
export function targetInWords({ kind, target, jobId }: Pick<LoggedDeed, 'kind' | 'target' | 'jobId'>): string {
  if (kind === 'watch') return `watch of ${target}`;
  if (kind === 'person') return target === kind ? kind : `${kind} ${target}`;
  if (kind === 'dead letters') return jobId === undefined ? kind : `dead letters of ${jobId}`;
  return kind === 'dead letter' ? `dead letter ${target}` : target;
}

/** The note on a change whose masked values look alike. */
export const ALIKE = ' (what is not shown may have changed)';
