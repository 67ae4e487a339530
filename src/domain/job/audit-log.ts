import type { AuditChange, AuditEntry } from '../../contract/audit.ts';
import type { JobEdit } from '../../contract/export-job.ts';
import type { Json } from '../../contract/trigger.ts';
import { EDITABLE_FIELDS } from '../form.ts';
import { jsonBytes } from '../json.ts';
import type { Budgets } from '../limits.ts';

/** The fields that the edit to a revision replaced, with their whole values from before. */
interface Replaced {
  readonly revision: number;
  readonly fields: JobEdit;
}

/** The last entries of a job, and what its last edits replaced, oldest first; plain JSON. */
export interface CarriedAudit {
  readonly next: number;
  readonly entries: readonly AuditEntry[];
  readonly replaced: readonly Replaced[];
  /** The number of the last entry that the delivery log was told; absent: none. */
  readonly told?: number;
}

const MOST_ENTRIES = 50;
/** Longest value that an entry shows, and all of an edit together, in characters. */
const MOST_SHOWN = 200;
const MOST_SHOWN_OF_EDIT = 4_000;

/** The last deeds of people on a job. Only shown to people: decisions depend on nothing of it but its bytes. */
export class AuditLog {
  readonly #budgets: Pick<Budgets, 'auditBytes' | 'replacedBytes'>;
  #next: number;
  #entries: readonly AuditEntry[];
  #replaced: readonly Replaced[];
  /** The delivery log has yet to be told these; some may have gone from the entries. */
  #untold: readonly AuditEntry[];
  #bytes: number;
  /** The number of the first entry that this run adds. */
  readonly #firstOfRun: number;

  constructor(
    budgets: Pick<Budgets, 'auditBytes' | 'replacedBytes'>,
    carried: CarriedAudit = { next: 1, entries: [], replaced: [] },
  ) {
    this.#budgets = budgets;
    this.#next = carried.next;
    this.#firstOfRun = carried.next;
    this.#entries = carried.entries;
    this.#replaced = carried.replaced;
    this.#untold = carried.entries.filter(({ n }) => n > (carried.told ?? 0));
    this.#bytes = jsonBytes(carried);
  }

  /** Adds an entry; the oldest go. */
  add(entry: Omit<AuditEntry, 'n'>): void {
    const added = { n: this.#next++, ...entry };
    this.#untold = [...this.#untold, added];
    const counted = (one: AuditEntry) => this.#counted(one);
    this.#entries = newest([...this.#entries, added], MOST_ENTRIES, this.#budgets.auditBytes, counted);
    this.#count();
  }

  /** Keeps what the edit to this revision replaced. */
  keep(revision: number, fields: JobEdit): void {
    this.#replaced = newest([...this.#replaced, { revision, fields }], MOST_ENTRIES, this.#budgets.replacedBytes);
    this.#count();
  }

  /** The entries that the delivery log has yet to be told, oldest first; from then on it has been. */
  takeUntold(): readonly AuditEntry[] {
    const untold = this.#untold;
    this.#untold = [];
    return untold;
  }

  /** The oldest revision to which `takingBack` knows the way. */
  oldestRevision(current: number): number {
    return (this.#replaced[0]?.revision ?? current + 1) - 1;
  }

  /** The fields to change in the job as it is now, so that it is as it was at an earlier revision. */
  takingBack(revision: number, now: JobEdit): JobEdit {
    const later = this.#replaced.filter((one) => one.revision > revision);
    const then: JobEdit = Object.assign({}, now, ...later.toReversed().map(({ fields }) => fields));
    return pick(then, changedFields(now, then));
  }

  /** Newest first. */
  describe(): readonly AuditEntry[] {
    return this.#entries.toReversed();
  }

  carry(): CarriedAudit {
    return {
      next: this.#next,
      entries: this.#entries,
      replaced: this.#replaced,
      told: this.#next - 1 - this.#untold.length,
    };
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Counts as 0.1.0 does, since decisions depend on these bytes. */
  #count(): void {
    const entries = this.#entries.map((one) => this.#counted(one));
    this.#bytes = jsonBytes({ ...this.carry(), entries, told: undefined });
  }

  /** The entry as 0.1.0 would have added it. It counts all of an entry that an earlier run has handed on. */
  #counted(entry: AuditEntry): AuditEntry {
    if (entry.replay === undefined || entry.n < this.#firstOfRun) return entry;
    const { replay: _, ...counted } = entry;
    return counted;
  }
}

/** The editable fields that differ, in the order of the form. */
export function changedFields(before: JobEdit, after: JobEdit): (keyof JobEdit)[] {
  return EDITABLE_FIELDS.filter((field) => JSON.stringify(before[field]) !== JSON.stringify(after[field]));
}

export function pick(from: JobEdit, fields: readonly (keyof JobEdit)[]): JobEdit {
  return Object.fromEntries(fields.map((field) => [field, from[field] ?? null])) as JobEdit; // They are fields of it.
}

/** These fields before and after an edit, shortened. @param before, after the forms as people may see them */
export function shownChanges(fields: readonly (keyof JobEdit)[], before: JobEdit, after: JobEdit): AuditChange[] {
  const most = Math.min(MOST_SHOWN, Math.floor(MOST_SHOWN_OF_EDIT / (2 * fields.length)));
  const shown = (value: unknown): Json => {
    const text = typeof value === 'string' ? value : JSON.stringify(value ?? null);
    if (text.length > most) return `${text.slice(0, most)}…`.toWellFormed();
    return typeof value === 'string' ? value : (JSON.parse(text) as Json);
  };
  return fields.map((field) => ({ field, from: shown(before[field]), to: shown(after[field]) }));
}

/** The last ones, as many as fit. @param counted what of one counts */
function newest<T extends object>(
  all: readonly T[],
  most: number,
  mostBytes: number,
  counted = (one: T): T => one,
): readonly T[] {
  let bytes = 0;
  const over = all.toReversed().findIndex((one, index) => {
    bytes += jsonBytes(counted(one)) + 1;
    return index === most || bytes > mostBytes;
  });
  return over === -1 ? all : all.slice(all.length - over);
}
