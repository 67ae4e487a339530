import { Command } from '@commander-js/extra-typings';
import type { BackfillRequest } from '../../client/export-jobs.ts';
import { collect, wholeNumber } from '../job-options.ts';
import { withJobs } from '../jobs.ts';
import { counted } from '../numbers.ts';
import { sentences } from '../render.ts';
import type { Terminal } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';

const ACTIONS = ['pause', 'resume', 'cancel'] as const;
type Action = (typeof ACTIONS)[number];

export function backfillCommand(terminal: Terminal) {
  return new Command('backfill')
    .description('send everybody who is a member now, as enters; or pause, resume or cancel the backfill that runs')
    .argument('<job>', 'id of the job')
    .option('--audience <slug>', "only this one of the job's audiences; may be repeated", collect)
    .option('--sample <n>', 'send only so many people, then pause until --resume', wholeNumber)
    .option('--request-id <id>', 'asking twice with the same id runs it once')
    .option('--pause', 'pause the backfill; live triggers go on')
    .option('--resume', 'go on with it')
    .option('--cancel', 'end it; whoever has not been sent yet is left out')
    .option('--json', 'print JSON for machines: the status')
    .addHelpText(
      'after',
      `
Its speed is a setting of the job: triggers edit JOB --backfill-rate 100

Examples:
  triggers backfill vip-to-crm --audience vip --sample 1
  triggers backfill vip-to-crm --resume`,
    )
    .action(async (job, { audience, sample, requestId, json, ...flags }) => {
      const actions = ACTIONS.filter((action) => flags[action] === true);
      const [action] = actions;
      const starting = [audience, sample, requestId].some((option) => option !== undefined);
      if (actions.length > 1 || (action !== undefined && starting))
        throw new UsageError('Choose one: --pause, --resume, --cancel, or the options of a new backfill.');
      const request: BackfillRequest = {
        ...(action === undefined ? {} : { action }),
        ...(audience === undefined ? {} : { audiences: audience }),
        ...(sample === undefined ? {} : { sample }),
        ...(requestId === undefined ? {} : { requestId }),
      };
      const status = await withJobs((jobs) => jobs.backfill(job, request));
      if (json === true) return terminal.out(JSON.stringify(status));
      terminal.out(sentences(askedText(job, action, sample), terminal));
    });
}

function askedText(job: string, action: Action | undefined, sample: number | undefined): string {
  const watch = `See how it goes with: triggers status ${job} --watch`;
  switch (action) {
    case 'pause':
      return `The backfill of ${job} is paused. Resume it with: triggers backfill ${job} --resume`;
    case 'resume':
      return `The backfill of ${job} goes on. ${watch}`;
    case 'cancel':
      return `The backfill of ${job} is cancelled.`;
    default:
      return sample === undefined
        ? `Requested a backfill of ${job}. ${watch}`
        : `Requested a backfill of ${job} that pauses after ${counted(sample, 'member')}. Then resume it with: triggers backfill ${job} --resume`;
  }
}
