import { expect, test } from '@jest/globals';
import { Lab } from '../support/lab.ts';

test('a clean shutdown lets requests in flight end; the next worker continues, and nothing is sent twice', async () => {
  const lab = await Lab.open({ workers: 0, receiver: { delayMs: 30 } });
  try {
    const first = await lab.addWorker();
    const job = await lab.start({ parallelRequestCount: 5 });
    const triggers = Array.from({ length: 400 }, (_, i) => ({
      audience: 'vip',
      user: `p${i}`,
      event: 'enter' as const,
      at: `2026-01-01T00:00:00.${String(i).padStart(9, '0')}Z`,
      profile: {},
    }));
    await lab.jobs.push(job, triggers);
    await lab.receiver.ledger.waitFor((ledger) => ledger.delivered >= 30);
    await lab.shutdown(first);
    expect(lab.receiver.inFlight).toBe(0);
    expect(lab.receiver.ledger.delivered).toBeLessThan(400);
    await lab.addWorker();
    await lab.receiver.ledger.waitFor((ledger) => ledger.delivered >= 400);
    expect(lab.receiver.ledger.summary()).toMatchObject({ requests: 400, duplicates: 0 });
  } finally {
    await lab.close();
  }
});
