import type { Audience } from './audience.ts';

export type AlertKind =
  | 'endpoint-unhealthy'
  | 'paused-by-endpoint'
  | 'backlog-old'
  | 'dead-letters'
  | 'backfill-finished'
  | 'backfill-lost'
  | 'holder-unreadable'
  | 'payload-key-missing'
  | 'job-ended'
  | 'dead-letters-expiring'
  | 'watch-failing'
  | 'watch-held';

/** Something about a job or a watch that its operators should learn once. */
export interface Alert {
  /** The number of this alert of its job or watch, from 1. */
  readonly n: number;
  readonly kind: AlertKind;
  /** A condition `began` or `ended`; an event without an end `happened`. */
  readonly state: 'began' | 'ended' | 'happened';
  /** RFC 3339 */
  readonly at: string;
  /** With `ended`: when it began, RFC 3339. */
  readonly since?: string;
  /** The alert in a sentence. */
  readonly text: string;
}

/** An alert as it is sent, with its job or audience. */
export interface RaisedAlert {
  /** Its `webhook-id`: the same on every attempt, and no other alert has it. */
  readonly id: string;
  /** Its label and subscription are not known where its payloads cannot be read. */
  readonly job?: { readonly id: string; readonly label?: string; readonly subscription_id?: string };
  /** From a watch: the audience that it watches. */
  readonly audience?: Audience;
  /** A worker does not number the alerts that it raises by itself. */
  readonly alert: Omit<Alert, 'n'> & { readonly n?: number };
}
