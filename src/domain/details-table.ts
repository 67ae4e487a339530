import { printable } from './printable.ts';

/** A title and rows as the small Markdown table that the Temporal UI shows with a workflow. At most 20,000 bytes (server limit). */
export function detailsTable(title: string, rows: readonly (readonly [name: string, value: string])[]): string {
  const lines = rows.map(([name, value]) => `| ${name} | ${cell(value)} |`);
  return [`**${cell(title)}**`, '', '| | |', '|---|---|', ...lines].join('\n').slice(0, 6000).toWellFormed();
}

/** A text that cannot break the table or become markup: what an endpoint answered stands here too. */
function cell(text: string): string {
  return printable(text.replaceAll(/[\r\n]+/g, ' ')).replaceAll(/[|\\`<>[\]*_~&]/g, (mark) => `\\${mark}`);
}
