import { jobDirectory } from '../../src/client/push/job-directory.ts';
import { jobSignals } from '../../src/client/jobs/job-service.ts';
import { GroupedSignals } from '../../src/client/push/job-pusher.ts';
import { type ConsumerLog, ConsumerMetrics, Handover } from '../../src/consumers/handover.ts';
import type { Lab } from '../support/lab.ts';

/** What a consumer said, a line each: `warn a row is no trigger; it was set aside`. */
export class Said implements ConsumerLog {
  readonly lines: string[] = [];
  info = (message: string): void => void this.lines.push(`info ${message}`);
  warn = (message: string): void => void this.lines.push(`warn ${message}`);
  error = (message: string): void => void this.lines.push(`error ${message}`);
}

/** What a consumer works with, as `triggers consume` makes it. */
export function worldOf(lab: Lab, jobs?: readonly string[]) {
  const log = new Said();
  const metrics = new ConsumerMetrics();
  const signals = new GroupedSignals((jobId) => jobSignals(lab.client, jobId), 5_000);
  const handover = new Handover({
    directory: jobDirectory(lab.client, lab.taskQueue),
    signal: signals.signal.bind(signals),
    jobs,
    log,
    metrics,
  });
  return { handover, log, metrics };
}
