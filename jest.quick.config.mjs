import config from './jest.config.mjs';

/** What needs a Temporal server, a database, built code or other languages; whatever else asks for the server fails at once. */
const SLOW = [
  'e2e/',
  'consumers/(kafka|kafka-full-job|kafka-secure|outbox|outbox-schema|outbox-table)\\.test',
  'examples/',
  'workflows/',
  'client/(dead-letters|side-workflows)',
  'client/jobs/search-attributes',
  'demo/main',
  'docs/(ingests|operating|readme|running|setup|upstreams)',
  'local/temporal-server',
  'ops/docker-compose',
  'pack',
  'sources/postgres',
  'worker/(runtime|temporal-ports|worker)\\.test',
];

// Histories that properties are tried with: a twentieth of what `npm test` tries.
process.env.MODEL_RUNS ??= '100';
process.env.ADDRESS_RUNS ??= '1000';
process.env.ROUND_RUNS ??= '2';

const { globalSetup: _, globalTeardown: __, ...rest } = config;

/** `npm run test:quick`. @type {import('jest').Config} */
export default {
  ...rest,
  testPathIgnorePatterns: SLOW.map((path) => `<rootDir>/test/${path}`),
};
