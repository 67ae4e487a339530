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

/** One thing that may happen to a job. */
const happening: fc.Arbitrary<(world: DispatcherWorld) => void> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc
      .tuple(
        user,
        fc.constantFrom('a' as const, 'b' as const),
        fc.constantFrom('enter' as const, 'exit' as const),
        fc.constantFrom(0, 0, 200, 350),
        fc.constantFrom(0, 0, 0, YEAR_MS, -YEAR_MS),
      )
      .map(
        ([who, audience, event, bytes, agoMs]) =>
          (world: DispatcherWorld) =>
            world.signal(who, audience, event, bytes, agoMs),
      ),
  },
  {
    weight: 4,
    arbitrary: fc
      .array(
        fc.tuple(user, fc.constantFrom('a' as const, 'b' as const), fc.constantFrom('enter' as const, 'exit' as const)),
        { minLength: 1, maxLength: 10 },
      )
      .map((triggers) => (world: DispatcherWorld) => world.signalSpilled(triggers)),
  },
  {
    weight: 8,
    arbitrary: fc.tuple(fc.nat(20), answers).map(
      ([which, drawn]) =>
        (world: DispatcherWorld) =>
          world.endSlice(which, drawn, false),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.nat(20), answers).map(
      ([which, drawn]) =>
        (world: DispatcherWorld) =>
          world.endSlice(which, drawn, true),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.nat(20), answers).map(
      ([which, drawn]) =>
        (world: DispatcherWorld) =>
          world.killWorker(which, drawn),
    ),
  },
  { weight: 1, arbitrary: fc.nat(20).map((which) => (world: DispatcherWorld) => world.speakLate(which)) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(4096, 4096, 8192).map((events) => (world: DispatcherWorld) => world.grow(events)),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(1, 500, 6000, 700_000).map((ms) => (world: DispatcherWorld) => world.pass(ms)),
  },
  { weight: 2, arbitrary: fc.boolean().map((happens) => (world: DispatcherWorld) => world.continueAsNew(happens)) },
  {
    weight: 1,
    arbitrary: fc.tuple(answers, fc.boolean()).map(
      ([drawn, happens]) =>
        (world: DispatcherWorld) =>
          world.terminate(drawn, happens),
    ),
  },
  {
    weight: 6,
    arbitrary: fc.tuple(fc.nat(5), fc.constantFrom<End>('done', 'done', 'done', 'done', 'unmatched', 'failed')).map(
      ([which, how]) =>
        (world: DispatcherWorld) =>
          world.endErrand(which, how),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(user, fc.nat(20)).map(
      ([who, which]) =>
        (world: DispatcherWorld) =>
          world.signalAgain(who, which),
    ),
  },
  { weight: 1, arbitrary: fc.nat(5).map((which) => (world: DispatcherWorld) => world.redeliver(which)) },
  { weight: 1, arbitrary: fc.nat(20).map((which) => (world: DispatcherWorld) => world.returnPermits(which)) },
  { weight: 1, arbitrary: fc.constant((world: DispatcherWorld) => world.stopKeeping()) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(0, 5000, 3_600_000).map((ms) => (world: DispatcherWorld) => world.stopDelivering(ms)),
  },
  { weight: 2, arbitrary: fc.constant((world: DispatcherWorld) => world.runAgain()) },
  { weight: 1, arbitrary: fc.constant((world: DispatcherWorld) => world.pause()) },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.nat(2), answers).map(
      ([how, drawn]) =>
        (world: DispatcherWorld) =>
          world.hearOfPause(how, drawn),
    ),
  },
  { weight: 2, arbitrary: fc.constant((world: DispatcherWorld) => world.resume()) },
  { weight: 1, arbitrary: fc.constant((world: DispatcherWorld) => world.retry()) },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 1, max: 30 }).map((count) => (world: DispatcherWorld) => world.editParallel(count)),
  },
  { weight: 1, arbitrary: fc.nat(3).map((n) => (world: DispatcherWorld) => world.editUrl(n)) },
  { weight: 1, arbitrary: fc.boolean().map((withA) => (world: DispatcherWorld) => world.editAudiences(withA)) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(undefined, undefined, 1, 2)
      .map((sample) => (world: DispatcherWorld) => world.backfill(sample)),
  },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 1, max: 3 }).map((nth) => (world: DispatcherWorld) => world.reconcile(nth)),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('pause' as const, 'resume' as const, 'resume' as const, 'cancel' as const)
      .map((action) => (world: DispatcherWorld) => world.operateBackfill(action)),
  },
  { weight: 1, arbitrary: fc.constant((world: DispatcherWorld) => world.loseChild()) },
  { weight: 1, arbitrary: fc.nat(5).map((which) => (world: DispatcherWorld) => world.holders.damage(which)) },
  { weight: 1, arbitrary: fc.constant((world: DispatcherWorld) => world.holders.heal()) },
  { weight: 1, arbitrary: fc.constant((world: DispatcherWorld) => world.readHolder()) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom(null, 0.1, 3, 1000), fc.constantFrom(null, 1, 5)).map(
      ([perSecond, parallel]) =>
        (world: DispatcherWorld) =>
          world.editPace(perSecond, parallel),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom<readonly TriggerEvent[] | null>(null, null, ['enter'], ['exit'], ['enter', 'exit'])
      .map((events) => (world: DispatcherWorld) => world.editEvents(events)),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(null, 0.1, 1, 5, 100)
      .map((perSecond) => (world: DispatcherWorld) => world.editRate(perSecond)),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(null, 'wait' as const, 'drop' as const)
      .map((meanwhile) => (world: DispatcherWorld) => world.editQuiet(meanwhile)),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(null, 1, 3, 10).map((people) => (world: DispatcherWorld) => world.editQuota(people)),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('send' as const, 'drop' as const)
      .map((stale) => (world: DispatcherWorld) => world.editStale(stale)),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(null, '1m', '10m', '7d')
      .map((retryFor) => (world: DispatcherWorld) => world.editRetry(retryFor)),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(user, fc.integer({ min: 1, max: 6 })).map(
      ([who, times]) =>
        (world: DispatcherWorld) =>
          world.failAgain(who, times),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(null, 1, 5000, 600_000).map((ms) => (world: DispatcherWorld) => world.editEnd(ms)),
  },
  {
    weight: 2,
    arbitrary: fc
      .oneof(
        fc.constant(null),
        fc.record({ size: fc.constantFrom(1, 2, 3, 8), afterMs: fc.constantFrom(0, 0, 400, 6000) }),
      )
      .map((batch) => (world: DispatcherWorld) => world.editBatch(batch)),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(fc.integer({ min: 1, max: 3 }), fc.constantFrom('now' as const, 'late' as const, 'again' as const))
      .map(
        ([size, how]) =>
          (world: DispatcherWorld) =>
            world.readPage(size, how),
      ),
  },
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
        world.editRetry(retryFor);
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
