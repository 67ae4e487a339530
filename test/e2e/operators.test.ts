import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ExportJobs, JobAlreadyRunning } from '../../src/client/export-jobs.ts';
import { type ReceiverOptions, startReceiver } from '../../src/local/receiver.ts';
import { Lab } from '../support/lab.ts';

let lab: Lab;

beforeAll(async () => {
  lab = await Lab.open();
});
afterAll(async () => lab.close());

test('a paused job accepts and keeps, and sends when it is resumed', async () => {
  const job = await lab.start();
  expect((await lab.jobs.pause(job)).state).toBe('paused');
  await lab.jobs.enter(job, { audience: 'vip', user: 'patient', profile: {} });
  expect((await lab.statusWhen(job, ({ received }) => received === 1)).waiting).toBe(1);
  expect(lab.receiver.ledger.entries.some(({ message }) => message?.user === 'patient')).toBe(false);
  await lab.jobs.resume(job);
  await lab.arrives('patient');
});

test('an edit takes effect from the next slice: another URL, other fields, another format, another audience', async () => {
  const other = await startReceiver({ keepBodies: true });
  try {
    const job = await lab.start({ audiences: ['vip'] });
    const { status, inEffect } = await lab.jobs.edit(job, {
      webhookUrl: other.url,
      exportFields: ['name'],
      userLegacyMessageFormat: true,
      audiences: ['news'],
      parallelRequestCount: 9,
      label: 'Edited',
    });
    expect(inEffect).toBe(true);
    expect(status).toMatchObject({ revision: 2, label: 'Edited', parallelRequestCount: 9 });
    await lab.jobs.enter(job, { audience: 'news', user: 'edited', profile: { name: 'E', secret: 1 } });
    await other.ledger.waitFor((ledger) => ledger.delivered === 1, 10_000);
    const { data } = JSON.parse(other.ledger.entries[0]?.body ?? '');
    expect(Object.keys(data)).toEqual([
      '_audience',
      '_audience_action',
      '_audience_friendly',
      '_audience_name',
      'name',
    ]);
    await lab.jobs.enter(job, { audience: 'vip', user: 'gone' });
    expect((await lab.statusWhen(job, ({ rejected }) => rejected === 1)).rejects[0]?.reason).toMatch(
      /does not listen to audience "vip"/,
    );
  } finally {
    await other.close();
  }
});

test("an edit is checked by workers of the job's own task queue, whichever the client is set to", async () => {
  const job = await lab.start({ audiences: ['vip'] });
  const elsewhere = new ExportJobs(lab.client, { taskQueue: 'nobody-serves-this-queue' });
  const { status, inEffect } = await elsewhere.edit(job, { audiences: ['news'] });
  expect(inEffect).toBe(true);
  expect(status.audiences.map(({ slug }) => slug)).toEqual(['news']);
}, 30_000);

test('[S23] nobody who looks at a job is shown its URL in full, and an edit that does not name it leaves it as it is', async () => {
  const asked: (string | undefined)[] = [];
  const answer: ReceiverOptions['answer'] = (_, { url }) => void asked.push(url);
  const receiver = await startReceiver({ answer });
  try {
    const job = await lab.start({ webhookUrl: new URL('/s3cret?token=s3cret', receiver.url).href });
    const { status, inEffect } = await lab.jobs.edit(job, { label: 'Edited' });
    expect(inEffect).toBe(true);
    expect(status.webhookUrl).toBe(`${receiver.url}…?token=…`);
    await lab.jobs.enter(job, { audience: 'vip', user: 'edited', profile: {} });
    const delivered = await lab.statusWhen(job, ({ delivered }) => delivered === 1);
    expect(asked).toEqual(['/s3cret?token=s3cret']);
    const { memo, staticSummary, staticDetails } = await lab.handle(job).describe();
    const details = await lab.handle(job).query('__temporal_workflow_metadata');
    const listed = await lab.jobs.list();
    expect(details).toMatchObject({ currentDetails: expect.stringContaining('Edited') });
    for (const seen of [status, delivered, memo, staticSummary, staticDetails, details, listed])
      expect(JSON.stringify(seen) ?? '').not.toContain('s3cret');
  } finally {
    await receiver.close();
  }
});

test('an edit that cannot be is refused, by field, and changes nothing', async () => {
  const job = await lab.start();
  await expect(lab.jobs.edit(job, { audiences: ['vpi'] })).rejects.toThrow(
    /audiences\[0\]: The source knows no audience "vpi"/,
  );
  // As a foreign client would ask, without checking first.
  await lab.handle(job).executeUpdate('edit', { args: [{ parallelRequestCount: 0 }] });
  const status = await lab.statusWhen(job, ({ notices }) => notices.length > 0);
  expect(status.notices.join()).toMatch(/did not take effect.*at least 1/);
  expect(status.revision).toBe(1);
});

test('stop sends what waits, then the workflow completes and takes no more', async () => {
  const job = await lab.start();
  await lab.jobs.pause(job);
  await lab.jobs.enter(job, { audience: 'vip', user: 'last', profile: {} });
  await lab.statusWhen(job, ({ waiting }) => waiting === 1);
  expect((await lab.jobs.stop(job)).state).toBe('stopping');
  await expect(lab.handle(job).result()).resolves.toEqual({ received: 1, delivered: 1 });
  await lab.arrives('last');
  await expect(lab.jobs.enter(job, { audience: 'vip', user: 'late' })).rejects.toThrow();
});

test('stop with discard drops what is waiting', async () => {
  const job = await lab.start();
  await lab.jobs.pause(job);
  await lab.jobs.enter(job, { audience: 'vip', user: 'dropped', profile: {} });
  await lab.jobs.stop(job, { waiting: 'discard' });
  await expect(lab.handle(job).result()).resolves.toEqual({ received: 1, delivered: 0 });
});

test('cancelling a job in the Temporal UI stops it in order', async () => {
  const job = await lab.start();
  await lab.jobs.enter(job, { audience: 'vip', user: 'cancelled', profile: {} });
  await lab.handle(job).cancel();
  await expect(lab.handle(job).result()).resolves.toEqual({ received: 1, delivered: 1 });
});

test('starting one job id twice is a clear error', async () => {
  const job = await lab.start();
  const again = lab.jobs.start(
    { label: 'Again', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null },
    { jobId: job },
  );
  await expect(again).rejects.toBeInstanceOf(JobAlreadyRunning);
});

test('a job is seen in the Temporal UI: label, details, search attributes; and listed', async () => {
  const job = await lab.start({ label: 'Seen in the UI' });
  await lab.jobs.enter(job, { audience: 'vip', user: 'seen', profile: {} });
  await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  const description = await lab.handle(job).describe();
  expect(description.memo).toMatchObject({ label: 'Seen in the UI', audiences: [{ slug: 'vip' }, { slug: 'news' }] });
  expect(description.searchAttributes).toMatchObject({ ExportJobId: [job], ExportJobStatus: ['running'] });
  const metadata = await lab.handle(job).query<{ currentDetails?: string }>('__temporal_workflow_metadata');
  expect(metadata.currentDetails).toMatch(/\| Delivered \| 1,? /);
  expect((await lab.jobs.list()).find(({ jobId }) => jobId === job)).toMatchObject({ label: 'Seen in the UI' });
});
