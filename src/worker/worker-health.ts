import type { Expiring } from '../client/calls/expiring.ts';

/** The parts that a worker may have a problem with. */
export type WorkerPart = 'polling' | 'temporal' | 'source' | 'configuration' | 'payloadKeys' | 'deliveryLog';

/** A worker's answer about itself. */
export interface WorkerHealth {
  /** As Temporal names it: `1234@host`. */
  readonly worker: string;
  readonly release: string;
  /** Epoch ms, by its clock. */
  readonly nowMs: number;
  /** The keys that it can decode with: `<key id>/<check>`. */
  readonly payloadKeys: readonly string[];
  /** The names of its authorizations. */
  readonly authorizations: readonly string[];
  /** By the names of its authorizations: alike in workers where the authorization is the same. Absent: an earlier release. */
  readonly fingerprints?: Readonly<Record<string, string>> | undefined;
  readonly hasDeliveryLog: boolean;
  /** In words. */
  readonly problems: Partial<Readonly<Record<WorkerPart, string>>>;
  /** Where it writes, and how much room is left there, or why it cannot write there (`ENOTDIR`, `EROFS`). */
  readonly disks: readonly ({ readonly folder: string } & (
    { readonly freeBytes: number } | { readonly code: string }
  ))[];
  readonly expiring: readonly Expiring[];
}
