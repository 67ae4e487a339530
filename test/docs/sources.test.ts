import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { withReferences } from '../../src/config/references.ts';
import { sourceSchema } from '../../src/config/source-config.ts';
import { isRecord } from '../../src/domain/json.ts';

/** What the pages take from variables. */
const ENV = new Proxy<NodeJS.ProcessEnv>(
  {},
  { get: (_, name) => (name === 'DATABASE_URL' ? 'postgres://a@b/c' : 'x') },
);

const folder = fileURLToPath(new URL('../../docs/sources/', import.meta.url));

test.each(readdirSync(folder))('the configurations that %s shows are right', (file) => {
  const blocks = [...readFileSync(folder + file, 'utf8').matchAll(/^```json\n(.*?)^```$/gms)].map(
    ([, text = '']) => text,
  );
  const sources = blocks.filter((text) => text.includes('"source":')).map((text): unknown => JSON.parse(text));
  expect(sources).not.toEqual([]);
  for (const shown of sources) {
    const source = isRecord(shown) ? withReferences(shown['source'], { env: ENV, folder }) : undefined;
    const { error } = sourceSchema.safeParse(source);
    expect(error?.issues).toBeUndefined();
  }
});
