/** Commands of pages that no test runs as they stand there, and why. One that its page does not have any more does not belong here. */
export const NOT_RUN: readonly { readonly page: string; readonly line: string; readonly reason: string }[] = [
  { page: 'docs/jobs.md', line: 'npx triggers dead-letters show ID', reason: 'the reader has an id to fill in' },
  { page: 'docs/jobs.md', line: 'npx triggers dead-letters discard ID', reason: 'the reader has an id to fill in' },
  {
    page: 'README.md',
    line: 'docker compose exec worker node lib/app/main.js list',
    reason: 'needs Docker: ops/containers/installation.test.ts runs it',
  },
  {
    page: 'docs/setup.md',
    line: 'triggers render examples/job.json',
    reason: 'readme.test.ts runs it, and compares what it prints',
  },
  {
    page: 'docs/setup.md',
    line: 'triggers test examples/job.json',
    reason: 'readme.test.ts runs it, and compares what it prints',
  },
  {
    page: 'docs/consumers.md',
    line: 'triggers consume outbox --port 9465',
    reason: 'needs a PostgreSQL with the table: consumers/outbox.test.ts runs it',
  },
  {
    page: 'docs/consumers.md',
    line: 'triggers consume kafka --port 9465',
    reason: 'needs a Kafka with the topic: consumers/kafka-full-job.test.ts runs it',
  },
  ...[
    'triggers deliveries vip-to-crm --verdict failed --since 2h',
    'triggers deliveries show 061907e97f65',
    'triggers deliveries --user 7076027172059065053 --json',
    'triggers stats --since 7d',
    'triggers replay vip-to-crm --since 2026-11-29T03:00:00Z --dry-run',
    'triggers replay vip-to-crm --since 1d --only last --yes',
    'triggers replay vip-to-crm --id 061907e97f65',
  ].map((line) => ({
    page: 'docs/delivery-log.md',
    line,
    reason: 'needs a PostgreSQL for the log: e2e/delivery-log.test.ts runs such commands',
  })),
  ...['--dry-run', '--yes'].map((option) => ({
    page: 'docs/personal-data.md',
    line: `triggers forget 7076027172059065053 ${option}`,
    reason: 'needs a person whom jobs know: e2e/forget.test.ts runs such commands',
  })),
];

export function isRun(page: string, line: string): boolean {
  return !NOT_RUN.some((one) => one.page === page && one.line === line);
}
