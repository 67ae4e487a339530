import { Command } from '@commander-js/extra-typings';
import type { DeadLetterFilter } from '../../../client/export-jobs.ts';
import { pastTime } from '../../job-options.ts';

/** A command about all dead letters that match everything given. */
export function filteringCommand(name: string) {
  return new Command(name)
    .option('--job <id>', 'of this job')
    .option('--user <id>', 'of this person')
    .option('--audience <name>', 'of this audience, by slug or id')
    .option('--failure <what>', 'whose last attempt ended with this: "HTTP 422", "connection refused", ECONNREFUSED')
    .option('--older-than <time>', 'that died before then: how long ago (2h, 7d), or an RFC 3339 time', pastTime)
    .option('--newer-than <time>', 'that died since then', pastTime);
}

type FilterOptions = ReturnType<ReturnType<typeof filteringCommand>['opts']>;

export function filterFrom({ job, user, audience, failure, olderThan, newerThan }: FilterOptions): DeadLetterFilter {
  return { jobId: job, user, audience, failure, olderThan, newerThan };
}
