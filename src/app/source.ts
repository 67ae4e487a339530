import { z } from 'zod';
import { fileSource } from '../config/file-source.ts';
import { postgresSource, shownPostgres } from '../features/source-postgres/config.ts';
import { lyticsSource, shownLytics } from '../features/source-lytics/config.ts';
import { httpSource, shownHttp } from '../features/source-http/config.ts';
import type { SourceNetwork } from '../sources/json-service.ts';
import type { AudienceSource } from '../activities/audience-source.ts';
import { openFileSource } from '../sources/file/source.ts';
import { definedOf } from '../domain/json.ts';
import { openPostgresSource } from '../features/source-postgres/source.ts';
import { openLyticsSource } from '../features/source-lytics/source.ts';
import { openHttpSource } from '../features/source-http/source.ts';

/** Where audiences, members and profiles come from: one kind of source. */
export const sourceSchema = z.discriminatedUnion('kind', [fileSource, postgresSource, lyticsSource, httpSource]);

export type SourceConfig = z.infer<typeof sourceSchema>;

/** Names the source for people, without secrets. */
export function shownSource(source: SourceConfig): string {
  switch (source.kind) {
    case 'file':
      return source.folder;
    case 'postgres':
      return shownPostgres(source);
    case 'lytics':
      return shownLytics(source);
    case 'http':
      return shownHttp(source);
  }
}

export interface OpenSourceOptions {
  /** How the worker connects to the outside, for sources that are there. */
  readonly network: SourceNetwork;
  /** Called about things that a source leaves out, repeats or cannot read. */
  readonly onProblem: (text: string) => void;
}

/** Opens the source that a configuration names. Rejects when it does not exist at all; a source that is only down shows that when it is asked. */
export async function openSource(config: SourceConfig, options: OpenSourceOptions): Promise<AudienceSource> {
  switch (config.kind) {
    case 'file':
      return await openFileSource(config.folder, {
        onProblem: options.onProblem,
        ...definedOf({ quietMs: config.quietMs, lagMs: config.lagMs }),
      });
    case 'postgres':
      return await openPostgresSource(config, options);
    case 'lytics':
      return openLyticsSource(config, options);
    case 'http':
      return openHttpSource(config, options);
  }
}
