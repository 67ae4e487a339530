import type { Audience } from '../contract/audience.ts';

/** What a job's memo says: whoever starts it writes it first, the job itself at every edit, and lists and publishing read it. */
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
