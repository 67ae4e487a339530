import type { SourceConfig } from '../config/source-config.ts';
import { openFileSource } from './file.ts';
import { openHttpSource } from './http.ts';
import type { SourceNetwork } from './json-service.ts';
import { openLyticsSource } from './lytics.ts';
import { openPostgresSource } from './postgres.ts';
import type { AudienceSource } from './source.ts';

export interface OpenSourceOptions {
  /** How the worker connects to the outside, for sources that are there. */
  readonly network: SourceNetwork;
  /** Called with what a source leaves out, repeats or cannot read. */
  readonly onProblem: (text: string) => void;
}

/** Opens the source that a configuration names. Rejects when it does not exist at all; a source that is only down shows that when it is asked. */
export async function openSource(config: SourceConfig, options: OpenSourceOptions): Promise<AudienceSource> {
  switch (config.kind) {
    case 'file':
      return await openFileSource(config.folder, {
        onProblem: options.onProblem,
        ...(config.quietMs === undefined ? {} : { quietMs: config.quietMs }),
        ...(config.lagMs === undefined ? {} : { lagMs: config.lagMs }),
      });
    case 'postgres':
      return await openPostgresSource(config, options);
    case 'lytics':
      return openLyticsSource(config, options);
    case 'http':
      return openHttpSource(config, options);
  }
}
