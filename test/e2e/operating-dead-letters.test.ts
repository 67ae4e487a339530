import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { DeadLetterReport, DeadLetterSummary } from '../../src/client/export-jobs.ts';
import { Lab, VIP } from '../support/lab.ts';
import { Operator, unwrapped } from '../support/triggers-cli.ts';

let lab: Lab;
let operator: Operator;
/** The endpoint takes nothing about these people. */
const unwanted = new Set<string>();

beforeAll(async () => {
  lab = await Lab.open({
    receiver: {
      answer: ({ message }) =>
        unwanted.has(message?.user ?? '') ? { status: 422, body: '\u001b[2Jemail is missing' } : undefined,
    },
  });
  operator = new Operator(lab.taskQueue);
});
afterAll(async () => lab.close());

/** A job of which these people's enters are dead letters, listed; and their ids, in the order of the people. */
async function jobWithDeadLettersOf(...users: string[]): Promise<{ job: string; ids: string[] }> {
  const job = await lab.start();
  // What a new endpoint refuses is kept until it has taken something.
  await lab.jobs.exit(job, { audience: 'vip', user: 'taken', profile: {} });
  await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  for (const user of users) {
    unwanted.add(user);
    lab.source.enter(VIP.id, user);
    await lab.jobs.enter(job, { audience: 'vip', user, profile: {} });
  }
  await lab.statusWhen(job, ({ deadLetters }) => deadLetters === users.length);
  let found: DeadLetterSummary[] = [];
  while (found.length < users.length) found = await list(job);
  return { job, ids: users.map((user) => found.find((letter) => letter.user === user)?.id ?? '') };
}

async function list(job: string): Promise<DeadLetterSummary[]> {
  const { code, stdout } = await operator.run(['dead-letters', 'list', '--job', job, '--json']);
  expect(code).toBe(0);
  return stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as DeadLetterSummary]));
}

/** What arrived about a person: audience, webhook-id and answer, in order. */
function arrivalsOf(user: string) {
  return lab.receiver.ledger.entries
    .filter(({ message }) => message?.user === user)
    .map(({ message, deliveryId, answered }) => ({ slug: message?.slug, deliveryId, answered }));
}

test('what the endpoint refuses is a dead letter that is listed and shown, and the job goes on', async () => {
  const { job, ids } = await jobWithDeadLettersOf('refused');
  await lab.jobs.enter(job, { audience: 'vip', user: 'other', profile: {} });
  const status = await lab.statusWhen(job, ({ delivered }) => delivered === 2);
  expect(status).toMatchObject({ deadLetters: 1, waiting: 0 });
  expect((await operator.run(['status', job])).stdout).toMatch(/Dead letters +1 so far; see:/);

  const { stdout: listed, stderr } = await operator.run(['dead-letters', 'list', '--job', job]);
  expect(listed).toMatch(new RegExp(`^${ids[0]}  HTTP 422, \\d+ s ago\n  enter of refused, vip, job ${job}\n$`));
  expect(stderr).toBe('1 dead letter. See one with: triggers dead-letters show <id>\n');

  const { stdout: shown } = await operator.run(['dead-letters', 'show', ids[0] ?? '']);
  expect(unwrapped(shown)).toMatch(/State waits for a decision Person refused Trigger enter, at \S+ Audience vip/);
  expect(unwrapped(shown)).toMatch(/Last attempt HTTP 422, \d+ s ago: .*email is missing/);
  expect(shown).not.toContain('\u001b');
  const report = await operator.json<DeadLetterReport>(['dead-letters', 'show', `dead-letter-${ids[0]}`]);
  expect(report).toMatchObject({ id: ids[0], state: 'waiting', jobId: job, failure: { status: 422 } });
});

test('redelivered it arrives behind what waits for that person, with the webhook-id that it had', async () => {
  const { job, ids } = await jobWithDeadLettersOf('sent again');
  await lab.jobs.pause(job);
  await lab.jobs.enter(job, { audience: 'news', user: 'sent again', profile: {} });
  await lab.statusWhen(job, ({ waiting }) => waiting === 1);
  unwanted.delete('sent again');

  const { code, stdout } = await operator.run(['dead-letters', 'redeliver', ids[0] ?? '']);
  expect({ code, stdout }).toEqual({ code: 0, stdout: '1 dead letter is with its job again.\n' });
  await lab.jobs.resume(job);
  await lab.statusWhen(job, ({ delivered }) => delivered === 3);
  const [refused, news, again] = arrivalsOf('sent again');
  expect([refused, news, again].map((arrival) => [arrival?.slug, arrival?.answered])).toEqual([
    ['vip', 422],
    ['news', 200],
    ['vip', 200],
  ]);
  expect(again?.deliveryId).toBe(refused?.deliveryId);
  expect(arrivalsOf('sent again')).toHaveLength(3);
  while ((await list(job)).length > 0);
});

test('one that is refused once more is another dead letter, which says that it came back', async () => {
  const { job, ids } = await jobWithDeadLettersOf('stubborn');
  await lab.jobs.deadLetters.redeliver(ids[0] ?? '');
  await lab.statusWhen(job, ({ deadLetters }) => deadLetters === 2);
  const second = await lab.jobs.deadLetters.show((ids[0] ?? '').replace(/-0$/, '-1'));
  expect(second).toMatchObject({
    state: 'waiting',
    redeliveries: 1,
    deliveryId: arrivalsOf('stubborn')[0]?.deliveryId,
  });
});

test('all that a filter means are redelivered; what is refused is named, and the exit code is 1', async () => {
  const { job, ids } = await jobWithDeadLettersOf('one', 'two', 'gone');
  for (const user of ['one', 'two', 'gone']) unwanted.delete(user);
  lab.source.exit(VIP.id, 'gone');
  const { code, stdout, stderr } = await operator.run(['dead-letters', 'redeliver', '--job', job, '--failure', '422']);
  expect(code).toBe(1);
  expect(stdout).toBe('2 dead letters are with their jobs again.\n');
  expect(stderr).toContain(`${ids[2]}: The person is not in the audience today`);
  expect(stderr).toContain('1 dead letter could not be redelivered.');
  await lab.statusWhen(job, ({ delivered }) => delivered === 3);
  const shown = unwrapped((await operator.run(['dead-letters', 'show', ids[2] ?? ''])).stdout);
  expect(shown).toContain('Not sent The person is not in the audience today');

  const asJson = await operator.run(['dead-letters', 'redeliver', '--job', job, '--json']);
  expect(asJson.code).toBe(1);
  expect(JSON.parse(asJson.stdout)).toEqual({ id: ids[2], failure: expect.stringContaining('not in the audience') });
  expect(JSON.parse(asJson.stderr)).toMatchObject({ error: { name: 'PartlyDone', done: 0, failed: 1 } });

  const one = await operator.run(['dead-letters', 'redeliver', ids[2] ?? '', '--json']);
  expect(one.code).toBe(1);
  expect(JSON.parse(one.stderr)).toMatchObject({ error: { name: 'RedeliveryRefused', deadLetterId: ids[2] } });
  expect((await operator.run(['dead-letters', 'redeliver', ids[2] ?? '', '--force'])).code).toBe(0);
  await lab.statusWhen(job, ({ delivered }) => delivered === 4);
});

test('once discarded they are gone, and the endpoint never gets them', async () => {
  const { job } = await jobWithDeadLettersOf('dropped', 'dropped too');
  const { code, stdout } = await operator.run(['dead-letters', 'discard', '--job', job, '--yes']);
  expect({ code, stdout }).toEqual({ code: 0, stdout: '2 dead letters are discarded.\n' });
  let stdoutOfList = '';
  do stdoutOfList = (await operator.run(['dead-letters', 'list', '--job', job])).stdout;
  while (stdoutOfList !== '');
  for (const user of ['dropped', 'dropped too'])
    expect(arrivalsOf(user).map(({ answered }) => answered)).toEqual([422]);
});

test('one that is not there is said, by exit code 1', async () => {
  const { code, stderr } = await operator.run(['dead-letters', 'show', 'no-such-0']);
  expect(code).toBe(1);
  expect(unwrapped(stderr)).toBe(
    'No dead letter "no-such-0" waits for a decision. See those that do: triggers dead-letters list',
  );
});

test('while the job does not run, its dead letters stay and say so', async () => {
  const { job, ids } = await jobWithDeadLettersOf('late');
  await lab.jobs.stop(job);
  await lab.handle(job).result();
  const { code, stderr } = await operator.run(['dead-letters', 'redeliver', ids[0] ?? '']);
  expect(code).toBe(1);
  expect(unwrapped(stderr)).toContain(`The job ${job} did not take it`);
  expect(await list(job)).toMatchObject([{ id: ids[0], audience: 'vip' }]);
});
