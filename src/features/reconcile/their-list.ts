import { InvalidList } from './errors.ts';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CsvError, type Info, parse } from 'csv-parse';
import type { Problem } from '../../contract/export-job.ts';
import type { Json } from '../../contract/trigger.ts';
import { codeOf } from '../../domain/errors.ts';
import { doubledKey } from '../../domain/json-scan.ts';
import { isRecord, parseJson, parseJsonAsWritten } from '../../domain/json.ts';
import { MAX_USER_LENGTH } from '../../domain/trigger.ts';
import { inputLines, UnreadableLine } from '../../client/push/trigger-lines.ts';

export const LIST_FORMATS = ['lines', 'ndjson', 'csv'] as const;
/** How a list of people's ids is written. */
export type ListFormat = (typeof LIST_FORMATS)[number];

export interface ListOptions {
  readonly format: ListFormat;
  /** The column of a CSV, or the key of JSON objects, with the ids. Default: the only one that is called `user`, `id` or the like. */
  readonly column?: string | undefined;
}

/** The usual names of a column or key with people's ids. */
const USUAL = ['user', 'id', 'user_id', 'userid'];
/** How many wrong lines are named. */
const NAMED = 10;
const MOST_RECORD_CHARACTERS = 1024 * 1024;

/** An id, or why there is none. */
type IdReading = { readonly ok: true; readonly id: string } | { readonly ok: false; readonly reason: string };

/**
 * Yields the ids of a list as they come; blank lines do not count. After a line without an id, it reads on to name the others too, but yields nothing
 * more. Memory: one chunk, and one line.
 * @throws InvalidList at its end, when there was such a line
 */
export async function* readTheirList(
  chunks: AsyncIterable<string | Uint8Array>,
  options: ListOptions,
): AsyncGenerator<string> {
  const problems: Problem[] = [];
  let wrong = 0;
  for await (const { line, reading } of options.format === 'csv' ? ofCsv(chunks, options) : ofLines(chunks, options)) {
    if (reading.ok && wrong === 0) yield reading.id;
    if (reading.ok) continue;
    wrong += 1;
    if (problems.length < NAMED) problems.push({ field: `line ${line}`, message: reading.reason });
  }
  if (wrong > 0) throw new InvalidList(problems, wrong);
}

interface ReadLine {
  readonly line: number;
  readonly reading: IdReading;
}

async function* ofLines(
  chunks: AsyncIterable<string | Uint8Array>,
  { format, column }: ListOptions,
): AsyncGenerator<ReadLine> {
  let line = 0;
  for await (const text of inputLines(chunks)) {
    line += 1;
    if (text instanceof UnreadableLine) yield { line, reading: no(text.reason) };
    else if (text.trim() !== '') yield { line, reading: format === 'lines' ? plainId(text) : jsonId(text, column) };
  }
}

function plainId(text: string): IdReading {
  const id = text.endsWith('\r') ? text.slice(0, -1) : text;
  if (/^\s*["{[]/.test(id)) return no('this looks like JSON: use the format ndjson');
  if (usualIn([id]).length > 0) return no('this looks like a column name: use the format csv');
  return edgedId(id);
}

function jsonId(text: string, column: string | undefined): IdReading {
  let value: Json;
  try {
    value = parseJson(text);
  } catch {
    return no('this is not JSON');
  }
  if (!isRecord(value)) return checkedId(typeof value === 'number' ? numberIn(text) : value);
  const doubled = doubledKey(text, 1);
  if (doubled !== undefined) return no(`it has "${doubled}" twice`);
  const keys = column === undefined ? usualIn(Object.keys(value)) : [column];
  const [key] = keys;
  if (key === undefined || keys.length > 1 || !Object.hasOwn(value, key)) return no(whichKey(keys, column));
  return checkedId(typeof value[key] === 'number' ? numberIn(text, key) : value[key]);
}

/** Returns a whole number as it is written; undefined for others: `1e3` and `1.0` are ambiguous. */
function numberIn(text: string, key?: string): unknown {
  const value = parseJsonAsWritten(text);
  const written = key !== undefined && isRecord(value) ? value[key] : value;
  return typeof written === 'string' && /^-?\d+$/.test(written) ? written : undefined;
}

function whichKey(keys: readonly string[], column: string | undefined): string {
  if (column !== undefined) return `there is no "${column}"`;
  return keys.length > 1
    ? `it has ${keys.map((key) => `"${key}"`).join(' and ')}: name the one with the ids (column)`
    : 'it has neither "user" nor "id": name the key with the ids (column)';
}

function usualIn(names: readonly string[]): string[] {
  return names.filter((name) => USUAL.includes(name.trim().toLowerCase()));
}

/** A long number as spreadsheets write it: `7.07603E+18`. */
const ROUNDED = /^\d(\.\d+)?E\+\d+$/;

/** Reads an id that has no marks at its beginning and end. */
function edgedId(id: string): IdReading {
  if (id !== id.trim())
    return no('the id begins or ends with a space; if that is part of it, write it as JSON (format ndjson)');
  return checkedId(id);
}

/** Control characters: the end of another column, most often. */
const CONTROL = /\p{Cc}/u;

/** Checks an id; a number keeps all its digits. */
function checkedId(value: unknown): IdReading {
  const id = typeof value === 'bigint' ? String(value) : value;
  if (typeof id !== 'string') return no('an id is text, or a whole number');
  if (CONTROL.test(id)) return no('the id has a control character, such as a tab');
  if (ROUNDED.test(id)) return no('this looks like an id that a spreadsheet has rounded: its digits are lost');
  if (id.length < 1 || id.length > MAX_USER_LENGTH) return no(`an id has 1 to ${MAX_USER_LENGTH} characters`);
  return id.isWellFormed() ? { ok: true, id } : no('the id is not valid Unicode');
}

function no(reason: string): IdReading {
  return { ok: false, reason };
}

/** The rows of a CSV, which begins with the names of its columns. */
async function* ofCsv(chunks: AsyncIterable<string | Uint8Array>, { column }: ListOptions): AsyncGenerator<ReadLine> {
  const parser = parse({ info: true, skip_empty_lines: true, max_record_size: MOST_RECORD_CHARACTERS });
  // Its failures are thrown here as well.
  const reading = pipeline(Readable.from(textOf(chunks)), parser);
  reading.catch(() => undefined);
  let place: number | undefined;
  try {
    for await (const row of parser as AsyncIterable<{ readonly record: string[]; readonly info: Info }>) {
      const { record, info } = row;
      if (place !== undefined) {
        yield { line: info.lines, reading: edgedId(record[place] ?? '') };
        continue;
      }
      const found = placeOf(record, column);
      if (typeof found === 'string') return yield { line: info.lines, reading: no(found) };
      place = found;
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    yield { line: lineOf(error), reading: no(CSV_WORDS[error.code] ?? `this is not CSV (${error.code})`) };
  }
}

const CSV_WORDS: Readonly<Partial<Record<string, string>>> = {
  CSV_RECORD_INCONSISTENT_FIELDS_LENGTH: 'this row has a different number of columns than the first one',
  CSV_QUOTE_NOT_CLOSED: 'a quote that opens here or before is never closed',
  CSV_MAX_RECORD_SIZE: 'this row is longer than 1 MiB: a quote before it may never be closed',
};

function lineOf(error: CsvError): number {
  const { lines } = error as CsvError & { readonly lines?: number }; // Its type lacks the field.
  return lines ?? 0;
}

/** Which column has the ids, or why that is not known. */
function placeOf(names: readonly string[], column: string | undefined): number | string {
  const matches = column === undefined ? usualIn(names) : names.filter((name) => name.trim() === column);
  const [name, ...more] = matches;
  if (name !== undefined && more.length === 0) return names.indexOf(name);
  if (names.length === 1 && name === undefined && names[0]?.includes(';') === true)
    return 'its columns are separated by ";": save it with "," instead';
  const shown = names
    .slice(0, NAMED)
    .map((one) => `"${one.slice(0, 50)}"`)
    .join(', ');
  return `the first row must name the columns, exactly one of them ${column === undefined ? 'user or id' : `"${column}"`}; it has ${shown}. Name the column with the ids (column), or use the format lines`;
}

/** The text of bytes in UTF-8, without its byte order mark. @throws InvalidList */
async function* textOf(chunks: AsyncIterable<string | Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  try {
    for await (const chunk of chunks)
      yield decoder.decode(typeof chunk === 'string' ? Buffer.from(chunk) : chunk, { stream: true });
    yield decoder.decode();
  } catch (error) {
    if (codeOf(error) !== 'ERR_ENCODING_INVALID_ENCODED_DATA') throw error;
    throw new InvalidList([{ field: '', message: 'this is not UTF-8' }], 1);
  }
}
