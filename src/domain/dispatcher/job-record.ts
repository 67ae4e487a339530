import type { Audience } from '../../contract/audience.ts';
import type { JobDefinition } from '../../contract/export-job.ts';
import type { ServerLimits } from '../../contract/ports.ts';

/** What is recorded of an accepted definition. */
export interface JobRecord {
  readonly subscriptionId: string;
  readonly revision: number;
  readonly definition: JobDefinition;
  /** The audiences listened to. */
  readonly audiences: readonly Audience[];
  /** Audiences listened to before, whose triggers may still be waiting. */
  readonly formerAudiences: readonly Audience[];
  readonly sourceLagMs: number;
  readonly missingSearchAttributes: readonly string[];
  readonly warnings: readonly string[];
  readonly requestTimeoutMs: number;
  /** When triggers have waited longer than this, in ms, an alert is sent. */
  readonly alertBacklogMs: number;
  readonly serverLimits: ServerLimits;
}
