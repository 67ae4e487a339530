import { readdirSync, readFileSync } from 'node:fs';
import { TIERS } from './test/tiers.mjs';

/** What every project has. */
const project = {
  testEnvironment: '<rootDir>/test/support/node-environment.mjs',
  setupFiles: ['<rootDir>/test/support/shared-packages.mjs'],
  // lib holds a second copy of everything, and a package.json may lie in packed ones.
  modulePathIgnorePatterns: ['<rootDir>/lib/'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2023' }, module: { type: 'es6' }, sourceMaps: 'inline' },
    ],
  },
};

const withServer = {
  ...project,
  globalSetup: '<rootDir>/test/support/global-setup.mjs',
  globalTeardown: '<rootDir>/test/support/global-teardown.mjs',
};

const fileOf = (path) => `<rootDir>/test/${path}.test.ts`;

/** @type {import('jest').Config} */
export default {
  projects: [
    {
      ...project,
      displayName: 'quick',
      testMatch: [fileOf('**/*')],
      testPathIgnorePatterns: [...TIERS.core, ...TIERS.slow].map((path) => `<rootDir>/test/${path}\\.test\\.ts$`),
    },
    { ...withServer, displayName: 'core', testMatch: TIERS.core.map(fileOf) },
    { ...withServer, displayName: 'slow', testMatch: TIERS.slow.map(fileOf) },
    // Quick files with properties once more, to try each property more often (test/support/properties.ts).
    ...(process.env.PROPERTY_TIMES === undefined
      ? []
      : [{ ...project, displayName: 'properties', testMatch: withProperties() }]),
  ],
  reporters: ['default', '<rootDir>/test/support/closing-line.mjs'],
  // E2e tests mostly wait. With four on two cores, what a test gives a few seconds to is late now and then.
  maxWorkers: 3,
  // What a file leaves in a worker's heap slows the files after it: two to three GB at the end of a run otherwise.
  workerIdleMemoryLimit: '1GB',
  // Above the patience of what tests wait for (test/support/patience.ts), so that those say what is not as wanted.
  testTimeout: 240_000,
};

function withProperties() {
  const tests = new URL('test/', import.meta.url);
  return readdirSync(tests, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts'))
    .filter((path) => readFileSync(new URL(path, tests), 'utf8').includes('support/properties.ts'))
    .map((path) => `<rootDir>/test/${path}`);
}
