import { printable } from './printable.ts';

/** A title and rows as the small Markdown table that the Temporal UI shows with a workflow. At most 20,000 bytes (server limit). */
export function detailsTable(title: string, rows: readonly (readonly [name: string, value: string])[]): string {
  const lines = rows.map(([name, value]) => `| ${name} | ${cell(value)} |`);
  return [`**${cell(title)}**`, '', '| | |', '|---|---|', ...lines].join('\n').slice(0, 6000).toWellFormed();
}

/** A whole number for people: 12,345 */
export function shownCount(n: number): string {
  return String(n).replaceAll(/\B(?=(?:\d{3})+$)/g, ',');
}

/** An RFC 3339 time in UTC for people, to the second; any other text as it is. */
export function shownTime(at: string): string {
  return /^[\d-]{10}T[\d:]{8}(?:\.\d+)?Z$/.test(at) ? `${at.slice(0, 19).replace('T', ' ')} UTC` : at;
}

/** Text that cannot break the table or become markup, since answers of endpoints are shown here too. */
function cell(text: string): string {
  const shown = printable(text.replaceAll(/[\r\n]+/g, ' ')).replaceAll(/[|\\`<>[\]*_~&]/g, (mark) => `\\${mark}`);
  // The UI turns two hyphens into a dash, so an option could no longer be copied.
  return shown.replaceAll('--', String.raw`\-\-`);
}
