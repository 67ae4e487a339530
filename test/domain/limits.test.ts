import { expect, test } from '@jest/globals';
import { budgetsOf, DEFAULT_SERVER_LIMITS } from '../../src/domain/limits.ts';

const KIB = 1024;

test('the limits of a default server give the bounds of the design', () => {
  expect(budgetsOf(DEFAULT_SERVER_LIMITS)).toEqual({
    triggerBytes: 64 * KIB,
    sliceBytes: 128 * KIB,
    stateBytes: 1.5 * KIB * KIB,
    chainBytes: 768 * KIB,
    tailBytes: 2 * KIB * KIB,
    auditBytes: 16 * KIB,
    replacedBytes: 64 * KIB,
    fixedBytes: 16 * KIB,
    rememberedArrivals: 4096,
    rememberedDeliveries: 4096,
    rememberedChanges: 4096,
    rememberedLetters: 1024,
    carryBytes: 1920 * KIB,
    backfillBytes: 192 * KIB,
    commandBytes: 1.5 * KIB * KIB,
    calmSignals: 1000,
    calmEvents: 256,
    forcedSignals: 4000,
    forcedEvents: 4096,
    forcedHistoryBytes: 8 * KIB * KIB,
    mostSignals: 8000,
    mostEvents: 8192,
    mostHistoryBytes: 16 * KIB * KIB,
  });
});

test('a server that allows a quarter gets a quarter of every bound', () => {
  const { payloadBytes, signalsPerRun, eventsPerRun } = DEFAULT_SERVER_LIMITS;
  const whole = budgetsOf(DEFAULT_SERVER_LIMITS);
  const quarter = budgetsOf({
    payloadBytes: payloadBytes / 4,
    signalsPerRun: signalsPerRun / 4,
    eventsPerRun: eventsPerRun / 4,
  });
  for (const [name, bound] of Object.entries(whole))
    if (name !== 'fixedBytes') expect([name, Reflect.get(quarter, name)]).toEqual([name, bound / 4]);
});

test.each([16 * KIB, 64 * KIB, 2 * KIB * KIB])(
  'everything that goes out fits under a payload limit of %i bytes',
  (payloadBytes) => {
    const { triggerBytes, sliceBytes, stateBytes, carryBytes } = budgetsOf({ ...DEFAULT_SERVER_LIMITS, payloadBytes });
    expect(triggerBytes).toBeLessThanOrEqual(sliceBytes);
    expect(sliceBytes).toBeLessThanOrEqual(stateBytes);
    expect(stateBytes).toBeLessThan(carryBytes);
    expect(carryBytes).toBeLessThan(payloadBytes);
  },
);

test('the commands of one workflow task, with the signals buffered meanwhile, fit into one transaction', () => {
  // `history.maximumBufferedEventsSizeInBytes` and `system.transactionSizeLimit`, as a server comes.
  const [buffered, transaction] = [2 * KIB * KIB, 4 * KIB * KIB];
  const { commandBytes, sliceBytes, carryBytes } = budgetsOf(DEFAULT_SERVER_LIMITS);
  const aSignal = 64 * KIB;
  const aTask = 16 * KIB;
  // The last command may begin just below the bound; a state that is kept goes alone.
  expect(commandBytes + sliceBytes + buffered + aSignal + aTask).toBeLessThan(transaction);
  expect(carryBytes + buffered + aSignal + aTask).toBeLessThan(transaction);
  // One that is continued as new is in it twice, and no signal is.
  expect(2 * carryBytes + aTask).toBeLessThan(transaction);
});
