import { describe, expect, test } from '@jest/globals';
import type { Config } from '../../src/app/config.ts';
import { sourceSchema } from '../../src/app/source.ts';
import type { JobStatus } from '../../src/contract/job-status.ts';
import type { JsonObject } from '../../src/contract/trigger.ts';
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
  expect(lab.receiver.ledger.entries.map(({ message }) => message?.user ?? '').sort()).toEqual(PEOPLE);
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
