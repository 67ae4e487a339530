import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { SourceError } from '../../src/sources/source.ts';
import { Readiness, type ReadinessOptions } from '../../src/worker/readiness.ts';

function begun(options: Partial<ReadinessOptions>): Readiness {
  const readiness = new Readiness();
  readiness.begin({
    isPolling: () => true,
    temporalProblem: () => Promise.resolve(undefined),
    sourceAnswers: () => Promise.resolve(),
    configProblem: () => undefined,
    payloadKeyProblem: () => undefined,
    ...options,
  });
  return readiness;
}

test('a worker is ready from when it has begun until it is ended', async () => {
  expect(await new Readiness().problem()).toBe('The worker is being started.');
  const readiness = begun({});
  expect(await readiness.problem()).toBeUndefined();
  readiness.end();
  expect(await readiness.problem()).toBe('The worker is being ended.');
});

test('one that does not ask for work is not ready, and says all that is in the way', async () => {
  const readiness = begun({
    isPolling: () => false,
    temporalProblem: () => Promise.resolve('Temporal does not answer.'),
    sourceAnswers: () => Promise.reject(new SourceError('/data is not there.')),
    configProblem: () => 'The configuration is wrong.',
    payloadKeyProblem: () => 'A job waits for a payload key.',
  });
  expect(await readiness.problem()).toBe(
    'The worker does not ask Temporal for work. Temporal does not answer. The audience source does not answer. /data is not there. The configuration is wrong. A job waits for a payload key.',
  );
});

test('what a source throws by mistake is not shown to strangers', async () => {
  const readiness = begun({ sourceAnswers: () => Promise.reject(new TypeError('canary-7f3a')) });
  expect(await readiness.problem()).toBe('The audience source does not answer.');
});

test('however often it is asked, Temporal and the source are asked once in five seconds', async () => {
  let asked = 0;
  const ask = () => {
    asked++;
    return Promise.resolve(undefined);
  };
  const readiness = begun({ temporalProblem: ask, sourceAnswers: ask });
  await Promise.all(Array.from({ length: 50 }, () => readiness.problem()));
  for (let times = 0; times < 50; times++) await readiness.problem();
  expect(asked).toBe(2);
});

test('a source that never answers is named within seconds, then at once, and is not asked again meanwhile', async () => {
  let asked = 0;
  const readiness = begun({
    sourceAnswers: () => {
      asked++;
      return new Promise(() => undefined);
    },
  });
  const late = 'The audience source has not answered within 3 s.';
  const beganAt = performance.now();
  expect(await Promise.all([readiness.problem(), sleep(500).then(() => readiness.problem())])).toEqual([late, late]);
  const toldAt = performance.now();
  expect(toldAt - beganAt).toBeLessThan(3_400);
  expect(await readiness.problem()).toBe(late);
  expect(performance.now() - toldAt).toBeLessThan(1_000);
  expect(asked).toBe(1);
});
