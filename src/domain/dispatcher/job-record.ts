import type { Audience } from '../../contract/audience.ts';
import type { JobDefinition } from '../../contract/export-job.ts';
import type { ServerLimits } from '../../contract/ports.ts';

/** What an accepted definition comes to. */
export interface JobRecord {
  readonly subscriptionId: string;
  readonly revision: number;
  readonly definition: JobDefinition;
  /** The audiences listened to. */
  readonly audiences: readonly Audience[];
  /** Audiences listened to once, of which triggers may still wait. */
  readonly formerAudiences: readonly Audience[];
  readonly sourceLagMs: number;
  readonly missingSearchAttributes: readonly string[];
  readonly warnings: readonly string[];
  readonly requestTimeoutMs: number;
  /** Triggers that wait longer, in ms, are worth an alert. */
  readonly alertBacklogMs: number;
  readonly serverLimits: ServerLimits;
}
