import { expect, test } from '@jest/globals';
import { measuredSource } from '../../src/sources/source.ts';
import { MemorySource } from '../support/memory-source.ts';

const VIP = { id: 'ab'.repeat(16), slug: 'vip', name: 'VIP' };

test('every call is told when it ends, with what it was, how it went and how long it took; its answer is the source’s own', async () => {
  const source = new MemorySource({ audiences: [{ ...VIP, members: ['ada'] }], profiles: { ada: { name: 'Ada' } } });
  const calls: [call: string, isAnswered: boolean, isTimed: boolean][] = [];
  const measured = measuredSource(source, (call, isAnswered, durationMs) =>
    calls.push([call, isAnswered, durationMs >= 10 && durationMs < 5000]),
  );
  source.delayMs = 20;
  expect(await measured.audiences()).toEqual(await source.audiences());
  expect(await measured.members(VIP.id, undefined, 10)).toEqual({ ids: ['ada'] });
  expect(await measured.isMember(VIP.id, 'ada')).toBe(true);
  expect(await measured.profiles(['ada'])).toEqual(new Map([['ada', { name: 'Ada' }]]));
  expect(await measured.memberships?.(['ada'])).toEqual(new Map([['ada', ['vip']]]));
  source.failure = new Error('down');
  await expect(measured.profiles(['ada'])).rejects.toThrow('down');
  expect(calls).toEqual([
    ['audiences', true, true],
    ['members', true, true],
    ['isMember', true, true],
    ['profiles', true, true],
    ['memberships', true, true],
    ['profiles', false, true],
  ]);
  source.memberships = undefined;
  expect(measuredSource(source, () => undefined).memberships).toBeUndefined();
  source.lagMs = 5;
  expect(measured.lagMs).toBe(5);
});
