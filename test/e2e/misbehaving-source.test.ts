import { describe, expect, test } from '@jest/globals';
import type { Config } from '../../src/app/config.ts';
import { sourceSchema } from '../../src/app/source.ts';
import type { JobStatus } from '../../src/contract/job-status.ts';
import type { JsonObject } from '../../src/contract/trigger.ts';
import type { MembersPage } from '../../src/sources/source.ts';
import { type Lab, labOfTest, membersOfVip, NEWS, VIP } from '../support/lab.ts';
import { aPayloadKey } from '../temporal/a-payload-key.ts';
import * as people from '../features/source-http/a-people-service.ts';
import * as lytics from '../features/source-lytics/a-lytics.ts';

const PEOPLE = Array.from({ length: 700 }, (_, i) => `member-${String(i).padStart(5, '0')}`);

async function labOf(members: string[], config: Partial<Config> = {}): Promise<Lab> {
  const lab = await labOfTest({ content: membersOfVip(members), config });
  lab.source.pageSize = 200;
  return lab;
}

async function finished(lab: Lab, job: string): Promise<JobStatus> {
  const status = await lab.statusWhen(job, ({ waiting, backfill }) => waiting === 0 && backfill?.state === 'finished');
  expect(status.backfill?.trouble).toBeUndefined();
  return status;
}

/** Who was sent, and how many repetitions there were; each repetition must have the id of the first. */
function told(lab: Lab): { users: string[]; repeats: number } {
  const ids = new Map<string, Set<string | undefined>>();
  for (const { message, deliveryId } of lab.receiver.ledger.entries)
    if (message !== undefined) ids.set(message.user, (ids.get(message.user) ?? new Set()).add(deliveryId));
  for (const [user, sent] of ids) expect([user, sent.size]).toEqual([user, 1]);
  return { users: [...ids.keys()].sort(), repeats: lab.receiver.ledger.entries.length - ids.size };
}

/** The status says what its backfill cannot read, for as long as that is so. */
const inTrouble = (lab: Lab, job: string, words: string) =>
  lab.statusWhen(job, ({ backfill }) => backfill?.trouble?.includes(words) === true);

test('a backfill sends everybody once though its source is slow and then down for a while', async () => {
  const lab = await labOf(PEOPLE);
  lab.source.delayMs = 300;
  const job = await lab.start({ existingUsers: true, parallelRequestCount: 20 });
  await lab.receiver.ledger.waitFor((ledger) => ledger.delivered > 50);
  lab.source.failure = new Error('the source is down');
  await inTrouble(lab, job, 'the source is down');
  lab.source.failure = undefined;
  lab.source.delayMs = 0;
  await finished(lab, job);
  expect(told(lab)).toEqual({ users: PEOPLE, repeats: 0 });
});

test('a backfill notices a source that goes back, misses nobody, and repeats people under one id each', async () => {
  const lab = await labOf(PEOPLE);
  lab.source.bend = (page, after) => (after === '400' ? { ...page, next: '200' } : page);
  const job = await lab.start({ existingUsers: true, parallelRequestCount: 20 });
  await inTrouble(lab, job, 'is circular');
  lab.source.bend = undefined;
  await finished(lab, job);
  const { users, repeats } = told(lab);
  expect(users).toEqual(PEOPLE);
  expect(repeats).toBeLessThanOrEqual(400);
});

test('a backfill sends all people that a source shows, one id each, though its pages repeat and drop some', async () => {
  const lab = await labOf(PEOPLE);
  const dropped = new Set(['member-00200', 'member-00401']);
  const bend = ({ ids, ...rest }: MembersPage, after: string | undefined): MembersPage => ({
    ...rest,
    ids: [
      ...(after === undefined ? [] : PEOPLE.slice(Number(after) - 50, Number(after))),
      ...ids.filter((id) => !dropped.has(id)),
    ],
  });
  lab.source.bend = bend;
  const job = await lab.start({ existingUsers: true, parallelRequestCount: 20 });
  await finished(lab, job);
  const { users, repeats } = told(lab);
  expect(users).toEqual(PEOPLE.filter((user) => !dropped.has(user)));
  expect(repeats).toBeLessThanOrEqual(150);
});

test('with encryption, a client with the key reads the trouble of a source, and sees it end', async () => {
  const lab = await labOf(PEOPLE.slice(0, 10), { payloadKeys: [aPayloadKey('k1')] });
  lab.source.bend = () => {
    throw new Error('the cursor is refused');
  };
  const job = await lab.start({ existingUsers: true });
  await inTrouble(lab, job, 'the cursor is refused');
  lab.source.bend = undefined;
  await finished(lab, job);
});

describe('services as sources', () => {
  const MEMBERS = Array.from({ length: 2500 }, (_, i) => `member-${i}`);
  const CONTENT = {
    audiences: [
      { ...VIP, members: MEMBERS, windowMinutes: 15 },
      { ...NEWS, members: [] },
    ],
    profiles: Object.fromEntries([...MEMBERS, 'live'].map((user, i): [string, JsonObject] => [user, { i }])),
  };

  /** Existing members and a live trigger through a job whose source is a service. */
  async function exported(source: object): Promise<void> {
    const lab = await labOfTest({ config: { source: sourceSchema.parse(source) }, configuredSource: true });
    const job = await lab.start({ existingUsers: true, parallelRequestCount: 20 });
    await lab.jobs.enter(job, { audience: 'news', user: 'live' });
    await lab.receiver.ledger.waitFor((ledger) => ledger.delivered === 2501);
    const { backfill } = await lab.statusWhen(job, (status) => status.backfill?.state === 'finished');
    expect(backfill).toMatchObject({ taken: 2500, delivered: 2500 });
    expect(lab.receiver.ledger.summary()).toMatchObject({ duplicates: 0 });
    const sent = lab.receiver.ledger.entries.map(({ message }) => message?.user);
    expect(new Set(sent)).toEqual(new Set([...MEMBERS, 'live']));
  }

  test('a job sends the members of a Lytics audience, with the profiles that their scan brought', async () => {
    const server = await lytics.startLytics(CONTENT);
    await exported(lytics.settings(server.url));
    // Those of 2,501 people who were not in a scan.
    const lookedUp = server.asked.filter(({ url }) => url.pathname.includes('/entity/'));
    expect(lookedUp.map(({ url }) => url.pathname)).toEqual(['/api/entity/user/_uid/live']);
  });

  test('a job sends the members of a mapped service, with their profiles', async () => {
    const server = await people.startPeopleService(CONTENT);
    await exported(people.settings(server.url));
    expect(server.asked.some(({ body }) => body.includes('"live"'))).toBe(true);
  });
});
