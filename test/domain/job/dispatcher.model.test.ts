import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { TriggerEvent } from '../../../src/contract/trigger.ts';
import { DispatcherWorld } from './dispatcher-model.ts';
import type { Answer } from './model-endpoint.ts';
import type { End } from './model-holders.ts';
import { always } from '../../support/properties.ts';

const user = fc.integer({ min: 0, max: 5 }).map((n) => `user-${n}`);
const answers = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.constant<Answer>('ok') },
    {
      weight: 1,
      arbitrary: fc.constantFrom<Answer>(
        500,
        404,
        400,
        410,
        429,
        '429 now',
        '503 now',
        'source',
        'profile',
        'unsent',
        'given up',
        'pausing',
        'tried again',
      ),
    },
  ),
  { minLength: 1, maxLength: 6 },
);

const YEAR_MS = 365 * 86_400_000;

/** Something that may happen to a job, with what is drawn for it; the weight says how often, beside all the others. */
function happens<T extends readonly unknown[]>(
  weight: number,
  drawn: readonly [...{ [K in keyof T]: fc.Arbitrary<T[K]> }],
  happen: (world: DispatcherWorld, ...drawn: T) => void,
): fc.WeightedArbitrary<(world: DispatcherWorld) => void> {
  const all = fc.tuple<[...T]>(...drawn);
  return { weight, arbitrary: all.map((one) => (world: DispatcherWorld) => happen(world, ...one)) };
}

const which = fc.nat(20);
const which5 = fc.nat(5);
const audience = fc.constantFrom('a', 'b');
const event = fc.constantFrom('enter', 'exit');
const bytes = fc.constantFrom(0, 0, 200, 350);
const agoMs = fc.constantFrom(0, 0, 0, YEAR_MS, -YEAR_MS);
const triggers = fc.array(fc.tuple(user, audience, event), { minLength: 1, maxLength: 10 });
const end = fc.constantFrom<End>('done', 'done', 'done', 'done', 'unmatched', 'failed');
const batch = fc.record({ size: fc.constantFrom(1, 2, 3, 8), afterMs: fc.constantFrom(0, 0, 400, 6000) });
const events = fc.constantFrom<readonly TriggerEvent[] | null>(null, null, ['enter'], ['exit'], ['enter', 'exit']);

/** One thing that may happen to a job. */
const happening: fc.Arbitrary<(world: DispatcherWorld) => void> = fc.oneof(
  happens(20, [user, audience, event, bytes, agoMs], (world, ...trigger) => world.signal(...trigger)),
  happens(4, [triggers], (world, all) => world.signalSpilled(all)),
  happens(8, [which, answers], (world, one, drawn) => world.endSlice(one, drawn, false)),
  happens(1, [which, answers], (world, one, drawn) => world.endSlice(one, drawn, true)),
  happens(2, [which, answers], (world, one, drawn) => world.killWorker(one, drawn)),
  happens(1, [which], (world, one) => world.speakLate(one)),
  happens(2, [fc.constantFrom(4096, 4096, 8192)], (world, count) => world.grow(count)),
  happens(3, [fc.constantFrom(1, 500, 6000, 700_000)], (world, ms) => world.pass(ms)),
  happens(2, [fc.boolean()], (world, anyway) => world.continueAsNew(anyway)),
  happens(1, [answers, fc.boolean()], (world, drawn, anyway) => world.terminate(drawn, anyway)),
  happens(6, [which5, end], (world, one, how) => world.endHolderActivity(one, how)),
  happens(2, [user, which], (world, who, one) => world.signalAgain(who, one)),
  happens(1, [which5], (world, one) => world.redeliver(one)),
  happens(1, [which], (world, one) => world.returnPermits(one)),
  happens(1, [], (world) => world.stopKeeping()),
  happens(1, [fc.constantFrom(0, 5000, 3_600_000)], (world, ms) => world.stopDelivering(ms)),
  happens(2, [], (world) => world.runAgain()),
  happens(1, [], (world) => world.pause()),
  happens(2, [fc.nat(2), answers], (world, how, drawn) => world.hearOfPause(how, drawn)),
  happens(2, [], (world) => world.resume()),
  happens(1, [], (world) => world.retry()),
  happens(1, [fc.integer({ min: 1, max: 30 })], (world, count) => world.editParallel(count)),
  happens(1, [fc.nat(3)], (world, n) => world.edit({ webhookUrl: `https://example.com/${n}` })),
  happens(1, [fc.boolean()], (world, withA) => world.editAudiences(withA)),
  happens(2, [fc.constantFrom(undefined, undefined, 1, 2)], (world, sample) => world.backfill(sample)),
  happens(2, [fc.integer({ min: 1, max: 3 })], (world, nth) => world.reconcile(nth)),
  happens(1, [fc.constantFrom('pause', 'resume', 'resume', 'cancel')], (world, what) => world.operateBackfill(what)),
  happens(1, [], (world) => world.loseChild()),
  happens(1, [which5], (world, one) => world.holders.damage(one)),
  happens(1, [], (world) => world.holders.heal()),
  happens(1, [], (world) => world.readHolder()),
  happens(1, [fc.constantFrom(null, 0.1, 3, 1000), fc.constantFrom(null, 1, 5)], (world, perSecond, parallel) =>
    world.edit({ backfillPerSecond: perSecond, backfillParallelCount: parallel }),
  ),
  happens(1, [events], (world, some) => world.editEvents(some)),
  happens(1, [fc.constantFrom(null, 0.1, 1, 5, 100)], (world, rate) => world.edit({ requestsPerSecond: rate })),
  happens(1, [fc.constantFrom(null, 'wait', 'drop')], (world, meanwhile) => world.editQuiet(meanwhile)),
  happens(1, [fc.constantFrom(null, 1, 3, 10)], (world, people) => world.editQuota(people)),
  happens(1, [fc.constantFrom('send', 'drop')], (world, stale) => world.editStale(stale)),
  happens(1, [fc.constantFrom(null, '1m', '10m', '7d')], (world, retryFor) => world.edit({ retryFor })),
  happens(1, [user, fc.integer({ min: 1, max: 6 })], (world, who, times) => world.failAgain(who, times)),
  happens(1, [fc.constantFrom(null, 1, 5000, 600_000)], (world, ms) => world.editEnd(ms)),
  happens(2, [fc.oneof(fc.constant(null), batch)], (world, how) => world.editBatch(how)),
  happens(4, [fc.integer({ min: 1, max: 3 }), fc.constantFrom('now', 'late', 'again')], (world, size, how) =>
    world.readPage(size, how),
  ),
);

test('[S28] whatever happens, nothing is lost, doubled, out of order or over the cap', () => {
  always(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.constantFrom(0, 0, 2 * 1024, 16 * 1024),
      fc.constantFrom(null, null, '1m', '10m'),
      fc.array(happening, { minLength: 1, maxLength: 120, size: 'max' }),
      (parallel, tailBytes, retryFor, happenings) => {
        const world = new DispatcherWorld(parallel, tailBytes);
        world.edit({ retryFor });
        for (const happen of happenings) {
          happen(world);
          world.pump();
          world.check();
        }
        world.finishAll();
        world.check();
        world.checkEnd();
      },
    ),
    60,
  );
  expect(true).toBe(true);
});
