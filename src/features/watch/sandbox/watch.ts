import type { Audience, AudienceListing } from '../../../contract/audience.ts';
import type { Problem } from '../../../contract/export-job.ts';

/** The options of a watch, with every default filled in. */
export interface WatchOptions {
  /** From the start of one round to the start of the next, in ms; 1 s to 7 days. Default 5 minutes. After a round that takes longer the next one starts at once. */
  readonly everyMs: number;
  /**
   * Whether all members are published as enters when there is no snapshot to compare with: in the first round, and after the snapshot was lost. Default
   * false.
   */
  readonly existingUsers: boolean;
  /**
   * The largest share of the members, in percent, that may leave in one round; default 20. If more leave (and more than 10 people), the round is held
   * until the next one finds the same. 100: no round is held.
   */
  readonly largestExitPercent: number;
}

/** Options as they are given. Absent ones have their defaults. */
export type WatchOptionsInput = { readonly [Option in keyof WatchOptions]?: WatchOptions[Option] | undefined };
/** Argument of the update `change`: the options that are to change. */
export type WatchChange = Partial<WatchOptions>;

/** Whether a worker can watch these audiences: its source has to know them, and it needs a folder for snapshots. */
export type PreparedWatch =
  | { readonly ok: false; readonly problems: readonly Problem[] }
  | { readonly ok: true; readonly audiences: readonly AudienceListing[] };

/** A finished scan: the list of members, which is on disk under this id. */
export interface SnapshotRef {
  readonly id: string;
  /** How many. */
  readonly members: number;
  /** When its round began, RFC 3339. */
  readonly at: string;
}

/** Input of the activity `scanMembers`. */
export interface ScanRequest {
  /** Canonical id. */
  readonly audience: string;
  /** The id of the snapshot that this scan makes. */
  readonly scanId: string;
  /** The id of the snapshot to compare with; null: there is none. */
  readonly base: string | null;
  /** The id of the scan of the held round; null: no round is held. */
  readonly held: string | null;
  /** Without a base: whether every member counts as entering. */
  readonly existingUsers: boolean;
  /** Snapshots that are no longer needed and to be removed; `all`: everything about this audience. */
  readonly obsolete: readonly string[] | 'all';
}

/** Result of a finished scan. */
export interface ScanReport {
  readonly members: number;
  readonly enters: number;
  /** Members of the base whom this scan did not find. */
  readonly exits: number;
  /** How many people this scan found, but the held scan had not. */
  readonly back: number;
  /** How many people the held scan had found, but this scan did not. */
  readonly gone: number;
  /** Whether this worker has the held scan on disk. */
  readonly heldFound: boolean;
}

/** The changes of a round, after the source has confirmed its exits. */
export interface ConfirmedChanges {
  readonly enters: number;
  readonly exits: number;
  /** People whom the scan missed and whose exit the source did not confirm: they are still members. */
  readonly stayed: number;
}

/** Rounds that a job has missed and can no longer get: the times of the first and the last of them (RFC 3339). */
export interface LostRounds {
  readonly jobId: string;
  readonly from: string;
  readonly to: string;
}

/** Result of the activities `publishChanges` and `publishMissed`. */
export interface PublishReport {
  /** How many jobs got changes. */
  readonly jobs: number;
  /** Running jobs whose payload key this worker does not have, so that it is not known whether they subscribe. */
  readonly unreadable: readonly string[];
  /** Jobs that have missed rounds, and get them once they run again; absent: none. */
  readonly behind?: readonly string[];
  /** Missed rounds that jobs can no longer get; absent: none. */
  readonly lost?: readonly LostRounds[];
}

/** A finished round. */
export interface WatchRound {
  /** When it began, RFC 3339; also the `at` of its triggers. */
  readonly at: string;
  readonly members: number;
  readonly enters: number;
  readonly exits: number;
  /** People whom the scan missed and whose exit the source did not confirm: they are still members. */
  readonly stayed: number;
  /** From its start until every job had its changes. */
  readonly durationMs: number;
  /** Whether there was no snapshot to compare with: its scan became the first snapshot. */
  readonly isBaseline: boolean;
  readonly published: PublishReport;
}

/** A round whose changes are on disk and are being published, until every job has them. */
export interface PendingRound {
  readonly snapshot: SnapshotRef;
  readonly changes: ConfirmedChanges;
  readonly isBaseline: boolean;
  /** When it began, epoch ms. */
  readonly startedAt: number;
}

/** A round in which so many would leave at once that its changes are not published yet. */
export interface HeldRound {
  readonly scan: SnapshotRef;
  readonly exits: number;
}

/** Why rounds fail at present. */
export interface WatchTrouble {
  /** When rounds began to fail, RFC 3339. */
  readonly since: string;
  /** How many rounds failed in a row. */
  readonly failures: number;
  /** How many of these, in a row, failed because the worker did not have the snapshot. */
  readonly notHere: number;
  /** The message of the last failure. */
  readonly reason: string;
}

/** The alerts that a watch has raised: how many, and since when (RFC 3339) which condition holds. */
export interface WatchAlerts {
  readonly raised: number;
  readonly failing?: string;
  readonly held?: string;
}

/** Input of the workflow `watchAudience`, which it also hands to its next run. */
export interface WatchState {
  readonly v: 1;
  readonly audience: Audience;
  readonly options: WatchOptions;
  /** How many rounds have finished. */
  readonly rounds: number;
  /** How many enters and exits were published since the watch began. A change counts once, however many jobs got it. */
  readonly enters: number;
  readonly exits: number;
  readonly snapshot?: SnapshotRef;
  readonly pending?: PendingRound;
  readonly held?: HeldRound;
  /** Whether a person confirmed that the held round is right. */
  readonly isAccepted?: boolean;
  readonly last?: WatchRound;
  readonly trouble?: WatchTrouble;
  /** The alerts raised so far; absent: none. */
  readonly alerts?: WatchAlerts;
  /** Set when a snapshot was lost: no job can get the changes between these times (RFC 3339). */
  readonly lost?: { readonly from: string; readonly to: string };
  /** When the last round began; `at` of its triggers. */
  readonly lastAt?: string;
  /** When the next round begins, epoch ms. */
  readonly nextAt?: number;
  /** Snapshots that the next scan removes; absent before the first scan, which removes all. */
  readonly obsolete?: readonly string[];
}

/** `scanning`, `confirming` and `publishing` are the parts of a round; between rounds it is `waiting`, `held` or `failing`. */
export type WatchPhase = 'scanning' | 'confirming' | 'publishing' | 'waiting' | 'held' | 'failing' | 'stopped';

/** Answer to the query for the status of a watch. */
export interface WatchStatus {
  readonly v: 1;
  readonly state: WatchPhase;
  readonly audience: Audience;
  readonly everyMs: number;
  readonly existingUsers: boolean;
  readonly largestExitPercent: number;
  readonly rounds: number;
  readonly enters: number;
  readonly exits: number;
  /** According to the last finished round; absent before the first. */
  readonly members?: number;
  readonly last?: WatchRound;
  /** RFC 3339; absent while a round is under way, and after the end. */
  readonly nextAt?: string;
  /** The held round: how many would leave, of how many members, and when that was found (RFC 3339). */
  readonly held?: { readonly exits: number; readonly members: number; readonly at: string };
  readonly trouble?: WatchTrouble;
  /** The changes of a round that could not be published to every job yet; absent: none. */
  readonly unpublished?: ConfirmedChanges;
  readonly lost?: { readonly from: string; readonly to: string };
}
