import { Command, Option } from '@commander-js/extra-typings';
import type { SampleOf, SampleWish } from '../client/export-jobs.ts';
import type { TriggerEvent } from '../contract/trigger.ts';
import { definitionFrom } from './job-options.ts';
import { UsageError } from './usage-error.ts';

/** What options say about a sample; absent = chosen by the worker. */
export interface SampleOptions {
  readonly user?: string | undefined;
  readonly audience?: string | undefined;
  readonly event?: TriggerEvent | undefined;
  /** The old payload, whatever the job says. */
  readonly legacy?: boolean | undefined;
  /** The new payload, whatever the job says. */
  readonly new?: boolean | undefined;
}

/** A command about a sample: for which job, and about whom. */
export const sampleCommand = (name: string) =>
  new Command(name)
    .argument('<job or file>', 'id of a job, or a job file (its name ends in .json, or has a slash)')
    .option('--user <user>', 'whom it is about; default: the first member with a profile')
    .option('--audience <slug>', "one of the job's audiences; default: the first")
    .addOption(
      new Option('--event <event>', 'what happened to the membership; default: enter').choices([
        'enter',
        'exit',
      ] as const),
    )
    .option('--legacy', 'the old payload format, whatever the job says')
    .option('--new', 'the new payload format, whatever the job says')
    .option('--json', 'print JSON for machines');

/** @throws UsageError */
export function wishFrom({ user, audience, event, legacy, new: isNew }: SampleOptions): SampleWish {
  if (legacy === true && isNew === true) throw new UsageError('Use either --legacy or --new, not both.');
  const isLegacy = legacy === true ? true : isNew === true ? false : undefined;
  return {
    ...(user === undefined ? {} : { user }),
    ...(audience === undefined ? {} : { audience }),
    ...(event === undefined ? {} : { event }),
    ...(isLegacy === undefined ? {} : { userLegacyMessageFormat: isLegacy }),
  };
}

/**
 * What an argument JOB|FILE means: a file when it ends in `.json` or has a slash, else a job's id.
 * @throws UsageError for a file that cannot be read.
 */
export function sampleOf(argument: string): SampleOf {
  const isFile = /\.json$|[/\\]/i.test(argument);
  return isFile ? { definition: definitionFrom(argument, {}) } : { jobId: argument };
}
