import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { sourceSchema } from '../../src/config/source-config.ts';
import { isRecord } from '../../src/domain/json.ts';

/** Something in the place of what the pages take from variables and files. */
const filledIn = (text: string): string =>
  text.replaceAll('${env:DATABASE_URL}', 'postgres://a@b/c').replaceAll(/\$\{(?:env|file):[^}]+\}/g, 'x');

const folder = fileURLToPath(new URL('../../docs/sources/', import.meta.url));

test.each(readdirSync(folder))('the configurations that %s shows are right', (file) => {
  const blocks = [...readFileSync(folder + file, 'utf8').matchAll(/^```json\n(.*?)^```$/gms)].map(
    ([, text = '']) => text,
  );
  const sources = blocks
    .filter((text) => text.includes('"source":'))
    .map((text): unknown => JSON.parse(filledIn(text)));
  expect(sources).not.toEqual([]);
  for (const shown of sources) {
    const { error } = sourceSchema.safeParse(isRecord(shown) ? shown['source'] : undefined);
    expect(error?.issues).toBeUndefined();
  }
});
