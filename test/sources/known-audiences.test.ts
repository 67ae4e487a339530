import { expect, test } from '@jest/globals';
import { KnownAudiences } from '../../src/sources/known-audiences.ts';

const VIP = { id: 'a'.repeat(32) };
const NEW = { id: 'b'.repeat(32) };

test('the list is asked for once for all who want it at the same time', async () => {
  let reads = 0;
  const known = new KnownAudiences('It', async () => (reads++, [VIP]));
  expect(await Promise.all([known.list(), known.list(), known.find(VIP.id)])).toEqual([[VIP], [VIP], VIP]);
  expect(reads).toBe(1);
  await known.list();
  expect(reads).toBe(2);
});

test('an audience that is known is trusted for a minute; one that is not is asked for at once', async () => {
  let nowMs = 0;
  let reads = 0;
  let audiences = [VIP];
  const known = new KnownAudiences(
    'It',
    async () => (reads++, audiences),
    () => nowMs,
  );
  await known.find(VIP.id);
  nowMs = 59_000;
  await known.find(VIP.id);
  expect(reads).toBe(1);
  audiences = [NEW];
  expect(await known.find(NEW.id)).toBe(NEW);
  await expect(known.find(VIP.id)).rejects.toThrow(/^It has no audience with the id a+\./);
  audiences = [];
  nowMs = 200_000;
  await expect(known.find(NEW.id)).rejects.toThrow(/no audience/);
});

test('after a failure the list is asked for again', async () => {
  const answers = [Promise.reject(new Error('down')), Promise.resolve([VIP])];
  const known = new KnownAudiences('It', async () => (await answers.shift()) ?? []);
  await expect(known.list()).rejects.toThrow('down');
  expect(await known.list()).toEqual([VIP]);
});
