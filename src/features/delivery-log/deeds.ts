import type { LoggedDeed } from '../../contract/audit.ts';
import { definedOf } from '../../domain/json.ts';
import { deadLetterId } from '../../domain/names.ts';
import { shownText } from '../../domain/mask-url.ts';
import { conditionsOf, cursorOf, equal, readCursor } from './delivery-query.ts';
import type { StoredDeed } from './delivery-store.ts';
import { type Dialect, inMilliseconds, listed, raw, type Sql, sql, type SqlRow, textOf, where } from './log-sql.ts';
import { DEEDS, insertRows, selected } from './tables.ts';
import type { DeliveryFilter } from './delivery.ts';

/**
 * The statement that adds deeds, and returns their ids. One with a known id takes its place: Temporal had the step that told it done again. A statement
 * cannot add the same id twice.
 */
export function addDeeds(dialect: Dialect, deeds: readonly StoredDeed[]): Sql {
  const set = Object.keys(DEEDS).map((column) => `${column} = excluded.${column}`);
  const last = new Map(deeds.map((deed) => [deed[0], deed])).values();
  return sql`${insertRows(dialect, 'deeds', DEEDS, [...last])}
    ON CONFLICT (id) DO UPDATE SET ${raw(set.join(', '))} RETURNING id`;
}

/**
 * A deed, to be kept.
 * @param id in the order of deeds of the same time. @param seal encrypts what people wrote; undefined: it is kept as it is.
 */
export function storedDeed(id: string, deed: LoggedDeed, seal: ((text: string) => string) | undefined): StoredDeed {
  const { at, jobId, kind, target, action, who, door, reason, ...details } = deed;
  // The client masks URLs, too. Others ask Temporal themselves.
  const [asker, why] = [who, reason].map((text) => text && shownText(text));
  const sealed = (text: string | undefined): string | undefined => (text === undefined ? text : (seal?.(text) ?? text));
  const values = [id, inMilliseconds(at), jobId, kind, target, action, asker, door];
  return [...values, sealed(why), sealed(JSON.stringify(details))].map((value) => textOf(value ?? null));
}

/** The statement for a page of deeds, newest first, and one more. */
export function deedsQuery(
  dialect: Dialect,
  { who, targets, deadLettersOf, ...filter }: DeedFilter,
  limit: number,
  after?: string,
): Sql {
  const [at, , id] = (after === undefined ? undefined : readCursor(after)) ?? [];
  const conditions = where([
    ...conditionsOf(filter),
    equal('who', who),
    targets && sql`target IN (${listed(targets)})`,
    deadLettersOf === undefined ? sql`kind <> 'one of many'` : ofDeadLetters(deadLettersOf),
    at === undefined || id === undefined ? undefined : sql`(at, id) < (${at}, ${id})`,
  ]);
  return sql`SELECT ${selected(dialect, Object.keys(DEEDS))} FROM deeds ${conditions}
    ORDER BY deeds.at DESC, id DESC LIMIT ${limit + 1}`;
}

/** Ids of deliveries have hex digits alone. */
function ofDeadLetters(deliveryIds: readonly string[]): Sql {
  const names = deliveryIds.map((id) => sql`target LIKE ${deadLetterId(id, '%')}`);
  return sql`kind IN ('dead letter', 'one of many') AND (${listed(names, ' OR ')})`;
}

/** The page, from the rows of that statement. @param open undoes `seal`; undefined: it cannot. */
export function deedPage(rows: readonly SqlRow[], limit: number, open: (text: string) => string | undefined): DeedPage {
  const last = rows.length > limit ? rows[limit - 1] : undefined;
  return {
    entries: rows.slice(0, limit).map((row) => deedOf(row, open)),
    ...(last === undefined ? {} : { next: cursorOf(String(last['at']), 0, String(last['id'])) }),
  };
}

function deedOf(row: SqlRow, open: (text: string) => string | undefined): LoggedDeed {
  const { at, job_id: jobId, kind, target, action, who, door, reason, details } = row;
  const deed = { at, kind, target, jobId: jobId ?? undefined, action, who: who ?? undefined, door };
  const why = reason === null ? undefined : open(String(reason));
  // A program of ours wrote it.
  return definedOf({ ...deed, reason: why, ...JSON.parse(open(String(details)) ?? '{}') }) as unknown as LoggedDeed;
}

/** Which deeds are wanted. Everything must hold; of no job are only those without a filter by job. */
export interface DeedFilter extends Pick<DeliveryFilter, 'jobId' | 'onlyJobs' | 'since' | 'until'> {
  readonly who?: string | undefined;
  readonly targets?: readonly string[] | undefined;
  /** Only decisions about dead letters of these deliveries, by their ids. */
  readonly deadLettersOf?: readonly string[] | undefined;
}

export interface DeedPage {
  /** Newest first. */
  readonly entries: readonly LoggedDeed[];
  /** Where the next page begins; absent: there is none. */
  readonly next?: string;
}
