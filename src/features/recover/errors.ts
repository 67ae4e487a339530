import { TriggersError } from '../../client/calls/errors.ts';

/** The job ended normally and keeps nothing. */
export class NothingToRecover extends TriggersError {
  static override readonly status = 409;
  declare readonly jobId: string;
  declare readonly ended: string;
  constructor(jobId: string, ended: string) {
    const message = `The job "${jobId}" was not terminated (${ended}) and kept nothing, so there is nothing to recover.`;
    super(message, { jobId, ended }, undefined, { action: 'start' });
  }
}
