import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { request } from 'undici';
import { type ApiServer, startApi } from '../../src/api/api-server.ts';
import type { WatchStatus } from '../../src/client/export-jobs.ts';
import { Lab } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';

const HOUR_MS = 3_600_000;
/** For this file alone, since a watch signals to every listening job of the server. */
const id = randomUUID().replaceAll('-', '');
const WATCHED = { id, slug: `watched-${id}`, name: 'Watched', windowMinutes: 30 };
const MEMBERS = Array.from({ length: 40 }, (_, i) => `member-${i}`);
const folder = mkdtempSync(join(tmpdir(), 'api-watches-'));

let lab: Lab;
let api: ApiServer;

beforeAll(async () => {
  lab = await Lab.open({
    content: { audiences: [{ ...WATCHED, members: MEMBERS }], profiles: {} },
    config: { watch: { folder } },
  });
  const { client, jobs, taskQueue } = lab;
  const log = { error: () => undefined, warn: () => undefined };
  api = await startApi({ client, jobs, taskQueue, keys: {}, host: '127.0.0.1', port: 0, page: false, log });
});
afterAll(async () => {
  await lab.jobs.watches.stop(WATCHED.id).catch(() => undefined);
  await api.close();
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
});

/** With a body, or to change something, by POST. */
async function ask(path: string, { body, method = 'GET' }: { body?: object; method?: 'GET' | 'POST' } = {}) {
  const answer = await request(`${api.url}/v1/watches${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  return { status: answer.statusCode, body: (await answer.body.json()) as Answer };
}

interface Answer extends WatchStatus {
  readonly watches: readonly { readonly audience: { readonly id: string }; readonly status: WatchStatus }[];
}

const POST = { method: 'POST' } as const;
const start = async (body: object) => await ask('', { ...POST, body });
const statusWhen = async (isAsWanted: (status: WatchStatus) => boolean): Promise<WatchStatus> =>
  await answerWhen(async () => (await ask(`/${WATCHED.slug}`)).body, isAsWanted);

test('all that is wrong with a watch is said at once, and nothing is watched', async () => {
  expect(await start({ audiences: [WATCHED.slug], everyMs: 5, largestExitPercent: 0, evry: 1 })).toMatchObject({
    status: 422,
    body: {
      code: 'InvalidWatch',
      problems: [{ field: 'everyMs' }, { field: 'largestExitPercent' }, { field: 'evry' }],
    },
  });
  for (const audiences of [undefined, [], 'vip', [7]])
    expect(await start({ audiences })).toMatchObject({ status: 422, body: { problems: [{ field: 'audiences' }] } });
  expect(await start([WATCHED.slug])).toMatchObject({ status: 422, body: { code: 'InvalidRequest' } });
  expect(await start({ audiences: ['no-such-audience'] })).toMatchObject({
    status: 422,
    body: { code: 'InvalidWatch' },
  });
  expect(await ask(`/${WATCHED.slug}`)).toMatchObject({ status: 404, body: { code: 'WatchNotFound' } });
});

test('an audience is watched, read when asked, believed, watched otherwise, and watched no more', async () => {
  const begun = await start({ audiences: [WATCHED.slug], everyMs: HOUR_MS });
  expect(begun).toMatchObject({
    status: 200,
    body: {
      watches: [
        {
          isNew: true,
          status: { everyMs: HOUR_MS, emitExisting: false, largestExitPercent: 20 },
          warnings: [expect.stringContaining('looks back over 30 minutes')],
        },
      ],
    },
  });
  await statusWhen(({ rounds }) => rounds === 1);

  // So many leave that it is held until somebody believes it.
  for (const user of MEMBERS.slice(0, 20)) lab.source.exit(WATCHED.id, user);
  expect((await ask(`/${WATCHED.slug}/now`, POST)).status).toBe(200);
  await statusWhen(({ state }) => state === 'held');
  // Some are back, so that it would be held again by whoever only looks once more.
  for (const user of MEMBERS.slice(0, 5)) lab.source.enter(WATCHED.id, user);
  expect(await ask(`/${WATCHED.id}/accept`, POST)).toMatchObject({ status: 200, body: { held: { exits: 20 } } });
  await statusWhen(({ rounds, exits }) => rounds === 2 && exits === 15);

  const changed = await start({ audiences: [WATCHED.id], largestExitPercent: 50 });
  expect(changed.body.watches).toMatchObject([
    { isNew: false, status: { everyMs: HOUR_MS, largestExitPercent: 50, rounds: 2 } },
  ]);
  expect((await ask('')).body.watches.find(({ audience }) => audience.id === WATCHED.id)).toMatchObject({
    audience: { slug: WATCHED.slug },
    status: { largestExitPercent: 50 },
  });

  expect(await ask(`/${WATCHED.slug}/stop`, POST)).toMatchObject({ status: 200, body: { state: 'stopped' } });
  for (const name of ['now', 'accept', 'stop'])
    expect(await ask(`/${WATCHED.slug}/${name}`, POST)).toMatchObject({
      status: 404,
      body: { code: 'WatchNotFound', remedies: [{ action: 'listWatches', request: 'GET /v1/watches' }] },
    });
});
