import { expect, test } from '@jest/globals';
import { Faults } from '../../chaos/faults.ts';
import { Dice } from '../../demo/dice.ts';
import { until } from '../support/patience.ts';

test('a server that does not come up again ends a run of chaos at once', async () => {
  const gone = new Error('It did not come up again.');
  const faults = new Faults({
    fleet: { kills: new Map() } as never, // Nobody is killed.
    apis: undefined,
    server: { parts: ['temporal'], restart: async () => await Promise.reject(gone) } as never, // Nothing else is asked.
    dice: new Dice(1),
    killEveryMs: 1,
    mostKills: 0,
    restarts: 1,
    progress: () => 1,
  });
  faults.check();
  faults.start();
  const problem = (): unknown => {
    try {
      faults.check();
      return undefined;
    } catch (error) {
      return error;
    }
  };
  await until(() => problem() === gone);
  await expect(faults.end()).rejects.toBe(gone);
});
