import { expect, test } from '@jest/globals';
import { apiWithoutTemporal, askOf, timersThatHold } from './an-api.ts';

// Alone in this file: what other tests left behind would be counted, too.
test('the rest of a refused body is not waited for once the API has ended', async () => {
  const before = timersThatHold();
  const server = await apiWithoutTemporal({ boss: { hash: `sha256:${'0'.repeat(64)}`, may: ['read'] } });
  expect(
    await askOf(server, '/v1/jobs/crm/triggers', { body: { audience: 'vip', user: '1', event: 'enter' } }),
  ).toMatchObject({ status: 401 });
  await server.close();
  expect(timersThatHold()).toBe(before);
});
