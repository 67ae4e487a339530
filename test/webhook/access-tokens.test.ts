import { expect, test } from '@jest/globals';
import { type AccessToken, AccessTokens } from '../../src/webhook/access-tokens.ts';

/** A server that numbers its tokens, each with a lifetime of `lifeMs`, by the test's own clock. */
function serverOf(lifeMs?: number) {
  const clock = { nowMs: 1_000_000, fetched: 0, isDown: false };
  const fetchOne = async (): Promise<AccessToken> => {
    clock.fetched++;
    await Promise.resolve();
    if (clock.isDown) throw new Error('down');
    const value = `token-${clock.fetched}`;
    return lifeMs === undefined ? { value } : { value, endsAtMs: clock.nowMs + lifeMs };
  };
  return Object.assign(clock, { tokens: new AccessTokens(fetchOne, () => clock.nowMs) });
}

const valueOf = async (token: Promise<AccessToken | undefined>) => (await token)?.value;

test('however many callers want a token, only one is fetched, and it is kept', async () => {
  const server = serverOf(3_600_000);
  const { tokens } = server;
  const values = await Promise.all([valueOf(tokens.current()), valueOf(tokens.current())]);
  expect([...values, await valueOf(tokens.current())]).toEqual(['token-1', 'token-1', 'token-1']);
  expect(server.fetched).toBe(1);
});

test.each([
  [3_600_000, 3_569_999, 3_570_000],
  [20_000, 9_999, 10_000],
  [11_000, 5_999, 6_000],
])('a token that lives %i ms is used for %i ms and replaced at %i', async (lifeMs, before, after) => {
  const server = serverOf(lifeMs);
  await server.tokens.current();
  server.nowMs += before;
  expect(await valueOf(server.tokens.current())).toBe('token-1');
  server.nowMs += after - before;
  expect(await valueOf(server.tokens.current())).toBe('token-2');
});

test.each([0, 1, 1000])(
  'a token with a stated lifetime of %i ms is still used for six seconds: its server is not asked for each slice',
  async (lifeMs) => {
    const server = serverOf(lifeMs);
    for (let ms = 0; ms < 60_000; ms += 100) {
      await server.tokens.current();
      server.nowMs += 100;
    }
    expect(server.fetched).toBe(10);
  },
);

test('a token that expires at once and is refused is replaced at once', async () => {
  const server = serverOf(0);
  const token = await server.tokens.current();
  expect(await valueOf(server.tokens.insteadOf(token))).toBe('token-2');
  expect(await valueOf(server.tokens.current())).toBe('token-2');
});

test('a token without a known end is used until an endpoint refuses it', async () => {
  const server = serverOf();
  const token = await server.tokens.current();
  server.nowMs += 1e9;
  expect(await valueOf(server.tokens.current())).toBe('token-1');
  expect(await valueOf(server.tokens.insteadOf(token))).toBe('token-2');
  expect(await valueOf(server.tokens.current())).toBe('token-2');
});

test('a refused token is replaced once, for all callers whose requests were refused', async () => {
  const server = serverOf();
  const token = await server.tokens.current();
  const others = await Promise.all([server.tokens.insteadOf(token), server.tokens.insteadOf(token)]);
  expect([...others, await server.tokens.insteadOf(token)].map((other) => other?.value)).toEqual([
    'token-2',
    'token-2',
    'token-2',
  ]);
  expect(server.fetched).toBe(2);
});

test('when an endpoint refuses the new token too, no other is fetched for a minute; one that was accepted and is refused later is replaced', async () => {
  const server = serverOf();
  const second = await server.tokens.insteadOf(await server.tokens.current());
  if (second === undefined) throw new Error('No token.');
  expect(await server.tokens.insteadOf(second)).toBeUndefined();
  server.nowMs += 59_999;
  expect(await server.tokens.insteadOf(second)).toBeUndefined();
  server.nowMs += 1;
  const third = await server.tokens.insteadOf(second);
  if (third === undefined) throw new Error('No token.');
  expect(await server.tokens.insteadOf(third)).toBeUndefined();
  server.tokens.taken(third);
  expect(await valueOf(server.tokens.insteadOf(third))).toBe('token-4');
});

test('a server that issues no token is not asked again for a moment, and then it is', async () => {
  const server = serverOf();
  server.isDown = true;
  await expect(server.tokens.current()).rejects.toThrow('down');
  server.isDown = false;
  server.nowMs += 1_999;
  await expect(server.tokens.current()).rejects.toThrow('down');
  expect(server.fetched).toBe(1);
  server.nowMs += 1;
  expect(await valueOf(server.tokens.current())).toBe('token-2');
});

test('when no other token can be fetched, the refusal stands', async () => {
  const server = serverOf();
  const token = await server.tokens.current();
  server.isDown = true;
  expect(await server.tokens.insteadOf(token)).toBeUndefined();
});

test('after the clock is set back, a server that issued no token is still asked again', async () => {
  const server = serverOf();
  server.isDown = true;
  await expect(server.tokens.current()).rejects.toThrow('down');
  server.isDown = false;
  server.nowMs -= 3_600_000;
  expect(await valueOf(server.tokens.current())).toBe('token-2');
});

test('after the clock is set back, a refused token is still replaced', async () => {
  const server = serverOf();
  const second = await server.tokens.insteadOf(await server.tokens.current());
  if (second === undefined) throw new Error('No token.');
  server.nowMs -= 3_600_000;
  expect(await valueOf(server.tokens.insteadOf(second))).toBe('token-3');
});

test('an endpoint that alternately accepts and refuses causes ten tokens to be fetched per minute, not one for each refusal', async () => {
  const server = serverOf();
  const turns = async (): Promise<number> => {
    for (let turn = 0; turn < 100; turn++) {
      const token = await server.tokens.current();
      server.tokens.taken(token);
      await server.tokens.insteadOf(token);
      server.nowMs += 100;
    }
    return server.fetched;
  };
  expect([await turns(), await turns()]).toEqual([11, 11]);
  server.nowMs += 60_000;
  expect(await turns()).toBe(21);
});
