import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { ROOMS } from '../../rooms.mjs';
import type { createActivities } from '../../src/app/activities.ts';
import type { Activities } from '../../src/contract/ports.ts';
import { Product } from './product.ts';

const FEATURES = readdirSync(fileURLToPath(new URL('../../src/features', import.meta.url)));

/** Commands that are nothing without a feature: these files of the app go with it. */
const GO_WITH: Readonly<Record<string, readonly string[]>> = { local: ['src/app/up-command.ts'] };

/** A feature, and the features that need it. */
function withNeedy(name: string): string[] {
  const needy = FEATURES.filter((one) => ROOMS[`features/${one}`]?.values.includes(`features/${name}`));
  return [name, ...needy.flatMap(withNeedy)];
}

const products = [new Product('tsconfig.json'), new Product('src/console/tsconfig.json')];

function problemsWithout(names: readonly string[], isWhole = false): string[] {
  const files = new Set(names.flatMap((name) => GO_WITH[name] ?? []));
  const folders = names.map((name) => `src/features/${name}/`);
  const isGone = (path: string): boolean => files.has(path) || folders.some((folder) => path.startsWith(folder));
  return products.flatMap((product) => product.without(isGone, isWhole));
}

test.each(FEATURES)('without the feature %s, and those that need it, the product builds', (name) => {
  expect(problemsWithout(withNeedy(name))).toEqual([]);
});

test('without any feature, the product builds', () => {
  expect(problemsWithout(FEATURES, true)).toEqual([]);
});

test('with all features, a worker has each activity that a job asks for', () => {
  // The compiler says no where one is missing.
  const hasAll: ReturnType<typeof createActivities> extends Activities ? true : false = true;
  expect(hasAll).toBe(true);
});
