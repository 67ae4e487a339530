export type AlertKind =
  | 'endpoint-unwell'
  | 'paused-by-endpoint'
  | 'backlog-old'
  | 'dead-letters'
  | 'backfill-finished'
  | 'backfill-lost'
  | 'holder-unreadable'
  | 'payload-key-missing';

/** Something about a job that its operators should be told once. */
export interface Alert {
  /** The number of this alert of its job, from 1. */
  readonly n: number;
  readonly kind: AlertKind;
  /** A condition `began` or `ended`; something without an end `happened`. */
  readonly state: 'began' | 'ended' | 'happened';
  /** RFC 3339 */
  readonly at: string;
  /** With `ended`: when it began, RFC 3339. */
  readonly since?: string;
  /** What it is about, in a sentence. */
  readonly text: string;
}

/** An alert as it is sent, with what it is about. */
export interface RaisedAlert {
  /** Its `webhook-id`: the same on every attempt, and no other alert has it. */
  readonly id: string;
  /** Its label and subscription are not known where its payloads cannot be read. */
  readonly job: { readonly id: string; readonly label?: string; readonly subscription_id?: string };
  /** Only a job numbers its alerts. */
  readonly alert: Omit<Alert, 'n'> & { readonly n?: number };
}
