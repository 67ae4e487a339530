import type { DeedFilter, DeedPage, LoggedDeed } from '../contract/audit.ts';
import { definedOf } from '../domain/json.ts';
import { deadLetterId } from '../domain/names.ts';
import { shownText } from '../domain/mask-url.ts';
import { conditionsOf, cursorOf, inMilliseconds, newValues, readCursor, textOf } from './delivery-query.ts';
import type { StoredDeed } from './delivery-store.ts';
import type { SqlQuery, SqlRow, TimeText } from './log-sql.ts';

export const DEED_COLUMNS = ['id', 'at', 'job_id', 'kind', 'target', 'action', 'who', 'door', 'reason', 'details'];

/** Makes the table, unless it is there. @param time the type of times. */
export function makeDeeds(time: 'timestamptz' | 'TEXT'): string {
  return `
CREATE TABLE IF NOT EXISTS deeds (
  id TEXT PRIMARY KEY, at ${time} NOT NULL, job_id TEXT, kind TEXT NOT NULL, target TEXT NOT NULL,
  action TEXT NOT NULL, who TEXT, door TEXT NOT NULL, reason TEXT, details TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS deeds_at ON deeds (at, id);
CREATE INDEX IF NOT EXISTS deeds_who ON deeds (who, at, id);
CREATE INDEX IF NOT EXISTS deeds_job ON deeds (job_id, at, id);`;
}

/**
 * The statement that adds deeds. One with a known id takes its place: Temporal had the step that told it done again.
 * @param elements the expression for those of a JSON list. @param toTime casts a text to a time.
 */
export function addDeeds(elements: string, toTime = ''): string {
  const values = DEED_COLUMNS.map((column, i) => (column === 'at' ? `(value ->> ${i})${toTime}` : `value ->> ${i}`));
  const set = DEED_COLUMNS.map((column) => `${column} = excluded.${column}`).join(', ');
  return `INSERT INTO deeds (${DEED_COLUMNS.join(', ')}) SELECT ${values.join(', ')} FROM ${elements} WHERE true
ON CONFLICT (id) DO UPDATE SET ${set}`;
}

/** The statement that adds one deed, or gives one with this id other details. */
export function addDeed(deed: StoredDeed): SqlQuery {
  const places = deed.map((_, i) => `$${i + 1}`).join(', ');
  const text = `INSERT INTO deeds (${DEED_COLUMNS.join(', ')}) VALUES (${places})
ON CONFLICT (id) DO UPDATE SET details = excluded.details RETURNING id`;
  return { text, values: deed };
}

/** The value of that statement. A statement cannot add the same id twice. */
export function deedsJson(deeds: readonly StoredDeed[]): string {
  return JSON.stringify([...new Map(deeds.map((deed) => [deed[0], deed])).values()]);
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
  // PostgreSQL refuses what is no text.
  return [...values, sealed(why), sealed(JSON.stringify(details))].map((value) =>
    value === undefined ? null : String(textOf(value)).toWellFormed(),
  );
}

/** The statement for a page of deeds, newest first, and one more. */
export function deedsQuery(
  sql: TimeText,
  { who, targets, deadLettersOf, ...filter }: DeedFilter,
  limit: number,
  after?: string,
): SqlQuery {
  const { values, value } = newValues();
  const [at, , id] = (after === undefined ? undefined : readCursor(after)) ?? [];
  const where = [
    'true',
    ...conditionsOf(filter, value),
    ...(who === undefined ? [] : [`who = ${value(who)}`]),
    ...(targets === undefined ? [] : [`target IN (${targets.map(value).join(', ') || 'NULL'})`]),
    deadLettersOf === undefined ? "kind <> 'one of many'" : ofDeadLetters(deadLettersOf, value),
    ...(at === undefined || id === undefined ? [] : [`(at, id) < (${value(at)}, ${value(id)})`]),
  ];
  const selected = DEED_COLUMNS.map((column) => (column === 'at' ? `${sql.timeText('at')} AS at` : column));
  return {
    text: `SELECT ${selected.join(', ')} FROM deeds WHERE ${where.join(' AND ')} ORDER BY deeds.at DESC, id DESC LIMIT ${value(limit + 1)}`,
    values,
  };
}

/** Ids of deliveries have hex digits alone. */
function ofDeadLetters(deliveryIds: readonly string[], value: (one: string) => string): string {
  const names = deliveryIds.map((id) => `target LIKE ${value(deadLetterId(id, '%'))}`);
  return `kind IN ('dead letter', 'one of many') AND (${names.join(' OR ') || 'false'})`;
}

/** The page, from the rows of that statement. @param open undoes `seal`; undefined: it cannot. */
export function deedPage(rows: readonly SqlRow[], limit: number, open: (text: string) => string | undefined): DeedPage {
  const last = rows.length > limit ? rows[limit - 1] : undefined;
  return {
    entries: rows.slice(0, limit).map((row) => deedOf(row, open)),
    ...(last === undefined ? {} : { next: cursorOf([String(last['at']), 0, String(last['id']), 0]) }),
  };
}

function deedOf(row: SqlRow, open: (text: string) => string | undefined): LoggedDeed {
  const { at, job_id: jobId, kind, target, action, who, door, reason, details } = row;
  const deed = { at, kind, target, jobId: jobId ?? undefined, action, who: who ?? undefined, door };
  const why = reason === null ? undefined : open(String(reason));
  // A program of ours wrote it.
  return definedOf({ ...deed, reason: why, ...JSON.parse(open(String(details)) ?? '{}') }) as unknown as LoggedDeed;
}
