import { expect, test } from '@jest/globals';
import { DeliveryNotFound, NoDeliveryLog, RequestRefused } from '../../src/client/calls/errors.ts';
import type { FoundTold, JobStatus } from '../../src/app/export-jobs.ts';
import { deliveryLogIn } from '../../src/features/delivery-log/config.ts';
import { openDeliveryReader } from '../../src/features/delivery-log/open-log.ts';
import { sealingWith } from '../../src/temporal/sealed-text.ts';
import { apiOf, askOf } from '../api/an-api.ts';
import { labOfTest, labOfFile, membersOfVip, NEWS, VIP } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { Operator } from '../support/triggers-cli.ts';
import { afterFile } from '../webhook/a-server.ts';

const folder = tempFolder();
const reader = openDeliveryReader({ folder }, sealingWith([]));
afterFile(async () => await reader.close());
const lab = await labOfFile({
  config: { deliveryLog: deliveryLogIn(folder) },
  content: membersOfVip(['a1', 'a2', 'b1', 'c1', 'c2', 'd1', 'd2', 'e1', 'f1', 'g1', 'g2', 'g3', 'g4', 'g5']),
});
const since = new Date().toISOString();

/** What the endpoint was told since the `from`th message, to all or one person: `enter vip ada <webhook-id>`. */
function told(from: number, user?: string): string[] {
  return lab.receiver.ledger.entries.slice(from).flatMap(({ message, deliveryId }) => {
    if (message === undefined || (user !== undefined && message.user !== user)) return [];
    const slug = message.audience === VIP.id ? VIP.slug : NEWS.slug;
    return [`${message.event} ${slug} ${message.user} ${deliveryId}`];
  });
}

const withoutIds = (lines: readonly string[]): string[] => lines.map((line) => line.split(' ').slice(0, 3).join(' '));

/** How many messages the endpoint has had. */
const heard = (): number => lab.receiver.ledger.entries.length;

/** Waits until the log has so many deliveries of a job. */
async function logged(job: string, count: number): Promise<void> {
  await answerWhen(
    () => reader.find({ jobId: job, verdict: 'delivered' }, 1_000),
    ({ rows }) => rows.length === count,
  );
}

/** Has a new job tell each of these, one after the other: `enter vip ada`. */
async function jobThatTold(...changes: readonly string[]): Promise<string> {
  const job = await lab.start({ parallelRequestCount: 5 });
  for (const change of changes) await tell(job, change);
  await logged(job, changes.length);
  return job;
}

async function tell(job: string, change: string): Promise<void> {
  const [event, audience = '', user = ''] = change.split(' ');
  await lab.jobs[event === 'exit' ? 'exit' : 'enter'](job, { audience, user });
}

const sent = async (job: string, what: FoundTold, options = {}): Promise<JobStatus> => {
  await lab.jobs.replay(job, what, options);
  return await lab.statusWhen(job, ({ backfill }) => backfill?.state === 'finished');
};

test('a replay tells everything again, in the order of each person and with the same ids; asking twice starts one', async () => {
  const from = heard();
  const changes = ['enter vip a1', 'enter vip a2', 'enter news a1', 'exit vip a1', 'exit vip a2', 'enter vip a1'];
  const job = await jobThatTold(...changes);
  const end = heard();
  const what = await lab.jobs.findTold(job, { since });
  const { until } = what.replay;
  expect(what).toMatchObject({ enters: 4, exits: 2, people: 2, outdated: 0, foreign: 0 });
  expect(what.first[0]).toMatchObject({ user: 'a1', audience: 'vip', event: 'enter' });
  expect(heard()).toBe(end);
  const { backfill } = await sent(job, what);
  expect(backfill).toMatchObject({ replay: { enters: 4, exits: 2 }, taken: 6, delivered: 6, superseded: 0 });
  for (const user of ['a1', 'a2']) expect(told(end, user)).toEqual(told(from, user).slice(0, told(end, user).length));
  expect(told(end)).toHaveLength(6);
  expect(await lab.jobs.replay(job, what)).toMatchObject({ askedBefore: { n: 1, state: 'finished' } });
  const [deed] = await lab.jobs.history(job);
  expect(deed).toMatchObject({ action: 'replay', replay: { since, until, enters: 4, exits: 2 } });
  // What a replay told is neither told again nor news.
  await logged(job, 12);
  expect((await reader.find({ jobId: job }, 6)).rows.map(({ lane }) => lane)).toEqual(Array(6).fill('replay'));
  expect(await lab.jobs.findTold(job, { since, until: what.replay.until })).toMatchObject({
    enters: 4,
    exits: 2,
    outdated: 0,
  });
  const lanes = [];
  for await (const event of lab.jobs.trace('a2', { jobId: job, log: reader }))
    if (event.kind === 'attempted') lanes.push(event.lane);
  expect(lanes).toEqual([undefined, undefined, 'replay', 'replay']);
  const lines = [];
  for await (const line of lab.jobs.trace('a2', { jobId: job })) lines.push(line);
  expect(lines).toContainEqual(expect.objectContaining({ kind: 'found', event: 'exit', audience: 'vip', backfill: 1 }));
});

test('with other ids a receiver that drops repeats hears everything, each time with new ids', async () => {
  const job = await jobThatTold('enter vip b1', 'exit vip b1', 'enter vip b1');
  const what = await lab.jobs.findTold(job, { since });
  const from = heard();
  await sent(job, what, { newIds: true });
  const again = await lab.jobs.findTold(job, { since });
  await sent(job, again, { newIds: true });
  await lab.statusWhen(job, ({ backfill }) => backfill?.n === 2 && backfill.state === 'finished');
  expect(withoutIds(told(from))).toEqual(
    ['enter', 'exit', 'enter', 'enter', 'exit', 'enter'].map((event) => `${event} vip b1`),
  );
  const ids = lab.receiver.ledger.entries.flatMap(({ message, deliveryId }) =>
    message?.user === 'b1' ? [deliveryId] : [],
  );
  expect(new Set(ids).size).toBe(9);
});

test('a person, an audience, the last or one delivery can be asked for; the history of it names no person', async () => {
  const job = await jobThatTold('enter vip c1', 'enter news c1', 'exit vip c1', 'enter vip c2', 'enter vip c1');
  const find = async (wish: object) => {
    const { enters, exits, outdated, foreign } = await lab.jobs.findTold(job, { since, ...wish });
    return { enters, exits, outdated, foreign };
  };
  expect(await find({ onlyLast: true })).toEqual({ enters: 3, exits: 0, outdated: 2, foreign: 0 });
  expect(await find({ user: 'c1', audiences: ['news'] })).toEqual({ enters: 1, exits: 0, outdated: 0, foreign: 0 });
  const { rows } = await reader.find({ jobId: job, event: 'exit' }, 1);
  expect(await find({ deliveryId: rows[0]?.deliveryId })).toMatchObject({ exits: 0, outdated: 1 });
  const from = heard();
  await sent(job, await lab.jobs.findTold(job, { since, user: 'c2', onlyLast: true }));
  expect(withoutIds(told(from))).toEqual(['enter vip c2']);
  // Nobody can make the history forget.
  const [deed] = await lab.jobs.history(job);
  expect(deed?.replay).toMatchObject({ enters: 1, onlyLast: true, isOfOnePerson: true });
  expect(JSON.stringify(deed)).not.toContain('c2');
  // What the job no longer sends is left out, and counted.
  await lab.jobs.edit(job, { audiences: ['vip'], events: ['enter'] });
  expect(await find({})).toMatchObject({ foreign: 2 });
});

test('first digits must be those of one delivery; the whole id of a batch means all that is in it', async () => {
  const job = await lab.start({ batch: { size: 2, afterMs: 300 } });
  await lab.jobs.pause(job);
  for (const user of ['g1', 'g2', 'g3', 'g4', 'g5']) await tell(job, `enter vip ${user}`);
  await lab.statusWhen(job, ({ waiting }) => waiting === 5);
  await lab.jobs.resume(job);
  await logged(job, 5);
  const ids = (await reader.find({ jobId: job }, 5)).rows.map((row) => row.batchId ?? '');
  // Some are sent by themselves.
  const batchId = ids.find((id, i) => ids.indexOf(id) !== i) ?? '';
  const find = async (deliveryId: string) => await lab.jobs.findTold(job, { deliveryId });
  expect(await find(batchId)).toMatchObject({ enters: 2 });
  await expect(find(batchId.slice(0, 12))).rejects.toMatchObject({ problems: [{ field: 'deliveryId' }] });
});

test('a live trigger that comes during a replay takes the place of what waits', async () => {
  const job = await jobThatTold('enter vip d1', 'enter vip d2');
  await lab.jobs.pause(job);
  await lab.jobs.replay(job, await lab.jobs.findTold(job, { since }));
  await expect(lab.jobs.replay(job, await lab.jobs.findTold(job, { since }))).rejects.toBeInstanceOf(RequestRefused);
  await lab.statusWhen(job, ({ backfill }) => backfill?.waiting === 2);
  await tell(job, 'exit vip d1');
  const from = heard();
  await lab.jobs.resume(job);
  const { backfill } = await lab.statusWhen(
    job,
    (status) => status.backfill?.state === 'finished' && status.waiting === 0,
  );
  expect(backfill).toMatchObject({ delivered: 1, superseded: 1 });
  expect(withoutIds(told(from)).toSorted()).toEqual(['enter vip d2', 'exit vip d1']);
});

test('without a delivery log a replay is refused, and nothing starts', async () => {
  const other = await labOfTest();
  const job = await other.start();
  await expect(other.jobs.findTold(job, { since })).rejects.toBeInstanceOf(NoDeliveryLog);
  expect((await other.jobs.status(job)).backfill).toBeUndefined();
});

test('triggers replay shows what it would send, sends nothing with --dry-run, and needs a yes', async () => {
  const job = await jobThatTold('enter vip e1', 'exit vip e1');
  const operator = new Operator(lab.taskQueue);
  const from = heard();
  const dry = await operator.run(['replay', job, '--since', '1h', '--dry-run']);
  expect(dry).toMatchObject({
    code: 0,
    stdout: 'At most 1 enter and 1 exit of 1 person would be sent again. Nothing was sent.\n',
    stderr: expect.stringMatching(
      /^1 enter and 1 exit of 1 person, told from [^,]* UTC, such as:\n.* {2}enter {2}vip {2}e1\n/,
    ),
  });
  expect(await operator.run(['replay', job, '--since', '1h'])).toMatchObject({ code: 2, stdout: '' });
  expect(heard()).toBe(from);
  const last = ['replay', job, '--since', '1h', '--only', 'last', '--request-id', 'once', '--yes'];
  expect(await operator.run(last)).toMatchObject({ code: 0 });
  await lab.statusWhen(job, ({ backfill }) => backfill?.state === 'finished');
  expect(withoutIds(told(from))).toEqual(['exit vip e1']);
  const { stdout } = await operator.run(['status', job]);
  expect(stdout).toMatch(/Replay +finished, 1 sent of 1, 0 enters and 1 exit asked for/);
});

test('the API tells first what would be sent, and then sends it', async () => {
  const job = await jobThatTold('enter vip f1');
  const { rows } = await reader.find({ jobId: job }, 1);
  const api = await apiOf(lab);
  const body = { deliveryId: rows[0]?.deliveryId, requestId: 'again' };
  const from = heard();
  const ask = (asked: object) => askOf(api, `/v1/jobs/${job}/replay`, { body: asked });
  expect(await ask({ ...body, dryRun: true })).toMatchObject({ status: 200, body: { found: { enters: 1 } } });
  expect(heard()).toBe(from);
  for (let twice = 0; twice < 2; twice++)
    expect(await ask(body)).toMatchObject({ status: 200, body: { status: { jobId: job } } });
  await lab.statusWhen(job, ({ backfill }) => backfill?.state === 'finished');
  expect(told(from)).toEqual([`enter vip f1 ${rows[0]?.deliveryId}`]);
  for (const wrong of [
    { sinse: since },
    {},
    { deliveryId: body.deliveryId?.slice(0, 7) },
    { since: '2999-01-01T00:00:00Z' },
  ])
    expect(await ask(wrong)).toMatchObject({ status: 422, body: { code: 'InvalidRequest' } });
  const unknown = { deliveryId: '0'.repeat(8) };
  expect(await ask(unknown)).toMatchObject({ status: 404, body: { code: 'DeliveryNotFound' } });
  await expect(lab.jobs.findTold(job, unknown)).rejects.toBeInstanceOf(DeliveryNotFound);
  await api.close();
});
