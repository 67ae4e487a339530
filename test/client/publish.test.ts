import { expect, test } from '@jest/globals';
import { JobNotRunning, PublishInterrupted } from '../../src/client/errors.ts';
import { JobPusher } from '../../src/client/job-pusher.ts';
import { publishTo } from '../../src/client/push.ts';
import { RecordedJob, trigger } from './recorded-job.ts';

const VIP_ID = '42976a269a5e6b9d06c681b1c27292df';

function world(jobs: Record<string, RecordedJob>, listening: Record<string, string[]>) {
  const running = () => Promise.resolve(Object.entries(listening).map(([jobId, audiences]) => ({ jobId, audiences })));
  const open = (jobId: string) => new JobPusher(jobId, jobs[jobId] ?? new RecordedJob());
  return { running, open };
}

test('every running job that listens to the audience gets the trigger, by slug or by id', async () => {
  const jobs = { crm: new RecordedJob(), mail: new RecordedJob(), other: new RecordedJob() };
  const { running, open } = world(jobs, { crm: [VIP_ID, 'vip'], mail: [VIP_ID, 'vip', 'news'], other: ['else'] });
  const result = await publishTo(running, open, [trigger('1'), trigger('2', VIP_ID), trigger('3', 'news')]);
  expect(jobs.crm.users()).toEqual(['1', '2']);
  expect(jobs.mail.users()).toEqual(['1', '2', '3']);
  expect(jobs.other.users()).toEqual([]);
  expect(result).toMatchObject({ read: 3, unheard: 0 });
  expect(result.jobs.map(({ jobId, accepted }) => [jobId, accepted])).toEqual([
    ['crm', 2],
    ['mail', 3],
  ]);
});

test('triggers that nobody listens to are counted', async () => {
  const { running, open } = world({}, { crm: ['vip'] });
  await expect(publishTo(running, open, [trigger('1', 'unknown')])).resolves.toEqual({
    read: 1,
    unheard: 1,
    jobs: [],
    unreadable: [],
  });
});

test('a job that ends meanwhile is left out, and the others get theirs', async () => {
  const jobs = { crm: new RecordedJob({ fail: () => new JobNotRunning('crm', 'stopped') }), mail: new RecordedJob() };
  const { running, open } = world(jobs, { crm: ['vip'], mail: ['vip'] });
  const result = await publishTo(running, open, [trigger('1'), trigger('2')]);
  expect(result.jobs).toMatchObject([{ jobId: 'mail', accepted: 2 }]);
});

test('a job that cannot be signalled is named, after the others got theirs', async () => {
  const jobs = { crm: new RecordedJob({ fail: () => new Error('denied') }), mail: new RecordedJob() };
  const { running, open } = world(jobs, { crm: ['vip'], mail: ['vip'] });
  const error = await publishTo(running, open, [trigger('1')]).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(PublishInterrupted);
  expect(String(error)).toContain('"crm"');
  expect(jobs.mail.users()).toEqual(['1']);
});

test('a job whose audiences cannot be read here is told nothing, and named', async () => {
  const { running, open } = world({ crm: new RecordedJob() }, { crm: ['vip'] });
  const unreadable = async () => [...(await running()), { jobId: 'secret', audiences: null }];
  const result = await publishTo(unreadable, open, [trigger('1', 'vip')]);
  expect(result.unreadable).toEqual(['secret']);
  expect(result.jobs.map(({ jobId }) => jobId)).not.toContain('secret');
});

test('an input that is not read to its end is closed, also where it may be interrupted', async () => {
  const jobs = { crm: new RecordedJob({ fail: () => new Error('denied') }) };
  const { running, open } = world(jobs, { crm: ['vip'] });
  let isOpen = false;
  async function* input() {
    isOpen = true;
    try {
      for (let user = 0; ; user++) {
        yield trigger(String(user));
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      isOpen = false;
    }
  }
  await expect(publishTo(running, open, input(), new AbortController().signal)).rejects.toThrow(PublishInterrupted);
  expect(isOpen).toBe(false);
});
