import type { JobRecord } from '../../../src/domain/job/job.ts';
import { FORM_DEFAULTS } from '../../../src/domain/form.ts';
import { DEFAULT_SERVER_LIMITS } from '../../../src/domain/limits.ts';

export const AUDIENCES = ['a', 'b'].map((letter) => ({
  id: letter.repeat(32),
  slug: letter,
  name: letter.toUpperCase(),
}));

export function jobRecord(parallelRequestCount: number): JobRecord {
  return {
    subscriptionId: '5'.repeat(32),
    revision: 1,
    definition: {
      ...FORM_DEFAULTS,
      label: 'model',
      audiences: AUDIENCES.map(({ slug }) => slug),
      webhookUrl: 'https://example.com/hook',
      authorization: null,
      exportFields: [],
      parallelRequestCount,
    },
    audiences: AUDIENCES,
    formerAudiences: [],
    sourceLagMs: 0,
    missingSearchAttributes: [],
    warnings: [],
    requestTimeoutMs: 15_000,
    // Longer than anything waits in most tests.
    alertBacklogMs: 365 * 86_400_000,
    serverLimits: DEFAULT_SERVER_LIMITS,
  };
}
