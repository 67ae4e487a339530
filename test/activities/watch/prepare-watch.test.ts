import { expect, test } from '@jest/globals';
import { createPrepareWatch } from '../../../src/activities/watch/prepare-watch.ts';
import { MemorySource } from '../../support/memory-source.ts';
import { VIP } from './a-watch.ts';

const source = new MemorySource({ audiences: [{ ...VIP, members: ['1'] }] });

test('audiences are resolved by slug and id, each once', async () => {
  const prepare = createPrepareWatch({ source, watchFolder: '/somewhere' });
  expect(await prepare(['vip', VIP.id])).toEqual({ ok: true, audiences: [{ ...VIP, size: 1 }] });
});

test('a worker without a folder cannot watch, and says so with everything else that is wrong', async () => {
  const prepared = await createPrepareWatch({ source, watchFolder: undefined })(['vips', 'vip']);
  expect(prepared).toMatchObject({
    ok: false,
    problems: [
      { field: 'watch.folder', message: expect.stringContaining('TRIGGERS_WATCH_FOLDER') },
      { field: 'audiences[0]', message: expect.stringContaining('Did you mean "vip"?') },
    ],
  });
});
