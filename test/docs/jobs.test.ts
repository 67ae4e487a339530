import { writeFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { FORM, type FormField } from '../../src/domain/form-fields.ts';
import { FORM_FIELDS } from '../../src/domain/job-form.ts';
import { readPage } from './pages.ts';

const PAGE = 'docs/jobs.md';
const TABLE = /\| field +\| what it is.*\n(?:\|.*\n)+/;

/** WRITE_FORM_TABLE=1 writes it. */
test('the table of the form says of every field what the code says', () => {
  const rows = FORM_FIELDS.map((field) => `| \`${field}\` | ${told(FORM[field])} | ${usual(FORM[field])} |`);
  const table = ['| field | what it is | default |', '| --- | --- | --- |', ...rows, ''].join('\n');
  const page = readPage(PAGE);
  if (process.env['WRITE_FORM_TABLE'] === '1')
    writeFileSync(
      new URL(`../../${PAGE}`, import.meta.url),
      page.replace(TABLE, () => table),
    );
  else expect(cellsOf(TABLE.exec(page)?.[0] ?? '')).toEqual(cellsOf(table));
});

function told({ what, without, input, default: byDefault = null }: FormField): string {
  const first = input.kind === 'flag' && input.on !== true ? `${json(input.on)}: ` : '';
  return `${first}${what}${without === undefined ? '' : `; ${json(byDefault)}: ${without}`}`;
}

function usual({ default: byDefault, isOptional }: FormField): string {
  if (byDefault !== undefined) return json(byDefault);
  return isOptional === true ? '' : 'required';
}

const json = (value: unknown): string => `\`${JSON.stringify(value)}\``;

/** Without the spaces and dashes that only line the columns up. */
function cellsOf(table: string): string[] {
  return table.split('\n').map((line) => line.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---'));
}
