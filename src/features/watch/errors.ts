import type { Problem } from '../../contract/export-job.ts';
import { InvalidRequest, TriggersError } from '../../client/calls/errors.ts';

/** The watch is wrong, its audience is not known, or the worker has no folder for it; nothing was started or changed. */
export class InvalidWatch extends InvalidRequest {
  constructor(problems: readonly Problem[]) {
    super(problems, 'The watch was not accepted.');
  }
}

/** No watch of this audience is running. */
export class WatchNotFound extends TriggersError {
  static override readonly status = 404;
  /** As it was asked for. */
  declare readonly audience: string;
  constructor(audience: string, { cause }: ErrorOptions = {}) {
    super(`The audience "${audience}" is not watched.`, { audience }, cause, { action: 'listWatches' });
  }
}
