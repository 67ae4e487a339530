import { z } from 'zod';
import type { Audience, AudienceListing } from './audience.ts';
import type { Checked, Problem } from './export-job.ts';

/** The shortest and the longest time between two looks at an audience, in ms: a second and a week. */
const SHORTEST_MS = 1_000;
const LONGEST_MS = 7 * 24 * 60 * 60 * 1_000;

const EVERY = 'The interval must be a whole number of ms, from a second to a week.';
const PERCENT = 'The largest exit must be a whole number of percent, from 1 to 100.';

/** How an audience is watched. Unknown keys are refused. */
const watchOptionsSchema = z.strictObject({
  /** From the begin of one round to the begin of the next, in ms; 1 s to 7 days. A round that takes longer is followed by the next one at once. */
  everyMs: z.int({ error: EVERY }).min(SHORTEST_MS, EVERY).max(LONGEST_MS, EVERY).default(300_000),
  /** Whether everybody is told of as entering where there is nothing to compare with: in the first round, and when the last snapshot is lost. */
  emitExisting: z.boolean({ error: 'This must be true or false (without quotes).' }).default(false),
  /** More than this share of the members, in percent, leaving at once (and more than 10 people) is held until it is seen twice; 100 holds nothing. */
  largestExitPercent: z.int({ error: PERCENT }).min(1, PERCENT).max(100, PERCENT).default(20),
});

/** With every default filled in. */
export type WatchOptions = Readonly<z.infer<typeof watchOptionsSchema>>;
export type WatchOptionsInput = z.input<typeof watchOptionsSchema>;
/** What the update `change` takes: any of the options. */
export type WatchChange = Partial<WatchOptions>;

/** Checks how an audience is to be watched; every problem at once. */
export function checkWatchOptions(input: unknown): Checked<WatchOptions> {
  const parsed = watchOptionsSchema.safeParse(input);
  if (parsed.success) return { ok: true, value: parsed.data };
  return {
    ok: false,
    problems: parsed.error.issues.map(({ path, message }) => ({ field: path.join('.'), message })),
  };
}

/** Audiences held against what a worker knows: its source, and whether it has a folder for snapshots. */
export type PreparedWatch =
  | { readonly ok: false; readonly problems: readonly Problem[] }
  | { readonly ok: true; readonly audiences: readonly AudienceListing[] };

/** A sealed scan: who was a member, on disk under this id. */
export interface SnapshotRef {
  readonly id: string;
  readonly members: number;
  /** RFC 3339; when its round began. */
  readonly at: string;
}

/** Input of the activity `scanMembers`. */
export interface ScanRequest {
  /** Canonical id. */
  readonly audience: string;
  /** Names the snapshot that the scan makes. */
  readonly scanId: string;
  /** The snapshot to compare with; null: there is none. */
  readonly base: string | null;
  /** The scan of the round that is held; null: none is. */
  readonly held: string | null;
  /** Without a base: everybody enters. */
  readonly emitExisting: boolean;
  /** Snapshots that nobody needs any more, or everything that is there. */
  readonly obsolete: readonly string[] | 'all';
}

/** What a scan that came to its end found. */
export interface ScanReport {
  readonly members: number;
  readonly enters: number;
  /** Members of the base that it did not see. */
  readonly exits: number;
  /** Of those whom the held scan did not see: how many this one saw. */
  readonly back: number;
  /** Of those whom it did not see: how many the held scan had seen. */
  readonly gone: number;
  /** False: there is nothing of the held scan here. */
  readonly heldFound: boolean;
}

/** What the source said of each exit by itself. */
export interface ConfirmedChanges {
  readonly enters: number;
  readonly exits: number;
  /** Not seen by the scan, and members all the same. */
  readonly stayed: number;
}

/** What `emitChanges` came to. */
export interface EmissionReport {
  /** Jobs that were told. */
  readonly jobs: number;
  /** Running jobs that are encrypted with a key which is not here; whether they listen is not known. */
  readonly unreadable: readonly string[];
}

/** A round that came to its end. */
export interface WatchRound {
  /** RFC 3339; when it began, and the `at` of its triggers. */
  readonly at: string;
  readonly members: number;
  readonly enters: number;
  readonly exits: number;
  /** Whom the scan did not see, and who are members by the source's word. */
  readonly stayed: number;
  /** From its begin until every job was told. */
  readonly durationMs: number;
  /** True: there was nothing to compare with. */
  readonly isBaseline: boolean;
  readonly told: EmissionReport;
}

/** Changes that are on disk and belong to the jobs: they are told until each has them. */
export interface PendingRound {
  readonly snapshot: SnapshotRef;
  readonly changes: ConfirmedChanges;
  readonly isBaseline: boolean;
  /** Epoch ms. */
  readonly startedAt: number;
}

/** A round that would have told many that they left, and was not believed yet. */
export interface HeldRound {
  readonly scan: SnapshotRef;
  readonly exits: number;
}

/** What goes wrong at the moment. */
export interface WatchTrouble {
  /** RFC 3339; since then no round came to its end. */
  readonly since: string;
  /** Failures in a row. */
  readonly failures: number;
  /** Of these, how many in a row found no snapshot where it should be. */
  readonly notHere: number;
  /** What the last one said. */
  readonly reason: string;
}

/** Input of the workflow `watchAudience`, and what it carries through continue-as-new. */
export interface WatchState {
  readonly v: 1;
  readonly audience: Audience;
  readonly options: WatchOptions;
  /** Rounds that came to their end. */
  readonly rounds: number;
  /** Triggers told since the watch began. */
  readonly enters: number;
  readonly exits: number;
  readonly snapshot?: SnapshotRef;
  readonly pending?: PendingRound;
  readonly held?: HeldRound;
  /** True: somebody says that what is held is right. */
  readonly isAccepted?: boolean;
  readonly last?: WatchRound;
  readonly trouble?: WatchTrouble;
  /** Set when a snapshot was lost: what changed between these times (RFC 3339) was told to nobody. */
  readonly missed?: { readonly from: string; readonly to: string };
  /** `at` of the last round that began. */
  readonly lastAt?: string;
  /** When the next round begins, epoch ms. */
  readonly nextAt?: number;
  /** Snapshots to be removed by the next scan; absent in a watch that has not scanned yet: all. */
  readonly obsolete?: readonly string[];
}

/** `scanning`, `confirming` and `telling` are the parts of a round; between rounds it is `waiting`, `held` or `failing`. */
export type WatchPhase = 'scanning' | 'confirming' | 'telling' | 'waiting' | 'held' | 'failing' | 'stopped';

/** How a watch is doing. */
export interface WatchStatus {
  readonly v: 1;
  readonly state: WatchPhase;
  readonly audience: Audience;
  readonly everyMs: number;
  readonly emitExisting: boolean;
  readonly largestExitPercent: number;
  readonly rounds: number;
  readonly enters: number;
  readonly exits: number;
  /** By the last round that counts; absent before the first. */
  readonly members?: number;
  readonly last?: WatchRound;
  /** RFC 3339; absent while a round is under way, and after the end. */
  readonly nextAt?: string;
  /** Held: how many would leave, and since when that has been seen (RFC 3339). */
  readonly held?: { readonly exits: number; readonly members: number; readonly at: string };
  readonly trouble?: WatchTrouble;
  readonly missed?: { readonly from: string; readonly to: string };
}
