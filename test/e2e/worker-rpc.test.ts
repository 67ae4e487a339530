import { expect, test } from '@jest/globals';
import { NoWorker, WorkerFailed } from '../../src/client/errors.ts';
import { SourceError } from '../../src/sources/source.ts';
import { Lab } from '../support/lab.ts';
import { Operator } from '../support/triggers-cli.ts';

// Most of these wait for ten seconds, and none needs another, so they wait together.

const JOB = { label: 'VIP', audiences: ['vip'], webhookUrl: 'https://a.example/', authorization: null };
const KEY = `k:${Buffer.alloc(32, 7).toString('base64')}`;

test.concurrent.each([[[]], [[KEY]]])(
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
);

test.concurrent(
  'whoever asks a worker whose source takes the question and does not answer is told that, and not that no worker is there',
  async () => {
    const lab = await Lab.open();
    let answer: () => void = () => undefined;
    const silence = new Promise<void>((resolve) => (answer = resolve));
    try {
      const audiences = lab.source.audiences.bind(lab.source);
      lab.source.audiences = async () => silence.then(audiences);
      const failure = await lab.jobs.check(JOB).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(WorkerFailed);
      expect(failure).toMatchObject({ reason: expect.stringMatching(/at it for 10 s.*source takes a question/) });
    } finally {
      answer();
      await lab.close();
    }
  },
);

test.concurrent('whoever asks where no worker is, is told so', async () => {
  const lab = await Lab.open({ workers: 0 });
  try {
    await expect(lab.jobs.check(JOB)).rejects.toThrow(NoWorker);
  } finally {
    await lab.close();
  }
});

test.concurrent(
  'triggers audiences shows what the source has and what its members are made of, and refuses what it has not',
  async () => {
    const lab = await Lab.open();
    try {
      const operator = new Operator(lab.taskQueue);
      const all = await operator.run(['audiences']);
      expect(all.stdout).toMatch(/^SLUG +ID +MEMBERS +NAME\nvip +[0-9a-f]{32} +/);
      expect(await operator.json(['audiences', 'vip'])).toMatchObject({ slug: 'vip', fields: expect.any(Array) });
      const { code, stdout, stderr } = await operator.run(['audiences', 'vipp']);
      expect({ code, stdout, stderr }).toEqual({
        code: 2,
        stdout: '',
        stderr: 'The source has no audience "vipp". Did you mean "vip"?\n',
      });
    } finally {
      await lab.close();
    }
  },
);
