import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { setTimeout } from 'node:timers/promises';
import { type ConnectedClient, connectClient } from '../../src/client/connect.ts';
import { Way } from '../support/way.ts';

const way = new Way();
let connected: ConnectedClient;
beforeAll(async () => {
  await way.open();
  const connectionOptions = { address: way.address };
  connected = await connectClient({ connectionOptions, namespace: 'default' }, []);
});
afterAll(async () => {
  await connected.close();
  await way.close();
});

async function isThere(): Promise<boolean> {
  const { client } = connected;
  return await client
    .withDeadline(Date.now() + 300, () => client.workflowService.describeNamespace({ namespace: 'default' }))
    .then(
      () => true,
      () => false,
    );
}

test('a server that was away for long is found within seconds when it is back, however often it was asked meanwhile', async () => {
  expect(await isThere()).toBe(true);
  await way.close();
  const awayUntil = performance.now() + 25_000;
  while (performance.now() < awayUntil) {
    expect(await isThere()).toBe(false);
    await setTimeout(200);
  }
  await way.open();
  const back = performance.now();
  while (!(await isThere())) await setTimeout(50);
  expect(performance.now() - back).toBeLessThan(5_000);
});
