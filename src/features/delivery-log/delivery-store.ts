import type { DeliveryRow } from './delivery.ts';

/** A row as it is kept. */
export interface StoredRow extends DeliveryRow {
  /** An `Exchange` as JSON, or encrypted. */
  readonly exchange?: string | undefined;
}

/** A deed as it is kept: in the order of the columns. */
export type StoredDeed = readonly (string | null)[];

/** Where rows are kept. */
export interface DeliveryStore {
  /**
   * Keeps a batch, whole or not at all. With the number of a batch that it has, it does nothing. Returns how much it refused for good, and does not have.
   * @throws when the store is away, slow, or refuses it
   */
  write(batch: DeliveryBatch): Promise<number>;
  /** Calls back when a reader asks writers how far they are. Absent: readers cannot ask. */
  onAsked?(asked: () => void): void;
  /** Notes that the writer has ended, unless rows of it are lost. */
  close(lostRows?: number): Promise<void>;
}

/** Rows of one writer that are written together. */
export interface DeliveryBatch {
  /** From 1, without gaps. */
  readonly number: number;
  readonly rows: readonly StoredRow[];
  readonly deeds?: readonly StoredDeed[];
  /** How many rows the writer has dropped since the batch before, since its buffer was full. */
  readonly dropped: number;
  /** RFC 3339: with this batch, the log has all rows of the writer that are older. Default: now. */
  readonly wholeAt?: string;
  /** When workers of its task queue last asked Temporal for work, in epoch ms, by the names of their writers. */
  readonly polled?: ReadonlyMap<string, number> | undefined;
}
