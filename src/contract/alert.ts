export type AlertKind =
  'endpoint-unwell' | 'paused-by-endpoint' | 'backlog-old' | 'dead-letters' | 'backfill-finished' | 'backfill-lost';

/** Something about a job that its operators should hear of, once. */
export interface Alert {
  /** Counts the alerts of a job, from 1. */
  readonly n: number;
  readonly kind: AlertKind;
  /** A condition `began` or `ended`; what has no end `happened`. */
  readonly state: 'began' | 'ended' | 'happened';
  /** RFC 3339 */
  readonly at: string;
  /** With `ended`: when it began, RFC 3339. */
  readonly since?: string;
  /** What it is about, in a sentence. */
  readonly text: string;
}

/** An alert as it is sent, with whose it is. */
export interface JobAlert {
  readonly jobId: string;
  readonly label: string;
  readonly subscriptionId: string;
  readonly alert: Alert;
}
