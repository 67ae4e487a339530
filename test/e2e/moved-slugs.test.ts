import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from '@jest/globals';
import { run } from '../../src/app/program.ts';
import { aTerminal } from '../cli/a-terminal.ts';
import { labOfFile } from '../support/lab.ts';
import { temporal } from '../support/temporal.ts';
import { tempFolder } from '../support/temp-folder.ts';

// A slug passes from one audience to another while a job runs that knows the first by it. A person who types it means the second.

const environment = { ...process.env };
/** Its slug is given to `later` after a job has been started for it; every test has its own two. */
let first = { id: '', slug: '', name: 'First' };
let later = { id: '', slug: '', name: 'Later' };

const anAudience = (name: string) => ({
  id: randomUUID().replaceAll('-', ''),
  slug: `${name.toLowerCase()}-${randomUUID()}`,
  name,
});
const audiences = Array.from({ length: 12 }, () => [anAudience('First'), anAudience('Later')] as const);

const folder = tempFolder();
const lab = await labOfFile({
  content: {
    audiences: audiences.flat().map((one) => ({ ...one, members: [`member-of-${one.id}`] })),
    profiles: Object.fromEntries(audiences.flat().map(({ id }) => [`member-of-${id}`, { email: 'x' }])),
  },
  receiver: { answer: ({ message }) => (message?.user.startsWith('refused') ? { status: 422 } : undefined) },
});
process.env['TEMPORAL_ADDRESS'] = temporal.address;
process.env['TRIGGERS_TASK_QUEUE'] = lab.taskQueue;

beforeEach(() => {
  const [one, other] = audiences.pop() ?? [];
  if (one === undefined || other === undefined) throw new Error('There are more tests than audiences.');
  first = one;
  later = other;
});
afterAll(() => {
  process.env = environment;
});

async function command(...args: string[]) {
  const { terminal, out, err } = aTerminal();
  const code = await run([...args, '--json'], terminal);
  return { code, out: out.join('\n'), err: err.join('\n') };
}

const lines = (...names: string[]): string =>
  names.map((audience, i) => JSON.stringify({ event: 'enter', audience, user: `of-line-${i + 1}` })).join('\n');

/** A job that knows `first` by the slug that `later` has from now on. */
async function aJobThatKnewTheFirst(): Promise<string> {
  const job = await lab.start({ audiences: [first.slug] });
  lab.source.rename(first.id, `${first.slug}-before`);
  lab.source.rename(later.id, first.slug);
  await lab.listedWhen(job);
  return job;
}

/** Nothing has been signalled to the job, so nothing can have been sent. */
async function nothingCameTo(job: string): Promise<void> {
  const { received, rejected, waiting } = await lab.jobs.status(job);
  expect({ received, rejected, waiting }).toEqual({ received: 0, rejected: 0, waiting: 0 });
}

const moved = (more = {}) => ({
  name: 'AudienceMoved',
  audience: first.slug,
  nowId: later.id,
  formerId: first.id,
  ...more,
});

test('a push is refused when its slug has passed to another audience, and the error names both ids', async () => {
  const job = await aJobThatKnewTheFirst();
  for (const target of [[job], []]) {
    const { code, out, err } = await command('push', ...target, '--audience', first.slug, '--enter', '--user', '1');
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(
      `\\"${first.slug}\\" is now the audience \\"Later\\" (id ${later.id}). The job \\"${job}\\" knows another one by this slug (id ${first.id}).`,
    );
  }
  await nothingCameTo(job);
  const byId = await command('push', job, '--audience', first.id, '--exit', '--user', 'by-id');
  expect(byId).toMatchObject({ code: 0, err: '' });
  await lab.arrives('by-id');
});

test('a push reaches a renamed audience by its new slug, and by its old one', async () => {
  const job = await lab.start({ audiences: [first.slug] });
  lab.source.rename(first.id, `${first.slug}-after`);
  await lab.listedWhen(job);
  for (const [target, audience, user] of [
    [[job], `${first.slug}-after`, 'by-its-new-slug'],
    [[], `${first.slug}-after`, 'by-its-new-slug-to-all'],
    [[job], first.slug, 'by-its-old-slug'],
  ] as const) {
    const pushed = await command('push', ...target, '--audience', audience, '--exit', '--user', user);
    expect(pushed).toMatchObject({ code: 0, err: '' });
    await lab.arrives(user);
  }
});

test('a push asks the source once, however many slugs and triggers it has, and not at all about ids', async () => {
  const job = await lab.start({ audiences: [first.slug, later.slug] });
  const file = join(folder, 'many.ndjson');
  const asked = () => lab.source.calls.audiences;
  const before = asked();
  writeFileSync(file, lines(first.id, later.id, first.id));
  expect(await command('push', job, '--file', file)).toMatchObject({ code: 0, err: '' });
  expect(asked() - before).toBe(0);
  writeFileSync(file, lines(first.slug, later.slug, first.slug, first.id, later.slug));
  expect(await command('push', job, '--file', file)).toMatchObject({ code: 0, err: '' });
  expect(asked() - before).toBe(1);
});

test('a push goes without a reachable source, and says that its slug was not checked', async () => {
  const job = await lab.start({ audiences: [first.slug] });
  lab.source.failure = new Error('the source is down');
  try {
    const { code, out, err } = await command('push', job, '--audience', first.slug, '--exit', '--user', 'unchecked');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(JSON.parse(out)).toMatchObject({ accepted: 1, unchecked: expect.stringContaining('could not do it') });
    const { terminal, err: told } = aTerminal();
    expect(await run(['push', job, '--audience', first.slug, '--exit', '--user', 'again'], terminal)).toBe(0);
    expect(told.join(' ').replaceAll(/\s+/g, ' ')).toContain(
      `It was not checked whether "${first.slug}" is still the slug`,
    );
  } finally {
    lab.source.failure = undefined;
  }
  await lab.statusWhen(job, ({ received }) => received === 2);
});

test('a backfill, an edit, a sample and a test by such a slug are refused, and do nothing', async () => {
  const job = await aJobThatKnewTheFirst();
  const before = await lab.jobs.status(job);
  const asked = await Promise.allSettled([
    lab.jobs.backfill(job, { audiences: [first.slug] }),
    lab.jobs.edit(job, { audiences: [first.slug] }),
    lab.jobs.sample({ jobId: job }, { audience: first.slug }),
    lab.jobs.test({ jobId: job }, { audience: first.slug }),
  ]);
  expect(asked).toMatchObject(asked.map(() => ({ status: 'rejected', reason: moved() })));
  const after = await lab.jobs.status(job);
  expect(after).toMatchObject({ revision: before.revision, audiences: before.audiences });
  expect(after.backfill).toBeUndefined();
  expect(lab.receiver.ledger.entries.some(({ message }) => message?.user === `member-of-${first.id}`)).toBe(false);
});

test('a slug no longer decides the dead letters of its former audience once another audience has it', async () => {
  const job = await lab.start({ audiences: [first.slug] });
  await lab.jobs.enter(job, { audience: first.slug, user: `taken-${job}`, profile: {} });
  await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  await lab.jobs.enter(job, { audience: first.slug, user: `refused-${job}`, profile: {} });
  await lab.statusWhen(job, ({ deadLetters }) => deadLetters === 1);
  lab.source.rename(first.id, `${first.slug}-before`);
  lab.source.rename(later.id, first.slug);
  const waits = async (): Promise<number> => {
    let found = 0;
    for await (const _ of lab.jobs.deadLetters.list({ jobId: job })) found++;
    return found;
  };
  while ((await waits()) === 0) await Promise.resolve();
  for (const decision of ['discard', 'redeliver']) {
    const { code, err } = await command('dead-letters', decision, '--audience', first.slug, '--yes');
    expect({ code, error: JSON.parse(err) as unknown }).toMatchObject({ code: 2, error: { error: moved() } });
  }
  expect(await waits()).toBe(1);
  // By the slug that its audience has now, though it died under another one.
  expect(await lab.jobs.deadLetters.discard({ audience: `${first.slug}-before` })).toEqual({ done: 1, failures: [] });
});
