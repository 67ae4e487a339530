import { expect, test } from '@jest/globals';
import { Dice } from '../../demo/dice.ts';
import { Lab, NEWS, VIP } from '../support/lab.ts';

const MEMBERS = 3000;
const STRANGERS = 500;

test('whoever enters or exits while a backfill runs is told in the right order, and of nothing twice', async () => {
  const members = Array.from({ length: MEMBERS }, (_, index) => `member-${index}`);
  const strangers = Array.from({ length: STRANGERS }, (_, index) => `stranger-${index}`);
  const people = [...members, ...strangers];
  const lab = await Lab.open({
    content: {
      audiences: [
        { ...VIP, members },
        { ...NEWS, members: [] },
      ],
      profiles: Object.fromEntries(people.map((user) => [user, { user }])),
    },
    receiver: { delayMs: 1 },
  });
  try {
    const job = await lab.start({ audiences: ['vip'], parallelRequestCount: 4, existingUsers: true });
    const dice = new Dice(Number(process.env['RACE_SEED'] ?? 1));
    const isIn = new Map(people.map((user) => [user, user.startsWith('member')]));
    const changed = new Set<string>();
    let isRunning = true;
    while (isRunning) {
      const user = dice.oneOf(people);
      const event = isIn.get(user) === true ? 'exit' : 'enter';
      // The source is the truth, and first: what tells the job of a change tells it afterwards.
      if (event === 'exit') lab.source.exit('vip', user);
      else lab.source.enter('vip', user);
      isIn.set(user, event === 'enter');
      changed.add(user);
      await lab.jobs[event](job, { audience: 'vip', user });
      if (changed.size % 50 === 0) isRunning = (await lab.jobs.status(job)).backfill?.state === 'running';
    }
    await lab.statusWhen(job, ({ waiting, inFlight }) => waiting + inFlight === 0);

    const told = new Map<string, string[]>();
    for (const { message } of lab.receiver.ledger.entries)
      if (message !== undefined) told.set(message.user, [...(told.get(message.user) ?? []), message.event]);
    expect(changed.size).toBeGreaterThan(100);
    const wrong = people.filter((user) => {
      const events = told.get(user) ?? [];
      const isTwice = events.some((event, index) => event === events[index - 1]);
      const last = events.at(-1) ?? (user.startsWith('stranger') ? 'exit' : 'nothing');
      return isTwice || (last === 'enter') !== isIn.get(user);
    });
    expect(wrong.map((user) => [user, told.get(user), isIn.get(user)])).toEqual([]);
    expect(lab.receiver.ledger.summary()).toMatchObject({ duplicates: 0, overlaps: 0 });
  } finally {
    await lab.close();
  }
});
