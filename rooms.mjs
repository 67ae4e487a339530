// Who may import whom. Everything that is not allowed here is forbidden: `npm run rooms` checks it, with types and circles of folders.

/**
 * A room is a folder of `src`, or a part of one; `*` stands for a feature: for the same one in what the room may import. The longest path counts. It may import itself, and:
 *
 * - `values`: these rooms, or single files; their types, too.
 * - `types`: only the types of these.
 * - `packages`: these packages by value; `node` is all of Node. Types of packages are for everybody.
 *
 * @typedef {'machine' | 'shell' | 'feature' | 'app'} Ring
 * @typedef {{ readonly ring: Ring; readonly holds: string; readonly values: readonly string[]; readonly types?: readonly string[]; readonly packages: readonly string[] }} Room
 */

/** Packages that the workflow sandbox can load. */
const SANDBOX = ['@noble/hashes', 'lossless-json', 'tinyqueue'];
/** Files of contract without zod. */
const PLAIN = ['contract/nearest-key.ts', 'contract/duration.ts'];
const TEMPORAL_COMMON = ['@temporalio/common', '@temporalio/proto'];
const FASTIFY = ['fastify', 'fastify-type-provider-zod', '@fastify/swagger', '@fastify/swagger-ui'];
const COMMANDER = ['@commander-js/extra-typings', 'commander'];

/** The machine: one job, read alone. @type {Readonly<Record<string, Room>>} */
const MACHINE = {
  contract: {
    ring: 'machine',
    holds: 'shapes that cross a boundary: schemas and their types',
    values: [],
    packages: ['zod'],
  },
  domain: {
    ring: 'machine',
    holds: "rules: pure functions, and in `job/` the dispatcher's state machine",
    values: PLAIN,
    types: ['contract'],
    packages: SANDBOX,
  },
  'domain/job/queue': {
    ring: 'machine',
    holds: 'what waits in a job: chains, spilled triggers, what is remembered',
    values: ['domain/delivery-id.ts', 'domain/instant.ts', 'domain/json.ts', 'domain/limits.ts'],
    types: ['contract'],
    packages: ['tinyqueue'],
  },
  'domain/job/throttles': {
    ring: 'machine',
    holds: 'when something may be sent, and how much',
    values: [
      'domain/job/queue',
      ...['instant', 'json', 'limits', 'retry', 'text', 'verdict'].map((name) => `domain/${name}.ts`),
    ],
    types: ['contract'],
    packages: [],
  },
  workflows: {
    ring: 'machine',
    holds: "job, backfill, holder, dead letter: what Temporal's sandbox runs",
    values: ['domain', ...PLAIN],
    types: ['contract'],
    packages: ['@temporalio/workflow', '@temporalio/common'],
  },
  activities: {
    ring: 'machine',
    holds: 'what touches the world: deliver a slice, list members, check a job',
    values: ['contract', 'domain', 'webhook'],
    packages: ['node', 'zod', '@temporalio/activity'],
  },
  webhook: {
    ring: 'machine',
    holds: 'the wire: a request, its signature, one POST as an attempt',
    values: ['contract', 'domain'],
    packages: ['node', 'undici'],
  },
  'temporal/payload-converter.ts': {
    ring: 'machine',
    holds: 'the converter of payloads, which the sandbox loads, too',
    values: ['domain'],
    packages: ['@temporalio/common'],
  },
  'temporal/failure-converter.ts': {
    ring: 'machine',
    holds: 'the converter of failures, which the sandbox loads, too',
    values: ['domain'],
    packages: ['@temporalio/common'],
  },
};

/** What people and programs touch. @type {Readonly<Record<string, Room>>} */
const SHELL = {
  temporal: {
    ring: 'shell',
    holds: "what stands between us and Temporal's payloads: encryption, codec server",
    values: ['domain', 'temporal/payload-converter.ts', 'temporal/failure-converter.ts'],
    packages: ['node', 'zod', ...TEMPORAL_COMMON],
  },
  'temporal/sandbox': {
    ring: 'shell',
    holds: 'interceptors of workflows: for payloads that cannot be read, and for queries',
    values: ['domain', 'workflows/messages.ts'],
    types: ['contract'],
    packages: ['@temporalio/workflow', '@temporalio/common'],
  },
  network: {
    ring: 'shell',
    holds: 'where connections may go, and how they are opened',
    values: ['domain'],
    types: ['webhook'],
    packages: ['node', 'undici', 'ipaddr.js'],
  },
  authorizations: {
    ring: 'shell',
    holds: 'the credentials of requests: configured by name, with tokens that are fetched',
    values: ['contract', 'domain', 'network', 'webhook'],
    packages: ['node', 'zod', 'oauth4webapi'],
  },
  words: {
    ring: 'shell',
    holds: 'what people read: labels of the form, remedies, deeds, reasons to wait',
    values: ['domain'],
    types: ['contract'],
    packages: [],
  },
  'words/status-rows.ts': {
    ring: 'shell',
    holds: 'the rows of a status, which the Temporal UI shows, too',
    values: ['domain'],
    types: ['contract'],
    packages: [],
  },
  client: {
    ring: 'shell',
    holds: "our API over Temporal's client: jobs, dead letters, `push/`; `calls/` asks Temporal",
    values: ['contract', 'domain', 'temporal', 'words', 'workflows/messages.ts'],
    packages: ['node', 'zod', 'csv-parse', '@temporalio/client', '@temporalio/envconfig', ...TEMPORAL_COMMON],
  },
  postgres: {
    ring: 'shell',
    holds: 'connections to PostgreSQL: where, as whom, and the words of failures',
    values: ['domain', 'network'],
    packages: ['pg'],
  },
  http: {
    ring: 'shell',
    holds: 'what all our servers ask of a request: that it comes from this machine, or from no other page',
    values: [],
    packages: [],
  },
  sources: {
    ring: 'shell',
    holds: 'audience sources behind one small interface',
    values: ['activities/audience-source.ts', 'contract', 'domain', 'postgres', 'network'],
    types: ['config'],
    packages: ['node', 'zod', 'pg', 'undici'],
  },
  snapshots: {
    ring: 'shell',
    holds: 'the members of an audience in files, and how two lists of them differ',
    values: ['activities', 'contract', 'domain', 'sources'],
    packages: ['node', 'zod', '@temporalio/activity'],
  },
  'snapshots/comparing.ts': {
    ring: 'shell',
    holds: 'how two lists differ, for the sandbox, too',
    values: [],
    packages: [],
  },
  config: {
    ring: 'shell',
    holds: "the worker's configuration: schemas, references to variables and files",
    values: ['authorizations', 'contract', 'domain', 'network', 'postgres', 'sources', 'temporal'],
    packages: ['node', 'zod'],
  },
  worker: {
    ring: 'shell',
    holds: "parts of a worker's process: its runtime, log, name, readiness and reloading",
    values: [
      'activities',
      'authorizations',
      'client',
      'config',
      'contract',
      'domain',
      'network',
      'sources',
      'temporal',
      'webhook',
      'words',
      'workflows',
    ],
    packages: ['node', 'zod', 'pino', '@temporalio/client', '@temporalio/common', '@temporalio/worker'],
  },
  api: {
    ring: 'shell',
    holds: 'the HTTP API: callers, bodies, operations, routes',
    values: ['client', 'config', 'contract', 'domain', 'http', 'words'],
    packages: ['node', 'zod', 'prom-client', '@temporalio/common', ...FASTIFY],
  },
  cli: {
    ring: 'shell',
    holds: 'the commands and their output',
    values: ['client', 'config', 'contract', 'domain', 'temporal', 'words'],
    packages: ['node', 'ora', 'string-width', 'wrap-ansi', '@inquirer/prompts', '@temporalio/client', ...COMMANDER],
  },
  console: {
    ring: 'shell',
    holds: 'the console: pages for browsers, over the HTTP API',
    values: ['domain', 'words', 'contract/duration.ts'],
    types: ['contract', 'client'],
    packages: ['preact', 'preact-iso', 'uplot'],
  },
};

/** Rooms of machine and shell that a feature may use: all but pages and the bodies of workflows. */
const BELOW = [
  'contract',
  'domain',
  'activities',
  'webhook',
  'temporal',
  'network',
  'authorizations',
  'workflows/messages.ts',
  'words',
  'client',
  'postgres',
  'http',
  'sources',
  'snapshots',
  'config',
  'worker',
  'api',
  'cli',
];

/**
 * A feature: a folder that can be taken out.
 * @param {string} name
 * @param {string} holds
 * @param {readonly string[]} features that it needs
 * @param {readonly string[]} packages
 * @returns {[string, Room]}
 */
const feature = (name, holds, features, packages) => [
  `features/${name}`,
  { ring: 'feature', holds, values: [...BELOW, ...features.map((one) => `features/${one}`)], packages },
];

const TEMPORAL = ['@temporalio/client', '@temporalio/common', '@temporalio/activity'];
/** What most features need: a command, a route, a client. */
const USUAL = ['node', 'zod', 'fastify', ...COMMANDER, ...TEMPORAL];

const FEATURES = Object.fromEntries([
  feature('alerts', 'alerts: logged, queued, and sent to a webhook of the operators', [], ['node', ...TEMPORAL]),
  feature('apply', 'job files of a folder, and what makes the running jobs match them', [], USUAL),
  feature(
    'consumers',
    "what reads a stream of somebody's own and hands it over to jobs: an outbox, Kafka",
    ['ingests', 'metrics'],
    [...USUAL, 'pg', '@platformatic/kafka', 'prom-client'],
  ),
  feature(
    'delivery-log',
    'rows of deliveries: written in batches, found by filters',
    [],
    [...USUAL, 'pg', 'pg-copy-streams', 'libsql', 'undici'],
  ),
  feature('doctor', 'what is wrong with an installation, and what to do', ['alerts', 'watch'], USUAL),
  feature('ingests', 'what other systems send, read as changes; signatures; expressions', [], [...USUAL, 'jsonata']),
  feature('local', 'what stands in for the outside world: a Temporal server, a receiver', [], ['node']),
  feature('metrics', 'metrics for Prometheus', ['watch'], ['node', 'zod', 'prom-client']),
  feature('people', 'where a person is, and how to forget them', ['delivery-log', 'trace'], USUAL),
  feature('preview', 'the message about a real person, shown or sent once', [], USUAL),
  feature('reconcile', "an endpoint's own list, compared with the members", [], [...USUAL, 'csv-parse']),
  feature('recover', 'a terminated job, started again with what it had not delivered', [], USUAL),
  feature('replay', 'what an endpoint was told, sent again', ['delivery-log'], USUAL),
  feature('source-http', 'audiences, members and profiles from a service that speaks JSON', [], ['zod']),
  feature('source-lytics', 'audiences, members and profiles from Lytics', [], ['zod']),
  feature('source-postgres', 'audiences, members and profiles from a PostgreSQL database', [], ['node', 'zod', 'pg']),
  feature(
    'spans',
    'spans of deliveries for OpenTelemetry',
    [],
    [
      'node',
      'zod',
      '@opentelemetry/api',
      '@opentelemetry/core',
      '@opentelemetry/exporter-trace-otlp-http',
      '@opentelemetry/resources',
      '@opentelemetry/sdk-trace',
    ],
  ),
  feature(
    'templates',
    'requests of a shape of their own: method, headers, and bodies by templates',
    [],
    ['node', 'liquidjs', '@rgrove/parse-xml'],
  ),
  feature('trace', 'why a person was sent or was not', ['delivery-log'], USUAL),
  feature('watch', 'changes of audiences whose source has no event stream, found by polling', [], USUAL),
  feature('wizard', 'questions that lead to a job', ['preview'], USUAL),
  [
    'features/*/ports.ts',
    {
      ring: 'feature',
      holds: 'the activities of a feature, and the questions that they answer; the sandbox loads it, too',
      values: ['domain'],
      types: ['contract', 'worker/worker-health.ts', 'features'],
      packages: [],
    },
  ],
  [
    'features/*/console',
    {
      ring: 'feature',
      holds: 'pages of a feature, and what it shows on other pages of the console',
      values: [
        'features/*',
        'features/delivery-log/gaps-in-words.ts',
        'console',
        'domain',
        'words',
        'contract/duration.ts',
      ],
      types: ['contract', 'client', 'features'],
      packages: ['preact', 'preact-iso', 'uplot'],
    },
  ],
  [
    'features/*/sandbox',
    {
      ring: 'feature',
      holds: "what Temporal's sandbox runs of a feature",
      values: ['domain', 'workflows', 'snapshots/comparing.ts', 'words/status-rows.ts', ...PLAIN],
      types: ['contract', 'features'],
      packages: ['@temporalio/workflow', '@temporalio/common'],
    },
  ],
]);

/** The lists of all that is shipped. @type {Readonly<Record<string, Room>>} */
const APP = {
  app: {
    ring: 'app',
    holds: 'the lists of all that is shipped, and programs made of them: commands, worker, activities, workflows, API',
    values: [...BELOW, 'features', 'workflows'],
    packages: [
      'node',
      'zod',
      'ora',
      'fastify',
      ...COMMANDER,
      '@temporalio/activity',
      '@temporalio/client',
      '@temporalio/common',
      '@temporalio/worker',
    ],
  },
  'app/console.tsx': {
    ring: 'app',
    holds: 'pages of the console, and what features show on them',
    values: ['console', 'features/*/console'],
    packages: [],
  },
  'app/workflows.ts': {
    ring: 'app',
    holds: 'the workflows that the sandbox runs',
    values: ['workflows', 'domain', 'words/status-rows.ts', 'features/*/ports.ts', 'features/*/sandbox'],
    packages: [],
  },
};

/** @type {Readonly<Record<string, Room>>} */
export const ROOMS = { ...MACHINE, ...SHELL, ...FEATURES, ...APP };
