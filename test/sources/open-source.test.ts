import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { sourceSchema } from '../../src/config/source-config.ts';
import { openSource } from '../../src/sources/open-source.ts';
import { startProxy } from '../webhook/a-proxy.ts';
import { afterwards } from '../webhook/a-server.ts';
import { startJsonServer } from './a-json-server.ts';

test('what a file source skips is told', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'source-'));
  afterwards(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, 'audiences'));
  await writeFile(join(folder, 'profiles.ndjson'), 'x\n');
  const told: string[] = [];
  const onProblem = (text: string): number => told.push(text);
  const source = await openSource(sourceSchema.parse({ kind: 'file', folder, quietMs: 0 }), { network: {}, onProblem });
  afterwards(() => source.close());
  await source.profiles(['1']);
  expect(told).toEqual([expect.stringMatching(/^profiles\.ndjson, line 1/)]);
});

test.each<[kind: string, settings: object]>([
  ['lytics', { token: 't', userField: '_uid' }],
  ['http', { audiences: { url: '/v2/segment', items: 'data', id: 'id' }, members: { url: '/{audience}' } }],
])(
  '[S12] a %s source is asked at the address that is named, through the proxy of the worker, or past it',
  async (kind, settings) => {
    const service = await startJsonServer(() => ({ json: { status: 200, data: [] } }));
    const proxy = await startProxy();
    const asked = async (more: object): Promise<void> => {
      const config = sourceSchema.parse({ kind, url: service.url, ...settings, ...more });
      const source = await openSource(config, { network: { proxy: proxy.url }, onProblem: () => undefined });
      afterwards(() => source.close());
      expect(await source.audiences()).toEqual([]);
    };
    await asked({});
    expect(proxy.asked).toEqual([new URL(service.url).host]);
    await asked({ throughProxy: false });
    expect(proxy.asked).toHaveLength(1);
    expect(service.asked).toHaveLength(2);
  },
);
