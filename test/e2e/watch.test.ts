import { randomUUID } from 'node:crypto';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { request } from 'undici';
import type { Api } from '../../src/app/api.ts';
import type { WatchOptionsInput, WatchStatus } from '../../src/app/export-jobs.ts';
import { findHealth } from '../../src/features/doctor/health.ts';
import type { Finding } from '../../src/features/doctor/findings.ts';
import { watchWorkflowId } from '../../src/features/watch/sandbox/ports.ts';
import { startRecorder } from '../../demo/recorder.ts';
import { apiOf } from '../api/an-api.ts';
import { Lab, VIP } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { temporal } from '../support/temporal.ts';

const HOUR_MS = 3_600_000;
const numbered = (count: number) => Array.from({ length: count }, (_, i) => String(i));

let folder: string;
let lab: Lab;
/** For one test alone, since a watch signals to every listening job of the server. */
let audience: { readonly id: string; readonly slug: string; readonly name: string };

beforeEach(() => {
  folder = tempFolder();
  const id = randomUUID().replaceAll('-', '');
  audience = { id, slug: `slug-${id}`, name: 'Of one test' };
});
afterEach(async () => {
  await lab.jobs.watches.stop(audience.slug).catch(() => undefined);
  await lab.close();
});

async function open(members: readonly string[], workers = 1, alertsUrl?: string): Promise<void> {
  const profiles = Object.fromEntries([...members, 'new', 'late'].map((user) => [user, { user }]));
  lab = await Lab.open({
    content: {
      audiences: [
        { ...audience, members },
        { ...VIP, members: [] },
      ],
      profiles,
    },
    config: { watch: { folder }, alerts: { url: alertsUrl, authorization: null, backlogMinutes: 15 } },
    workers,
  });
}

/** Watches, and waits for the first round. Later ones are asked for. */
async function watch(options: WatchOptionsInput = {}): Promise<void> {
  const [asked] = await lab.jobs.watches.start([audience.slug], { everyMs: HOUR_MS, ...options });
  expect(asked?.isNew).toBe(true);
  await statusWhen(({ rounds }) => rounds === 1);
}

async function statusWhen(isAsWanted: (status: WatchStatus) => boolean): Promise<WatchStatus> {
  return await answerWhen(() => lab.jobs.watches.status(audience.id), isAsWanted);
}

/** A round from now on, to its end. */
async function round(): Promise<WatchStatus> {
  const { rounds } = await lab.jobs.watches.status(audience.id);
  await lab.jobs.watches.startRound(audience.id);
  return await statusWhen((status) => status.rounds > rounds);
}

/** What arrived at the lab's receiver, in order. */
function arrived(): string[] {
  return lab.receiver.ledger.entries.map(({ message }) => `${message?.event ?? ''} ${message?.user ?? ''}`);
}

async function arrives(count: number): Promise<void> {
  await lab.receiver.ledger.waitFor(({ entries }) => entries.length >= count);
}

/** The doctor's findings about this watch. */
async function unhealthy(): Promise<Finding[]> {
  const connection = { connectionOptions: {}, namespace: temporal.namespace };
  const found = await findHealth(lab.client, { taskQueue: lab.taskQueue, connection });
  return found.filter(({ check, problem }) => check === 'watches' && problem?.includes(audience.slug));
}

/** Starts a job that listens and is in the list, which is late. */
async function listener(): Promise<string> {
  return (await lab.listedWhen(await lab.start({ audiences: [audience.slug] }))).jobId;
}

test('every subscribing job gets enters and exits, from the second round on', async () => {
  await open(numbered(30));
  await Promise.all([listener(), listener()]);
  await watch();
  lab.source.enter(audience.id, 'new');
  lab.source.exit(audience.id, '7');
  const { last, members } = await round();
  expect([last, members]).toMatchObject([
    { enters: 1, exits: 1, stayed: 0, isBaseline: false, published: { jobs: 2 } },
    30,
  ]);
  await arrives(4);
  expect(arrived().sort()).toEqual(['enter new', 'enter new', 'exit 7', 'exit 7']);
  expect((await round()).last).toMatchObject({ enters: 0, exits: 0 });

  lab.source.exit(audience.id, 'new');
  await round();
  await arrives(6);
  expect(arrived().slice(4)).toEqual(['exit new', 'exit new']);
  const ids = new Set(lab.receiver.ledger.entries.map(({ deliveryId }) => deliveryId));
  expect(ids.size).toBe(6);
});

test('a terminated watch is not shown as waiting, and a reset continues from its snapshot', async () => {
  await open(['1', '2']);
  await listener();
  await watch();
  await lab.client.workflow.getHandle(watchWorkflowId(audience.id)).terminate('by mistake');
  await expect(lab.jobs.watches.status(audience.id)).rejects.toMatchObject({ name: 'WatchNotFound' });
  lab.source.exit(audience.id, '2');
  await lab.resetToLastTask(watchWorkflowId(audience.id));
  await round();
  await arrives(1);
  expect(arrived()).toEqual(['exit 2']);
});

test('a table that is half empty for a while makes nobody leave, and operators are alerted', async () => {
  const operators = await startRecorder({ keepBodies: true });
  await open(numbered(100), 1, operators.url);
  await listener();
  await watch();
  for (const user of numbered(50)) lab.source.exit(audience.id, user);
  await lab.jobs.watches.startRound(audience.id);
  const { held, state, members } = await statusWhen((status) => status.held !== undefined);
  expect([state, members, held]).toMatchObject(['held', 100, { exits: 50, members: 50 }]);
  expect(await unhealthy()).toMatchObject([{ state: 'warning', remedy: expect.stringContaining('--accept') }]);
  // It fills again, and is seen again before it is full: still not believed.
  for (const user of numbered(20)) lab.source.enter(audience.id, user);
  await lab.jobs.watches.startRound(audience.id);
  await statusWhen((status) => status.held?.exits === 30 && status.state === 'held');
  for (const user of numbered(50)) lab.source.enter(audience.id, user);
  lab.source.exit(audience.id, '99');
  expect((await round()).held).toBeUndefined();
  await arrives(1);
  const raised = () => operators.ledger.entries.map(({ body }) => JSON.parse(String(body)) as object);
  expect(await answerWhen(raised, (alerts) => alerts.length === 2)).toMatchObject([
    { number: 1, alert: 'watch-held', state: 'began', audience: { slug: audience.slug } },
    { number: 2, alert: 'watch-held', state: 'ended' },
  ]);
  await operators.close();
  expect(arrived()).toEqual(['exit 99']);
});

test('a watch waits for a missing snapshot; it reports a lost one, and does not publish the difference', async () => {
  await open(numbered(30));
  await listener();
  await watch();
  renameSync(folder, `${folder}-away`);
  mkdirSync(folder);
  lab.source.exit(audience.id, '1');
  for (let failures = 1; failures <= 3; failures++) {
    await lab.jobs.watches.startRound(audience.id);
    await statusWhen(({ trouble, state }) => trouble?.failures === failures && state === 'failing');
  }
  rmSync(folder, { recursive: true });
  renameSync(`${folder}-away`, folder);
  expect((await round()).lost).toBeUndefined();
  await arrives(1);

  rmSync(folder, { recursive: true });
  lab.source.exit(audience.id, '2');
  for (let failures = 1; failures <= 4; failures++) {
    await lab.jobs.watches.startRound(audience.id);
    await statusWhen(({ trouble, state }) => trouble?.failures === failures && state === 'failing');
  }
  const { last, lost, members } = await round();
  expect([last?.isBaseline, members]).toEqual([true, 28]);
  expect(lost).toMatchObject({ from: expect.any(String), to: expect.any(String) });
  lab.source.exit(audience.id, '3');
  await round();
  await arrives(2);
  expect(arrived()).toEqual(['exit 1', 'exit 3']);
});

test('a watch scans at its interval, can be changed while it runs, and forgets everything when stopped', async () => {
  await open(numbered(3));
  await listener();
  await watch();
  const [changed] = await lab.jobs.watches.start([audience.id], { everyMs: 1000 });
  expect(changed).toMatchObject({ isNew: false, status: { everyMs: 1000, largestExitPercent: 20 } });
  await statusWhen(({ rounds }) => rounds >= 4);
  lab.source.enter(audience.id, 'new');
  await arrives(1);
  const found = (await lab.jobs.watches.list()).find((one) => one.audience.id === audience.id);
  expect(found).toMatchObject({ audience, status: { everyMs: 1000, exits: 0 } });

  await lab.jobs.watches.stop(audience.slug);
  const handle = lab.client.workflow.getHandle(watchWorkflowId(audience.id));
  expect((await handle.describe()).status.name).toBe('COMPLETED');
  await expect(lab.jobs.watches.startRound(audience.slug)).rejects.toMatchObject({ name: 'WatchNotFound' });
  // As if it had never been.
  const [again] = await lab.jobs.watches.start([audience.slug], { everyMs: HOUR_MS });
  expect(again?.isNew).toBe(true);
  expect((await statusWhen(({ rounds }) => rounds === 1)).last?.isBaseline).toBe(true);
});

test('a watch that is stopped while it reads ends at once, and can be started again at once', async () => {
  await open(['1']);
  await watch();
  const release = lab.source.holdBack('members');
  await lab.jobs.watches.startRound(audience.id);
  await statusWhen(({ state }) => state === 'scanning');
  await lab.client.workflow.getHandle(watchWorkflowId(audience.id)).executeUpdate('stop');
  const [again] = await lab.jobs.watches.start([audience.id], { everyMs: HOUR_MS });
  expect(again?.isNew).toBe(true);
  release();
  expect((await statusWhen(({ rounds }) => rounds === 1)).last?.isBaseline).toBe(true);
});

test('a slug that has moved to another audience never names the watch of the one that had it', async () => {
  await open(['1']);
  await watch();
  lab.source.rename(audience.id, `${audience.slug}-renamed`);
  lab.source.rename(VIP.id, audience.slug);
  const moved = { name: 'AudienceMoved', nowId: VIP.id, formerId: audience.id };
  await expect(lab.jobs.watches.stop(audience.slug)).rejects.toMatchObject(moved);
  await expect(lab.jobs.watches.start([audience.slug], { everyMs: HOUR_MS })).rejects.toMatchObject(moved);
  expect((await lab.jobs.watches.status(`${audience.slug}-renamed`)).state).toBe('waiting');
  await lab.jobs.watches.stop(audience.id);
});

test('a job that was stopped for some rounds receives what it missed once it is resumed, in order', async () => {
  await open(numbered(10));
  const [job, other] = await Promise.all([listener(), listener()]);
  await watch();
  await lab.jobs.stop(job, { waiting: 'keep' });
  await lab.listedWhen(job, ({ running }) => !running);
  lab.source.exit(audience.id, '1');
  expect((await round()).last?.published).toMatchObject({ jobs: 1, behind: [job] });
  lab.source.enter(audience.id, '1');
  lab.source.exit(audience.id, '2');
  expect((await round()).last?.published).toMatchObject({ behind: [job] });
  // A round in which nothing changes does not forget it.
  expect((await round()).last?.published).toMatchObject({ jobs: 0, behind: [job] });
  await lab.statusWhen(other, ({ delivered }) => delivered === 3);
  expect(lab.receiver.ledger.delivered).toBe(3);
  await lab.jobs.resume(job);
  // The list of running jobs may be a second late.
  await answerWhen(round, ({ last }) => last?.published.behind === undefined);
  await lab.statusWhen(job, ({ delivered }) => delivered === 3);
  const told = lab.receiver.ledger.entries.map(({ message }) => `${message?.event} ${message?.user} ${message?.at}`);
  // The job that was there heard of each, and then the one that was not, with the same time.
  expect(told.slice(3).sort()).toEqual(told.slice(0, 3).sort());
  const ofOne = told.slice(3).filter((one) => one.includes(' 1 '));
  expect(ofOne.map((one) => one.split(' ')[0])).toEqual(['exit', 'enter']);
});

describe('by the API', () => {
  const HOUR_MS = 3_600_000;
  /** For this file alone, since a watch signals to every listening job of the server. */
  const id = randomUUID().replaceAll('-', '');
  const WATCHED = { id, slug: `watched-${id}`, name: 'Watched', windowMinutes: 30 };
  const MEMBERS = Array.from({ length: 40 }, (_, i) => `member-${i}`);
  const folder = tempFolder();

  let lab: Lab;
  let api: Api;

  beforeAll(async () => {
    lab = await Lab.open({
      content: { audiences: [{ ...WATCHED, members: MEMBERS }] },
      config: { watch: { folder } },
    });
    api = await apiOf(lab);
  });
  afterAll(async () => {
    await lab.jobs.watches.stop(WATCHED.id).catch(() => undefined);
    await api.close();
    await lab.close();
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

  test('the API reports everything wrong with a watch at once, and starts none', async () => {
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
            status: { everyMs: HOUR_MS, existingUsers: false, largestExitPercent: 20 },
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
    // Some are back, so a mere second look would hold it again.
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
});
