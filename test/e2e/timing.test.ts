import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Lab, NEWS, VIP } from '../support/lab.ts';

let lab: Lab;

beforeAll(async () => {
  lab = await Lab.open({
    content: {
      audiences: [
        { ...VIP, members: ['member'] },
        { ...NEWS, members: [] },
      ],
      profiles: { member: {} },
    },
  });
});
afterAll(async () => lab.close());

test('a job stops by itself at its end, after what waited was sent', async () => {
  const endsAt = new Date(Date.now() + 6000).toISOString();
  const job = await lab.start({ endsAt });
  await lab.jobs.enter(job, { audience: 'vip', user: 'in time', profile: {} });
  const status = await lab.statusWhen(job, ({ state }) => state === 'stopped');
  expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(endsAt));
  expect(status).toMatchObject({ delivered: 1, waiting: 0, endsAt: null });
  expect(lab.receiver.ledger.requests).toBe(1);
});

test('an end that has passed is refused where the job is started, and where it is edited', async () => {
  const endsAt = '2026-01-01T00:00:00Z';
  await expect(lab.start({ endsAt })).rejects.toMatchObject({ problems: [{ field: 'endsAt' }] });
  const job = await lab.start();
  await expect(lab.jobs.edit(job, { endsAt })).rejects.toMatchObject({ problems: [{ field: 'endsAt' }] });
  expect(await lab.jobs.status(job)).toMatchObject({ state: 'running', endsAt: null });
  await lab.jobs.stop(job, { waiting: 'discard' });
});

test('a sample says how long its job tries, whether that runs or is a definition', async () => {
  const definition = {
    label: 'Lab',
    audiences: ['vip'],
    webhookUrl: lab.receiver.url,
    authorization: null,
    retryFor: '10m',
  };
  expect(await lab.jobs.sample({ definition })).toMatchObject({ user: 'member', retryFor: '10m' });
  const job = await lab.start(definition);
  expect(await lab.jobs.sample({ jobId: job })).toMatchObject({ user: 'member', retryFor: '10m' });
  await lab.jobs.edit(job, { retryFor: null });
  expect(await lab.jobs.sample({ jobId: job })).not.toHaveProperty('retryFor');
  await lab.jobs.stop(job, { waiting: 'discard' });
});
