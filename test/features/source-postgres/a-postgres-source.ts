import { postgresSource, type PostgresSourceInput } from '../../../src/features/source-postgres/config.ts';
import { openPostgresSource, type PostgresSourceOptions } from '../../../src/features/source-postgres/source.ts';
import type { AudienceSource } from '../../../src/activities/audience-source.ts';

/** The source over a database, configured as a file would; the test that opens it closes it. */
export async function openedPostgres(
  url: string,
  rest: Partial<PostgresSourceInput> = {},
  options: PostgresSourceOptions = {},
): Promise<AudienceSource> {
  return await openPostgresSource(postgresSource.parse({ kind: 'postgres', url, ...rest }), options);
}
