import type { SourceConfig } from '../config/source-config.ts';
import { openFileSource } from './file.ts';
import { openPostgresSource } from './postgres.ts';
import type { AudienceSource } from './source.ts';

/** Opens the source that a configuration names. Rejects when it is not there at all; what is down for now shows when it is asked. */
export async function openSource(config: SourceConfig): Promise<AudienceSource> {
  switch (config.kind) {
    case 'file':
      return await openFileSource(config.folder);
    case 'postgres':
      return await openPostgresSource(config);
  }
}
