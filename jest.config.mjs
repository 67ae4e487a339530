/** @type {import('jest').Config} */
export default {
  testEnvironment: '<rootDir>/test/support/node-environment.mjs',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  // lib holds a second copy of everything, and a package.json may lie in packed ones.
  modulePathIgnorePatterns: ['<rootDir>/lib/'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2023' }, module: { type: 'es6' }, sourceMaps: 'inline' },
    ],
  },
  globalSetup: '<rootDir>/test/support/global-setup.mjs',
  globalTeardown: '<rootDir>/test/support/global-teardown.mjs',
  reporters: ['default', '<rootDir>/test/support/closing-line.mjs'],
  // With four on two cores, what a test gives a few seconds to is late now and then.
  maxWorkers: 2,
  // What a file leaves in a worker's heap slows the files after it: two to three GB at the end of a run otherwise.
  workerIdleMemoryLimit: '1GB',
  // Above the patience of what tests wait for (test/support/patience.ts), so that those say what is not as wanted.
  testTimeout: 240_000,
};
