import type { LookupAddress } from 'node:dns';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { createLookUp, type LookUp, type LookUpOptions, sharedLookUp } from '../../src/webhook/look-up.ts';
import { createPoster } from '../../src/webhook/poster.ts';
import { startReceiver } from '../../src/local/receiver.ts';
import { startDnsServer } from './a-dns-server.ts';
import { afterwards } from './a-server.ts';
import { attemptOf, THIS_MACHINE } from './an-attempt.ts';

const LOOPBACK = { address: '127.0.0.1', family: 4 };

type Outcome = readonly LookupAddress[] | string;

/** The outcome of looking a name up: its addresses, or the code of the error. */
const outcomeOf = (lookUp: LookUp, hostname: string): Promise<Outcome> =>
  new Promise((resolve) =>
    lookUp(hostname, { all: true }, (error, addresses) => resolve(error === null ? addresses : (error.code ?? ''))),
  );

/** Look-ups by a name server of ours; and the names that the system was asked about, which has one address for each. */
async function lookUpsBy(answers: readonly string[], options: LookUpOptions = {}) {
  const { address, looked } = await startDnsServer(answers);
  const asked: string[] = [];
  const system: LookUp = (hostname, _, callback) => {
    asked.push(hostname);
    callback(null, [{ address: '127.0.0.9', family: 4 }]);
  };
  return { lookUp: createLookUp({ servers: [address], system, ...options }), looked, asked };
}

test('a name gets all addresses that name servers know, of both families, and the system is not asked', async () => {
  const { lookUp, asked } = await lookUpsBy(['127.0.0.1', '127.0.0.2', '2606:4700::1111']);
  expect(await outcomeOf(lookUp, 'hook.example')).toEqual([
    LOOPBACK,
    { address: '127.0.0.2', family: 4 },
    { address: '2606:4700::1111', family: 6 },
  ]);
  expect(asked).toEqual([]);
});

test('[S29] a hundred names whose name servers are silent do not delay the first connection to another host', async () => {
  const { lookUp } = await lookUpsBy(['127.0.0.1'], { timeoutMs: 5000 });
  const receiver = await startReceiver();
  afterwards(() => receiver.close());
  const poster = createPoster({ timeoutMs: 2000, policy: THIS_MACHINE, lookUp });
  afterwards(() => poster.close());
  const port = new URL(receiver.url).port;
  const silent = Array.from({ length: 100 }, (_, i) =>
    attemptOf(poster, `http://silent${i}.example:${port}/`, [], '{}'),
  );
  const attempt = await attemptOf(poster, `http://hook.example:${port}/`, [], '{}');
  expect(attempt).toMatchObject({ ok: true });
  expect(attempt.durationMs).toBeLessThan(1500);
  for (const one of await Promise.all(silent)) expect(one).toMatchObject({ ok: false, code: 'REQUEST_TIMEOUT' });
});

test('[S14] the wait for silent name servers is limited, however many there are, and the system, whose threads would wait longer, is not asked', async () => {
  const servers = [await startDnsServer(), await startDnsServer(), await startDnsServer()].map(
    ({ address }) => address,
  );
  const { lookUp, asked } = await lookUpsBy([], { servers, timeoutMs: 1000 });
  const startedAt = performance.now();
  expect(await outcomeOf(lookUp, 'silent.example')).toBe('EAI_AGAIN');
  expect(performance.now() - startedAt).toBeLessThan(2000);
  expect(asked).toEqual([]);
});

test('a query that got lost is sent again', async () => {
  const { lookUp } = await lookUpsBy(['127.0.0.1'], { timeoutMs: 3000 });
  expect(await outcomeOf(lookUp, 'lost.example')).toEqual([LOOPBACK]);
});

test('callers that ask for the same name at the same time share one look-up, and later ones get a new one', async () => {
  const { lookUp, looked } = await lookUpsBy(['127.0.0.1']);
  const all = await Promise.all(Array.from({ length: 100 }, () => outcomeOf(lookUp, 'hook.example')));
  expect(all).toEqual(Array.from({ length: 100 }, () => [LOOPBACK]));
  expect(looked()).toBe(1);
  await outcomeOf(lookUp, 'hook.example');
  expect(looked()).toBe(2);
});

test('a caller that changes its answer does not change those of others', async () => {
  const { lookUp } = await lookUpsBy(['127.0.0.1']);
  const emptied = new Promise<void>((resolve) =>
    lookUp('hook.example', { all: true }, (_, addresses) => {
      addresses.length = 0;
      resolve();
    }),
  );
  const other = outcomeOf(lookUp, 'hook.example');
  await emptied;
  expect(await other).toEqual([LOOPBACK]);
});

test('names in the hosts file take precedence over name servers, whatever their case', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'hosts-'));
  afterwards(() => Promise.resolve(rmSync(folder, { recursive: true })));
  const hostsFile = join(folder, 'hosts');
  writeFileSync(hostsFile, '127.0.0.9\tother Hook.Example # gone.example\n# old.example\n');
  const { lookUp, looked, asked } = await lookUpsBy(['127.0.0.1'], { hostsFile });
  expect(await outcomeOf(lookUp, 'hook.EXAMPLE')).toEqual([{ address: '127.0.0.9', family: 4 }]);
  expect([asked, looked()]).toEqual([['hook.EXAMPLE'], 0]);
  for (const name of ['gone.example', 'old.example', '127.0.0.9.example', 'hook'])
    expect(await outcomeOf(lookUp, name)).toEqual([LOOPBACK]);
  expect(asked).toHaveLength(1);
});

test('the system is asked about names that name servers do not know, since it may have search domains', async () => {
  const { lookUp, asked } = await lookUpsBy([]);
  expect(await outcomeOf(lookUp, 'hook')).toEqual([{ address: '127.0.0.9', family: 4 }]);
  expect(asked).toEqual(['hook']);
});

test('the system is asked when there is no name server', async () => {
  const { lookUp, asked } = await lookUpsBy([], { servers: ['127.0.0.1:1'] });
  expect(await outcomeOf(lookUp, 'hook.example')).toEqual([{ address: '127.0.0.9', family: 4 }]);
  expect(asked).toEqual(['hook.example']);
});

test('localhost is found, and a host that does not exist is not', async () => {
  expect(await outcomeOf(sharedLookUp, 'localhost')).toEqual(expect.arrayContaining([LOOPBACK]));
  expect(await outcomeOf(sharedLookUp, 'no-such-host.invalid')).toMatch(/^(ENOTFOUND|EAI_AGAIN)$/);
});
