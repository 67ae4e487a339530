import { expect, test } from '@jest/globals';
import { sourceSchema } from '../../src/config/source-config.ts';
import type { JsonObject } from '../../src/contract/trigger.ts';
import * as people from '../sources/http/a-people-service.ts';
import * as lytics from '../sources/lytics/a-lytics.ts';
import { Lab, NEWS, VIP } from '../support/lab.ts';

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
  const lab = await Lab.open({ config: { source: sourceSchema.parse(source) }, configuredSource: true });
  try {
    const job = await lab.start({ existingUsers: true, parallelRequestCount: 20 });
    await lab.jobs.enter(job, { audience: 'news', user: 'live' });
    await lab.receiver.ledger.waitFor((ledger) => ledger.delivered === 2501);
    const { backfill } = await lab.statusWhen(job, (status) => status.backfill?.state === 'finished');
    expect(backfill).toMatchObject({ taken: 2500, delivered: 2500 });
    expect(lab.receiver.ledger.summary()).toMatchObject({ duplicates: 0 });
    const sent = lab.receiver.ledger.entries.map(({ message }) => message?.user);
    expect(new Set(sent)).toEqual(new Set([...MEMBERS, 'live']));
  } finally {
    await lab.close();
  }
}

test('the members of a Lytics audience are sent, with profiles that their scan brought', async () => {
  const server = await lytics.startLytics(CONTENT);
  await exported(lytics.settings(server.url));
  // Of 2,501 people, whoever was not in a scan.
  const lookedUp = server.asked.filter(({ url }) => url.pathname.includes('/entity/'));
  expect(lookedUp.map(({ url }) => url.pathname)).toEqual(['/api/entity/user/_uid/live']);
});

test('the members of a service that is mapped are sent, with their profiles', async () => {
  const server = await people.startPeopleService(CONTENT);
  await exported(people.settings(server.url));
  expect(server.asked.some(({ body }) => body.includes('"live"'))).toBe(true);
});
