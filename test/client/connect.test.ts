import { createServer } from 'node:net';
import { expect, test } from '@jest/globals';
import { connectClient } from '../../src/client/connect.ts';
import { ServerUnreachable } from '../../src/client/errors.ts';

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

test('where no server answers, the error says the address and what to do, within some seconds', async () => {
  const address = `127.0.0.1:${await closedPort()}`;
  const begun = performance.now();
  const error = await connectClient({ connectionOptions: { address }, namespace: 'default' }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(ServerUnreachable);
  expect(String(error)).toContain(address);
  expect(String(error)).toContain('triggers up');
  expect(performance.now() - begun).toBeLessThan(10_000);
});
