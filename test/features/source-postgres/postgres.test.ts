import { afterAll } from '@jest/globals';
import { TestPostgres } from '../../support/postgres.ts';
import { openedPostgres } from './a-postgres-source.ts';
import { conformsToAudienceSource } from '../../sources/source-conformance.ts';

const postgres = await TestPostgres.start();
afterAll(() => postgres.stop());

conformsToAudienceSource('tables of PostgreSQL', async (content) => {
  const { url } = await postgres.filled(content);
  return await openedPostgres(url, { audiences: { windowMinutes: 'window_minutes' } });
});

conformsToAudienceSource('queries of PostgreSQL', async (content) => {
  const { url } = await postgres.filled(content);
  return await openedPostgres(url, {
    queries: {
      audiences: 'SELECT * FROM audiences;',
      members: 'SELECT user_id AS user FROM audience_members WHERE audience_id = $1 -- every one',
      profiles: 'SELECT user_id AS user, profile FROM profiles',
    },
  });
});
