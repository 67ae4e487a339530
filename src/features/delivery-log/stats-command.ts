import type { DeliveryCounts } from './delivery.ts';
import { failureInWords } from '../../domain/verdict.ts';
import { failureNamed } from './searched-verdicts.ts';
import { definedOf } from '../../domain/json.ts';
import { gapsInWords } from './gaps-in-words.ts';
import { counted, printable } from '../../domain/text.ts';
import { command, unknownJob, withJobs } from '../../cli/command.ts';
import { withDeliveryLog } from './configured.ts';
import { anyTime, pastTime } from '../../cli/options.ts';
import { count, headed, sentences, tableColumns } from '../../cli/text.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

export const statsCommand = command({
  name: 'stats',
  description: 'count attempts in the delivery log, by job, or of one job by time, and say how long requests took',
  takes: (it) =>
    it
      .argument('[job]', 'of this job, by time')
      .option('--since <time>', 'since then: how long ago (2h, 7d), or an RFC 3339 time; default: 1d', pastTime)
      .option('--until <time>', 'before then; default: now', anyTime),
  json: ': the counts',
  notes: 'Times are UTC. P95: 95 of 100 requests took at most so many ms, to within 10 %.',
  examples: ['triggers stats --since 7d', 'triggers stats vip-to-crm --since 7d'],
  async run([job], { since, until = new Date() }, { terminal, print, json, note }) {
    const from = since ?? new Date(until.getTime() - DAY_MS);
    const asked = { jobId: job, since: from.toISOString(), until: until.toISOString() };
    const [stats, now] = await Promise.all([
      withDeliveryLog(async (reader) => await reader.stats(asked)),
      // The log answers without Temporal, too.
      job === undefined ? undefined : withJobs(async (jobs) => await jobs.load(job)).catch(() => undefined),
    ]);
    if (now !== undefined && !json)
      note(`Now: ${counted(now.inFlight, 'request')} in flight, ${counted(now.waiting, 'trigger')} waiting.`);
    print({ ...stats, ...definedOf({ now }) }, () => {
      const rows =
        job === undefined
          ? stats.jobs.map((one) => [printable(one.jobId), ...cells(one)])
          : stats.points.map((one) => [one.at.slice(0, 16).replace('T', ' '), ...cells(one)]);
      if (rows.length === 0) return sentences('No attempt was made in that time.', terminal);
      const heads = [
        job === undefined ? 'JOB' : 'FROM',
        'DELIVERED',
        'FAILED',
        'P50 MS',
        'P95 MS',
        'P99 MS',
        'MOST OFTEN',
      ];
      return headed([heads, ...rows], { columns: tableColumns(terminal), paint: terminal.paint });
    });
    const gaps = gapsInWords(stats.gaps);
    if (gaps !== undefined) note(gaps);
    const unknown = job !== undefined && stats.jobs.length === 0 ? await unknownJob(job) : undefined;
    if (unknown !== undefined) note(unknown);
  },
});

function cells({ delivered, failed, failedBy, p50Ms, p95Ms, p99Ms }: DeliveryCounts): string[] {
  const [most] = Object.keys(failedBy);
  const times = [p50Ms, p95Ms, p99Ms].map((ms) => (ms === undefined ? '' : count(ms)));
  const failure = most === undefined ? '' : failureInWords(failureNamed(most));
  return [count(delivered), count(failed), ...times, failure];
}
