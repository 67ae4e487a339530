// Who may import whom. Everything that is not allowed here is forbidden: `npm run rooms` checks it, with types and circles of folders.

/**
 * A room is a folder of `src`, or a part of one; the longest path counts. It may import itself, and:
 *
 * - `values`: these rooms, or single files; their types, too.
 * - `types`: only the types of these.
 * - `packages`: these packages by value; `node` is all of Node. Types of packages are for everybody.
 *
 * @typedef {{ readonly holds: string; readonly values: readonly string[]; readonly types?: readonly string[]; readonly packages: readonly string[] }} Room
 */

/** Packages that the workflow sandbox can load. */
const SANDBOX = ['@noble/hashes', 'lossless-json', 'tinyqueue'];
/** Files of contract without zod. */
const PLAIN = ['contract/nearest-key.ts', 'contract/duration.ts'];
const TEMPORAL_COMMON = ['@temporalio/common', '@temporalio/proto'];
const FASTIFY = ['fastify', 'fastify-type-provider-zod', '@fastify/swagger', '@fastify/swagger-ui'];
const COMMANDER = ['@commander-js/extra-typings', 'commander'];

/** @type {Readonly<Record<string, Room>>} */
export const ROOMS = {
  words: {
    holds: 'what people read: labels of the form, remedies, deeds, reasons to wait',
    values: ['domain'],
    types: ['contract'],
    packages: [],
  },
  contract: {
    holds: 'shapes that cross a boundary: schemas and their types',
    values: [],
    types: ['domain'],
    packages: ['zod'],
  },
  domain: {
    holds: "rules: pure functions, and in `job/` the dispatcher's state machine",
    values: PLAIN,
    types: ['contract'],
    packages: SANDBOX,
  },
  workflows: {
    holds: "job, backfill, holder, dead letter, watch: what Temporal's sandbox runs",
    values: ['domain', ...PLAIN],
    types: ['contract'],
    packages: ['@temporalio/workflow', '@temporalio/common'],
  },
  activities: {
    holds: 'what touches the world: deliver a slice, list members, check a job, scan for a watch',
    values: ['contract', 'domain', 'webhook', 'sources'],
    packages: ['node', 'zod', '@temporalio/activity'],
  },
  webhook: {
    holds: 'the wire: where requests may go, authorization, signature, one POST as an attempt',
    values: ['contract', 'domain'],
    types: ['config'],
    packages: ['node', 'undici', 'ipaddr.js', 'liquidjs', 'oauth4webapi', '@rgrove/parse-xml'],
  },
  http: {
    holds: 'what all our servers ask of a request: that it comes from this machine, or from no other page',
    values: [],
    packages: [],
  },
  postgres: {
    holds: 'connections to PostgreSQL: where, as whom, and the words of failures',
    values: ['domain', 'webhook/tls.ts'],
    packages: ['pg'],
  },
  sources: {
    holds: 'audience sources behind one small interface',
    values: [
      'contract',
      'domain',
      'postgres',
      'webhook/guarded-agents.ts',
      'webhook/network-policy.ts',
      'webhook/tls.ts',
    ],
    types: ['config'],
    packages: ['node', 'zod', 'pg', 'undici'],
  },
  ingests: {
    holds: 'what other systems send, read as changes; signatures; expressions',
    values: ['contract', 'domain'],
    types: ['config'],
    packages: ['node', 'jsonata'],
  },
  tracing: {
    holds: 'spans of deliveries for OpenTelemetry',
    values: ['domain', 'webhook/sha256.ts'],
    types: ['contract', 'activities'],
    packages: [
      'node',
      '@opentelemetry/api',
      '@opentelemetry/core',
      '@opentelemetry/exporter-trace-otlp-http',
      '@opentelemetry/resources',
      '@opentelemetry/sdk-trace',
    ],
  },
  'delivery-log': {
    holds: 'rows of deliveries: written in batches, found by filters',
    values: ['domain', 'postgres', 'webhook/sha256.ts', 'webhook/tls.ts'],
    types: ['contract', 'activities'],
    packages: ['node', 'pg', 'pg-copy-streams', 'libsql', 'undici'],
  },
  temporal: {
    holds: "what stands between us and Temporal's payloads: converters, encryption, codec server",
    values: ['domain'],
    packages: ['node', 'zod', ...TEMPORAL_COMMON],
  },
  'temporal/payload-converter.ts': {
    holds: 'the converter of payloads, which the sandbox loads, too',
    values: ['domain'],
    packages: ['@temporalio/common'],
  },
  'temporal/failure-converter.ts': {
    holds: 'the converter of failures, which the sandbox loads, too',
    values: ['domain'],
    packages: ['@temporalio/common'],
  },
  client: {
    holds: "our API over Temporal's client: `jobs/`, `push/`, `reconcile/`, `history/` (recovery, trace)",
    values: ['contract', 'domain', 'temporal', 'words', 'workflows/messages.ts'],
    packages: ['node', 'zod', 'csv-parse', '@temporalio/client', '@temporalio/envconfig', ...TEMPORAL_COMMON],
  },
  consumers: {
    holds: "what reads a stream of somebody's own and hands it over to jobs: `outbox/`, `kafka/`",
    values: ['client', 'domain', 'ingests', 'postgres', 'webhook/tls.ts', ...PLAIN],
    types: ['contract', 'config'],
    packages: ['node', 'pg', '@platformatic/kafka', 'prom-client'],
  },
  config: {
    holds: "the worker's configuration: schemas, references to variables and files",
    values: ['contract', 'domain', 'ingests', 'postgres', 'sources', 'temporal', 'webhook'],
    packages: ['node', 'zod'],
  },
  worker: {
    holds: 'composition: configuration, source, activities, worker, shutdown; log; `metrics/`',
    values: [
      'activities',
      'client',
      'config',
      'contract',
      'delivery-log',
      'domain',
      'sources',
      'temporal',
      'tracing',
      'webhook',
      'workflows',
    ],
    packages: ['node', 'zod', 'pino', '@temporalio/client', '@temporalio/common', '@temporalio/worker'],
  },
  'worker/metrics': {
    holds: 'metrics for Prometheus',
    values: ['config', 'contract', 'domain', 'http', 'worker/job-poller.ts'],
    packages: ['node', 'prom-client'],
  },
  api: {
    holds: 'the HTTP API: callers, bodies, operations, routes',
    values: ['client', 'config', 'contract', 'delivery-log', 'domain', 'http', 'ingests', 'words'],
    packages: ['node', 'zod', 'prom-client', '@temporalio/common', ...FASTIFY],
  },
  cli: {
    holds: 'the commands and their output',
    values: [
      'api',
      'client',
      'config',
      'consumers',
      'contract',
      'delivery-log',
      'domain',
      'ingests',
      'local',
      'temporal',
      'words',
      'worker',
    ],
    packages: ['node', 'ora', 'string-width', 'wrap-ansi', '@inquirer/prompts', '@temporalio/client', ...COMMANDER],
  },
  console: {
    holds: 'the console: pages for browsers, over the HTTP API',
    values: ['domain', 'words', 'contract/duration.ts'],
    types: ['contract', 'client'],
    packages: ['preact', 'preact-iso', 'uplot'],
  },
  app: {
    holds: 'the lists of all that is shipped, and programs made of them: commands, worker, activities, workflows',
    values: [
      'activities',
      'api',
      'cli',
      'client',
      'config',
      'consumers',
      'contract',
      'delivery-log',
      'domain',
      'http',
      'ingests',
      'local',
      'sources',
      'temporal',
      'tracing',
      'webhook',
      'words',
      'worker',
      'workflows',
    ],
    packages: [
      'node',
      'ora',
      '@temporalio/activity',
      '@temporalio/client',
      '@temporalio/common',
      '@temporalio/worker',
      ...COMMANDER,
    ],
  },
  'app/workflows.ts': { holds: 'the workflows that the sandbox runs', values: ['workflows', 'domain'], packages: [] },
  local: {
    holds: 'what stands in for the outside world: a Temporal server, a receiver',
    values: ['contract', 'domain', 'http'],
    packages: ['node'],
  },
};
