import { afterAll, beforeAll } from '@jest/globals';
import { postgresSource, type PostgresSourceInput } from '../../src/config/postgres-source-config.ts';
import { openPostgresSource } from '../../src/sources/postgres.ts';
import type { AudienceSource } from '../../src/sources/source.ts';
import { TestPostgres } from '../support/postgres.ts';
import { conformsToAudienceSource } from './source-conformance.ts';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await TestPostgres.start();
}, 60_000);
afterAll(async () => {
  await postgres.stop();
});

const open = (url: string, rest: Partial<PostgresSourceInput> = {}): Promise<AudienceSource> =>
  openPostgresSource(postgresSource.parse({ kind: 'postgres', url, ...rest }));

conformsToAudienceSource('tables of PostgreSQL', async (content) => {
  const { url } = await postgres.filled(content);
  return await open(url, { audiences: { windowMinutes: 'window_minutes' } });
});

conformsToAudienceSource('queries of PostgreSQL', async (content) => {
  const { url } = await postgres.filled(content);
  return await open(url, {
    queries: {
      audiences: 'SELECT * FROM audiences;',
      members: 'SELECT user_id AS user FROM audience_members WHERE audience_id = $1 -- every one',
      profiles: 'SELECT user_id AS user, profile FROM profiles',
    },
  });
});
