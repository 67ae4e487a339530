import { expect, test } from '@jest/globals';
import { NoWorker, WorkerFailed } from '../../src/client/errors.ts';
import { SourceError } from '../../src/sources/source-error.ts';
import { Lab } from '../support/lab.ts';

const JOB = { label: 'VIP', audiences: ['vip'], webhookUrl: 'https://a.example/', authorization: null };
const KEY = `k:${Buffer.alloc(32, 7).toString('base64')}`;

test.each([[[]], [[KEY]]])(
  'whoever asks a worker whose source is down is told that, and not that no worker is there (payload keys %j)',
  async (payloadKeys) => {
    const lab = await Lab.open({ config: { payloadKeys } });
    try {
      lab.source.failure = new SourceError('PostgreSQL gave no answer.');
      const failure = await lab.jobs.check(JOB).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(WorkerFailed);
      expect(failure).toMatchObject({ reason: 'PostgreSQL gave no answer.', taskQueue: lab.taskQueue });
    } finally {
      await lab.close();
    }
  },
  30_000,
);

test('whoever asks where no worker is, is told so', async () => {
  const lab = await Lab.open({ workers: 0 });
  try {
    await expect(lab.jobs.check(JOB)).rejects.toThrow(NoWorker);
  } finally {
    await lab.close();
  }
});
