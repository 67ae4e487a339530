import type { AuditAction, Deed, LoggedDeed } from '../contract/audit.ts';

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
export function deedInWords({ action, revision, waiting }: Deed): string {
  const more = waiting === undefined ? '' : WAITING[waiting];
  return `${DONE[action]}${more}${revision === undefined ? '' : ` (revision ${revision})`}`;
}

/** The target of a deed, in words: `watch of vip`. */
export function targetInWords({ kind, target }: Pick<LoggedDeed, 'kind' | 'target'>): string {
  if (kind === 'watch') return `watch of ${target}`;
  return kind === 'dead letter' ? `dead letter ${target}` : target;
}

/** The note on a change whose masked values look alike. */
export const ALIKE = ' (what is not shown may have changed)';
