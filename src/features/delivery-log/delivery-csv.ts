import type { DeliveryRow } from './delivery.ts';
import { DELIVERY_FIELDS } from './tables.ts';

const FIELDS = DELIVERY_FIELDS.flatMap(({ field }) => (field === 'sequence' || field === 'exchange' ? [] : [field]));

export const CSV_HEAD = FIELDS.join(',');

/** A delivery as a line of CSV (RFC 4180), without its end. */
export function csvLine(row: DeliveryRow): string {
  return FIELDS.map((field) => cell(row[field])).join(',');
}

/**
 * Spreadsheets run a cell that begins so as a formula, and an endpoint chooses its answers. Where lists are separated by semicolons, quotes within a
 * line mean nothing, and a semicolon or the end of a line begins a cell.
 */
const FORMULA = /(^|[;\t\n\r])(?=\s*[=+\-@＝＋－＠])/g;

function cell(value: string | number | undefined): string {
  if (typeof value !== 'string') return value === undefined ? '' : String(value);
  const text = value.replaceAll(FORMULA, "$1'");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
