import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { defaultPayloadConverter } from '@temporalio/common';
import { Webhook } from 'standardwebhooks';
import { type Receiver, startReceiver } from '../../src/local/receiver.ts';
import { Lab } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { configured } from '../webhook/an-authorization.ts';

const SECRET = `whsec_${Buffer.alloc(32, 9).toString('base64')}`;

interface Told {
  readonly id: string;
  readonly number: number;
  readonly alert: string;
  readonly state: string;
  readonly text: string;
  readonly job: { readonly id: string };
  readonly isGenuine: boolean;
}

let lab: Lab;
let operators: Receiver;
/** What the operators' webhook accepted, in order; and whether it accepts anything now. */
const told: Told[] = [];
const world = { operatorsTake: true, refused: 0, isUnhealthy: false };

beforeAll(async () => {
  operators = await startReceiver({
    answer: () => {
      if (world.operatorsTake) return undefined;
      world.refused++;
      return { status: 503 };
    },
    onArrival: ({ headers }, body) => {
      if (!world.operatorsTake) return;
      const given = Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name, String(value)]));
      const alert = new Webhook(SECRET).verify(body, given) as Omit<Told, 'id' | 'isGenuine'>;
      told.push({ ...alert, id: given['webhook-id'] ?? '', isGenuine: true });
    },
    keepBodies: true,
  });
  lab = await Lab.open({
    receiver: {
      answer: ({ message }) =>
        world.isUnhealthy ? { status: 503 } : message?.user === 'bad' ? { status: 422 } : undefined,
    },
    config: {
      alerts: { url: operators.url, authorization: 'operators', backlogMinutes: 15 },
      authorizations: configured({
        operators: { origins: [new URL(operators.url).origin], signingSecrets: [SECRET] },
      }),
    },
  });
});
afterAll(async () => Promise.all([lab.close(), operators.close()]));

async function until(job: string, alert: string, state: string): Promise<Told> {
  const isIt = (one: Told) => one.job.id === job && one.alert === alert && one.state === state;
  await answerWhen(
    () => told,
    (all) => all.some(isIt),
  );
  return told.find(isIt) as Told; // It was there.
}

test('alerts of a job arrive signed, once and one after the other, though their webhook is away for a while', async () => {
  const job = await lab.start({ parallelRequestCount: 3 });
  await lab.jobs.enter(job, { audience: 'vip', user: 'first', profile: {} });
  await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  world.isUnhealthy = true;
  world.operatorsTake = false;
  for (const user of ['a', 'b', 'c']) await lab.jobs.enter(job, { audience: 'vip', user, profile: {} });
  await lab.statusWhen(job, ({ endpoint }) => endpoint?.state === 'unhealthy');
  await answerWhen(
    () => world.refused,
    (refused) => refused > 0,
  );
  world.isUnhealthy = false;
  await lab.jobs.resume(job);
  await lab.statusWhen(job, ({ delivered }) => delivered === 4);
  world.operatorsTake = true;
  const ended = await until(job, 'endpoint-unhealthy', 'ended');
  const ofJob = told.filter((one) => one.job.id === job);
  expect(ofJob).toMatchObject([
    { number: 1, state: 'began', isGenuine: true, text: expect.stringContaining('HTTP 503') },
    { number: 2, state: 'ended' },
  ]);
  expect(ended.id).not.toBe(ofJob[0]?.id);
});

test('dead letters and the end of a backfill are told of', async () => {
  const job = await lab.start({ existingUsers: true });
  await until(job, 'backfill-finished', 'happened');
  await lab.jobs.enter(job, { audience: 'vip', user: 'good', profile: {} });
  await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  await lab.jobs.enter(job, { audience: 'vip', user: 'bad', profile: {} });
  await stopWithOneLetter(job);
  expect(await until(job, 'dead-letters', 'happened')).toMatchObject({ text: '1 new dead letter (1 so far).' });
});

test('in the Temporal UI, a job says what each of its steps and timers is about', async () => {
  const job = await lab.start();
  await lab.statusWhen(job, ({ state }) => state === 'running');
  expect(await summaries(job)).toContain('the next run begins');
  await lab.jobs.enter(job, { audience: 'vip', user: 'good', profile: {} });
  await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  await lab.jobs.enter(job, { audience: 'vip', user: 'bad', profile: {} });
  await stopWithOneLetter(job);
  await until(job, 'dead-letters', 'happened');
  expect(await summaries(job)).toEqual(
    expect.arrayContaining(['1 trigger, 1 permit', '1 dead letter', 'dead-letters happened']),
  );
});

/** A job that stops reports at once, without gathering. */
async function stopWithOneLetter(job: string): Promise<void> {
  await lab.statusWhen(job, ({ deadLetters }) => deadLetters === 1);
  await lab.jobs.stop(job);
}

/** What the Temporal UI writes beside the activities and timers of a job's history. */
async function summaries(job: string): Promise<unknown[]> {
  const { events } = await lab.handle(job).fetchHistory();
  return (events ?? []).flatMap(({ userMetadata }) =>
    userMetadata?.summary == null ? [] : [defaultPayloadConverter.fromPayload(userMetadata.summary)],
  );
}
