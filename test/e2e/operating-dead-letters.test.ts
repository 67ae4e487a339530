import { expect, test } from '@jest/globals';
import type { DeadLetterReport, DeadLetterSummary } from '../../src/app/export-jobs.ts';
import { labOfFile, VIP } from '../support/lab.ts';
import { until } from '../support/patience.ts';
import { jsonLines, Operator, unwrapped } from '../support/triggers-cli.ts';

/** The endpoint takes nothing about these people. */
const unwanted = new Set<string>();

const lab = await labOfFile({
  // A recovery outwaits it.
  config: { requestTimeoutMs: 1000 },
  receiver: {
    answer: ({ message }) =>
      unwanted.has(message?.user ?? '') ? { status: 422, body: '\u001b[2Jemail is missing' } : undefined,
  },
});
const operator = new Operator(lab.taskQueue);

/** A job of which these people's enters are dead letters, listed; and their ids, in the order of the people. */
async function jobWithDeadLettersOf(...users: string[]): Promise<{ job: string; ids: string[] }> {
  return await withDeadLettersOf(await lab.start(), users);
}

async function withDeadLettersOf(job: string, users: readonly string[]): Promise<{ job: string; ids: string[] }> {
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
  return jsonLines(stdout);
}

/** What arrived about a person: audience, webhook-id and answer, in order. */
function arrivalsOf(user: string) {
  return lab.receiver.ledger.entries
    .filter(({ message }) => message?.user === user)
    .map(({ message, deliveryId, answered }) => ({ slug: message?.slug, deliveryId, answered }));
}

test('a trigger that the endpoint refuses is a dead letter that is listed and shown, and the job goes on', async () => {
  const { job, ids } = await jobWithDeadLettersOf('refused');
  await lab.jobs.enter(job, { audience: 'vip', user: 'other', profile: {} });
  const status = await lab.statusWhen(job, ({ delivered }) => delivered === 2);
  expect(status).toMatchObject({ deadLetters: 1, waiting: 0 });
  expect((await operator.run(['status', job])).stdout).toMatch(/Dead letters +(?:1 waits for a decision, )?1 so far/);

  const { stdout: listed, stderr } = await operator.run(['dead-letters', 'list', '--job', job]);
  expect(listed).toMatch(new RegExp(`^${ids[0]}  HTTP 422, \\d+ s ago\n  enter of refused, vip, job ${job}\n$`));
  expect(stderr).toBe('1 dead letter. See one with: triggers dead-letters show <id>\n');

  const { stdout: shown } = await operator.run(['dead-letters', 'show', ids[0] ?? '']);
  expect(unwrapped(shown)).toMatch(
    /State waits for a decision Person refused Trigger enter, at [\d-]+ [\d:.]+ UTC Audience vip/,
  );
  expect(unwrapped(shown)).toMatch(/Last attempt HTTP 422, \d+ s ago: .*email is missing/);
  expect(shown).not.toContain('\u001b');
  const report = await operator.json<DeadLetterReport>(['dead-letters', 'show', `dead-letter-${ids[0]}`]);
  expect(report).toMatchObject({ id: ids[0], state: 'waiting', jobId: job, failure: { status: 422 } });
});

test('dead letters of an earlier job with the same id are counted apart, and this job cannot send them', async () => {
  const { job, ids } = await jobWithDeadLettersOf('of the first', 'of the first, too');
  const isOrphaned = async () => (await lab.jobs.deadLetters.show(ids[0] ?? '')).orphaned;
  expect(await isOrphaned()).toBeUndefined();
  await lab.jobs.stop(job);
  await lab.handle(job).result();
  await until(async () => (await isOrphaned()) === true);
  const definition = { label: 'Again', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
  await lab.jobs.start(definition, { jobId: job });
  // Also while it has none of its own.
  await lab.statusWhen(job, ({ deadLettersOfEarlierJobs }) => deadLettersOfEarlierJobs === 2);
  expect(unwrapped((await operator.run(['status', job])).stdout)).toContain(
    'Dead letters 2 wait for a decision (2 of them of an earlier job of this id), 0 so far',
  );
  expect((await operator.run(['list'])).stdout.split('\n').find((one) => one.startsWith(job))).toContain(
    '2 (2 earlier)',
  );
  expect(await isOrphaned()).toBe(true);
  await withDeadLettersOf(job, ['of the second']);
  const isCounted = ({ deadLettersWaiting }: { readonly deadLettersWaiting?: number }) => deadLettersWaiting === 3;
  // Where the namespace does not have the search attributes, nobody knows whose a letter is.
  const status = await lab.statusWhen(job, (now) => isCounted(now) || now.deadLettersWaiting === undefined);
  if (!isCounted(status)) throw new Error('The test server has the search attributes.');
  expect(status).toMatchObject({ deadLetters: 1, deadLettersOfEarlierJobs: 2 });
  expect(unwrapped((await operator.run(['status', job])).stdout)).toContain(
    'Dead letters 3 wait for a decision (2 of them of an earlier job of this id), 1 so far',
  );
  const line = (await operator.run(['list'])).stdout.split('\n').find((one) => one.startsWith(job));
  expect(line).toContain('3 (2 earlier)');
  // A stop is about its own dead letters.
  const stopped = await operator.run(['stop', job, '--waiting', 'keep']);
  expect(unwrapped(stopped.stderr)).toContain(`1 dead letter of ${job} waits for a decision.`);
});

const AGAIN = { label: 'Again', audiences: ['vip'], authorization: null };

test('a terminated job with waiting dead letters cannot be replaced: once recovered, only it can send them', async () => {
  const { job, ids } = await jobWithDeadLettersOf('of the terminated');
  await lab.statusWhen(job, ({ deadLettersWaiting }) => deadLettersWaiting === 1);
  await lab.handle(job).terminate();
  const definition = { ...AGAIN, webhookUrl: lab.receiver.url };
  await expect(lab.jobs.start(definition, { jobId: job })).rejects.toMatchObject({
    name: 'JobRecoverable',
    waiting: 0,
    letters: 1,
    message: expect.stringContaining('and a dead letter that only it can send') as unknown,
  });

  await lab.jobs.recover(job);
  unwanted.delete('of the terminated');
  expect((await operator.run(['dead-letters', 'redeliver', ids[0] ?? '', '--yes'])).code).toBe(0);
  await lab.statusWhen(job, ({ delivered }) => delivered === 2);
});

test('no job replaces a stopped one that kept only dead letters', async () => {
  const { job } = await jobWithDeadLettersOf('of the kept');
  await lab.statusWhen(job, ({ deadLettersWaiting }) => deadLettersWaiting === 1);
  await lab.jobs.stop(job, { waiting: 'keep' });
  await lab.statusWhen(job, ({ state }) => state === 'stopped');
  const definition = { ...AGAIN, webhookUrl: lab.receiver.url };
  await expect(lab.jobs.start(definition, { jobId: job })).rejects.toMatchObject({ name: 'JobKept', letters: 1 });
  await lab.jobs.stop(job, { waiting: 'discard' });
  await lab.jobs.start(definition, { jobId: job });
});

test('all dead letters that match a filter are redelivered; a refused one is named, and the exit code is 1', async () => {
  const { job, ids } = await jobWithDeadLettersOf('one', 'two', 'gone');
  for (const user of ['one', 'two', 'gone']) unwanted.delete(user);
  lab.source.exit(VIP.id, 'gone');
  const { code, stdout, stderr } = await operator.run([
    'dead-letters',
    'redeliver',
    '--job',
    job,
    '--failure',
    '422',
    '--yes',
  ]);
  expect(code).toBe(1);
  expect(stdout).toBe('2 dead letters were returned to their jobs.\n');
  expect(stderr).toContain(`${ids[2]}: The person is not in the audience today`);
  expect(stderr).toContain('1 dead letter could not be redelivered.');
  await lab.statusWhen(job, ({ delivered }) => delivered === 3);
  const shown = unwrapped((await operator.run(['dead-letters', 'show', ids[2] ?? ''])).stdout);
  expect(shown).toContain('Not sent The person is not in the audience today');

  const asJson = await operator.run(['dead-letters', 'redeliver', '--job', job, '--json', '--yes']);
  expect(asJson.code).toBe(1);
  expect(JSON.parse(asJson.stdout)).toEqual({ id: ids[2], failure: expect.stringContaining('not in the audience') });
  expect(jsonLines(asJson.stderr)[1]).toMatchObject({
    error: { name: 'PartlyDone', done: 0, failed: 1 },
  });

  const one = await operator.run(['dead-letters', 'redeliver', ids[2] ?? '', '--json', '--yes']);
  expect(one.code).toBe(1);
  expect(jsonLines(one.stderr)[1]).toMatchObject({
    error: { name: 'RedeliveryRefused', deadLetterId: ids[2] },
  });
  expect((await operator.run(['dead-letters', 'redeliver', ids[2] ?? '', '--force', '--yes'])).code).toBe(0);
  await lab.statusWhen(job, ({ delivered }) => delivered === 4);
});

test('a dead letter whose workflow was terminated is not shown as waiting; the reset that is advised brings it back', async () => {
  const { job, ids } = await jobWithDeadLettersOf('ended by hand');
  const [id = ''] = ids;
  await lab.client.workflow.getHandle(`dead-letter-${id}`).terminate('by mistake');
  expect(await lab.jobs.deadLetters.show(id)).toMatchObject({ state: 'terminated', user: 'ended by hand' });
  const { stdout } = await operator.run(['dead-letters', 'show', id]);
  expect(unwrapped(stdout)).toContain('State its workflow was terminated: it will not be sent');
  expect(unwrapped(stdout)).toContain(
    `temporal workflow reset --workflow-id dead-letter-${id} --type LastWorkflowTask --reason mistake`,
  );
  expect(stdout).not.toContain('redeliver');
  // Not even asked whether that is meant.
  const refused = await operator.run(['dead-letters', 'redeliver', id]);
  expect({ code: refused.code, stderr: unwrapped(refused.stderr) }).toEqual({
    code: 1,
    stderr: expect.stringMatching(/^No dead letter .* waits for a decision/),
  });
  await lab.resetToLastTask(`dead-letter-${id}`);
  expect(await lab.jobs.deadLetters.show(id)).toMatchObject({ state: 'waiting' });
  unwanted.delete('ended by hand');
  await lab.jobs.deadLetters.redeliver(id);
  await lab.statusWhen(job, ({ delivered }) => delivered === 2);
});

test('stop says how many dead letters can then not be sent, and whether for good', async () => {
  const { job } = await jobWithDeadLettersOf('left behind');
  const refused = await operator.run(['stop', job, '--waiting', 'discard']);
  expect({ code: refused.code, stderr: unwrapped(refused.stderr) }).toEqual({
    code: 2,
    stderr: expect.stringMatching(
      /^1 dead letter of \S+ waits for a decision\. It can then never be sent\. Nothing was/,
    ),
  });

  const kept = await operator.run(['stop', job, '--waiting', 'keep']);
  expect({ code: kept.code, stderr: unwrapped(kept.stderr) }).toEqual({
    code: 0,
    stderr: `1 dead letter of ${job} waits for a decision. It cannot be sent until the job is resumed.`,
  });
  await lab.statusWhen(job, ({ state }) => state === 'stopped');

  const another = await jobWithDeadLettersOf('given up');
  const stopped = await operator.run(['stop', another.job]);
  expect({ code: stopped.code, stderr: unwrapped(stopped.stderr) }).toEqual({
    code: 2,
    stderr: expect.stringContaining('It can never be sent once the job has stopped, unless it keeps what'),
  });
  expect(await lab.jobs.status(another.job)).toMatchObject({ state: 'running' });
});

test('without a terminal to ask on, discard says exactly what it is about and does nothing without --yes', async () => {
  const { job, ids } = await jobWithDeadLettersOf('asked', 'asked too');
  const many = await operator.run(['dead-letters', 'discard', '--job', job]);
  expect([many.code, many.stdout]).toEqual([2, '']);
  expect(unwrapped(many.stderr)).toContain(
    `2 dead letters of 2 people Jobs ${job}: 2 Audiences vip: 2 Nothing was done.`,
  );
  const one = await operator.run(['dead-letters', 'discard', ids[0] ?? '', '--json']);
  expect([one.code, one.stdout]).toEqual([2, '']);
  expect(jsonLines(one.stderr)).toMatchObject([
    { extent: { letters: 1, jobs: [{ jobId: job, letters: 1 }], audiences: [{ id: VIP.id }], people: 1 } },
    { error: { name: 'UsageError' } },
  ]);
  expect(await list(job)).toHaveLength(2);
  const { code, stdout } = await operator.run(['dead-letters', 'discard', '--job', job, '--user', 'nobody']);
  expect({ code, stdout }).toEqual({ code: 0, stdout: 'No matching dead letters are waiting.\n' });
});

test('a dead letter of a terminated job whose id another one has stays with the reason, and nothing is sent', async () => {
  const { job, ids } = await jobWithDeadLettersOf('of before');
  unwanted.clear();
  await lab.handle(job).terminate();
  await lab.jobs.start({ ...AGAIN, webhookUrl: lab.receiver.url }, { jobId: job, discardRecoverable: true });
  for (const force of [[], ['--force']]) {
    const one = await operator.run(['dead-letters', 'redeliver', ids[0] ?? '', '--yes', ...force]);
    expect([one.code, one.stdout]).toEqual([1, '']);
    expect(unwrapped(one.stderr)).toContain(`It belongs to an earlier job ${job}`);
  }
  const all = await operator.run(['dead-letters', 'redeliver', '--job', job, '--yes']);
  expect([all.code, all.stdout]).toEqual([1, 'Nothing was done.\n']);
  expect(await list(job)).toMatchObject([{ id: ids[0], notice: expect.stringContaining('an earlier job') }]);
  // Nor is it said that force would help where another reason is in the way, too.
  lab.source.exit(VIP.id, 'of before');
  const { stderr } = await operator.run(['dead-letters', 'redeliver', ids[0] ?? '', '--yes']);
  expect(unwrapped(stderr)).toContain('force does not change that');
  expect(stderr).not.toContain('--force');
  await lab.jobs.exit(job, { audience: 'vip', user: 'later', profile: {} });
  await lab.arrives('later');
  expect(arrivalsOf('of before').map(({ answered }) => answered)).toEqual([422]);
  const returns = [];
  for await (const event of lab.jobs.trace('of before', { jobId: job })) if ('redelivery' in event) returns.push(event);
  // The decision about many left it out without asking it.
  expect(returns).toHaveLength(2);
  for (const one of returns) expect(one).toMatchObject({ kind: 'received', refused: expect.any(String) });
});

test('a dead letter discarded while the source checks its redelivery is never sent', async () => {
  const { job, ids } = await jobWithDeadLettersOf('in two minds');
  unwanted.clear();
  const answer = lab.source.holdBack('isMember');
  const before = lab.source.calls.isMember;
  const redelivering = operator.run(['dead-letters', 'redeliver', ids[0] ?? '', '--yes']);
  try {
    while (lab.source.calls.isMember === before) await new Promise((resolve) => setTimeout(resolve, 25));
    const discarded = await operator.run(['dead-letters', 'discard', ids[0] ?? '', '--yes']);
    expect([discarded.code, discarded.stdout]).toEqual([0, '1 dead letter was discarded.\n']);
  } finally {
    answer();
  }
  const redelivered = await redelivering;
  expect([redelivered.code, redelivered.stdout]).toEqual([1, '']);
  expect(unwrapped(redelivered.stderr)).toContain('It is discarded.');
  await lab.jobs.exit(job, { audience: 'vip', user: 'after the doubt', profile: {} });
  await lab.arrives('after the doubt');
  expect(arrivalsOf('in two minds').map(({ answered }) => answered)).toEqual([422]);
});
