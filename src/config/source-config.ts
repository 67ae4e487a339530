import { z } from 'zod';
import { readPostgresUrl } from '../sources/postgres/postgres-url.ts';
import { postgresSource } from './postgres-source-config.ts';
import { httpSource } from './http-source-config.ts';
import { lyticsSource } from './lytics-source-config.ts';

const file = z.strictObject({
  kind: z.literal('file'),
  /** A folder of NDJSON files (docs/sources/file.md). */
  folder: z.string().min(1),
});

/** Where audiences, members and profiles come from: one kind of source. */
export const sourceSchema = z.discriminatedUnion('kind', [file, postgresSource, lyticsSource, httpSource]);

export type SourceConfig = z.infer<typeof sourceSchema>;

/** Names the source for people, without secrets. */
export function shownSource(source: SourceConfig): string {
  switch (source.kind) {
    case 'file':
      return source.folder;
    case 'postgres': {
      const reading = readPostgresUrl(source.url);
      return `PostgreSQL, ${reading.ok ? reading.address.shown : 'its URL is wrong'}`;
    }
    case 'lytics':
      return `Lytics, ${new URL(source.url).origin}`;
    case 'http':
      return new URL(source.url).origin;
  }
}
