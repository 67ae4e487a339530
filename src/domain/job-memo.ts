import type { Audience } from '../contract/audience.ts';

/**
 * The content of a job's memo: written first by whoever starts the job, then by the job itself at every edit, and read by lists and by
 * publishing.
 */
export interface JobMemo {
  readonly label: string;
  readonly description?: string;
  readonly audiences: readonly Pick<Audience, 'id' | 'slug'>[];
}

export function jobMemo(job: {
  readonly label: string;
  readonly description?: string | undefined;
  readonly audiences: readonly Audience[];
}): JobMemo & Record<string, unknown> {
  const { label, description, audiences } = job;
  return {
    label,
    ...(description === undefined ? {} : { description }),
    audiences: audiences.map(({ id, slug }) => ({ id, slug })),
  };
}
