// Statements are templates. A query builder (kysely) was tried: it took twice the lines, and half of them were SQL all the same.

type Value = string | number | null;

/** A statement or a part of one. A `?` stands for each value. */
export interface Sql {
  readonly text: string;
  readonly values: readonly Value[];
}

/** Makes SQL of a template, which contains other SQL, or values. */
export function sql(texts: readonly string[], ...parts: readonly (Sql | Value)[]): Sql {
  let [text = ''] = texts;
  const values: Value[] = [];
  for (const [i, part] of parts.entries()) {
    const isSql = typeof part === 'object' && part !== null;
    text += (isSql ? part.text : '?') + texts[i + 1];
    if (isSql) values.push(...part.values);
    else values.push(textOf(part));
  }
  return { text, values };
}

/** SQL of a text of ours. */
export function raw(text: string): Sql {
  return { text, values: [] };
}

/** SQL or values, one after the other. PostgreSQL knows no empty list. */
export function listed(parts: readonly (Sql | Value)[], separator = ', '): Sql {
  const all = parts.length === 0 ? [sql`NULL`] : parts.map((part) => sql`${part}`);
  return { text: all.map(({ text }) => text).join(separator), values: all.flatMap(({ values }) => values) };
}

/** The conditions that there are. */
export function where(conditions: readonly (Sql | undefined)[]): Sql {
  return sql`WHERE ${listed([sql`true`, ...conditions.filter((one) => one !== undefined)], ' AND ')}`;
}

/** PostgreSQL has no NUL in its texts, and SQLite ends them there. Rows are written and found in the same way. */
export function textOf<T>(value: T): T | string {
  return typeof value === 'string' ? value.replaceAll('\0', '\uFFFD').toWellFormed() : value;
}

/** A row as a database gives it. */
export type SqlRow = Readonly<Record<string, string | number | null>>;

/** The parts that databases write in different ways. */
export interface Dialect {
  /** Types of columns. All others have the same name everywhere. */
  readonly types: { readonly time: string; readonly id: string };
  /** A time as RFC 3339. */
  timeText(column: string): Sql;
  minuteBefore(column: string): Sql;
  /** The instant that a text of RFC 3339 names: whole seconds, and the fraction of the next one. */
  instantOf(column: string): readonly [seconds: Sql, fraction: Sql];
  /** The rows of a JSON list, each as a `value`. */
  elementsOf(json: string): Sql;
}

/** The database of a delivery log, as it is read. */
export interface LogSql extends Dialect {
  /**
   * Returns nothing as long as no worker has made the tables.
   * @throws DeliveryLogError
   */
  query(query: Sql): Promise<readonly SqlRow[]>;
  /** Asks writers to say how far they have written. Absent: they say it every second. */
  ask?(): Promise<void>;
  close(): Promise<void>;
}

/** The expression for a text of RFC 3339 without its fraction of a second. */
export function secondsOf(column: string): string {
  return `substr(${column}, 1, 19) || ltrim(substr(${column}, 20), '.0123456789')`;
}

/** SQLite compares texts, so that all times need the same form. */
export function inMilliseconds(time: string): string {
  return new Date(time).toISOString();
}
