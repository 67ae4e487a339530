import { definedOf } from '../../domain/json.ts';
import type { BackfillRequest, JobStatus } from '../../client/job-client.ts';
import { counted } from '../../domain/text.ts';
import { command, withJobs } from '../command.ts';
import { UsageError } from '../exit-code.ts';
import { collect, countingNumber, REASON } from '../options.ts';
import { inFlightText } from './pause.ts';

const ACTIONS = ['pause', 'resume', 'cancel'] as const;
type Action = (typeof ACTIONS)[number];

export const backfillCommand = command({
  name: 'backfill',
  description: 'send all current members as enters; or pause, resume or cancel the running backfill',
  takes: (it) =>
    it
      .argument('<job>', 'id of the job')
      .option('--audience <slug>', "only this one of the job's audiences; may be repeated", collect)
      .option('--sample <n>', 'send this many people, then pause until --resume', countingNumber)
      .option('--request-id <id>', 'two requests with the same id run it once')
      .option('--pause', 'pause the backfill; live triggers go on')
      .option('--resume', 'continue from where it was, even if its workflow was lost')
      .option('--cancel', 'end it; it skips people not sent yet')
      .option(...REASON),
  json: ': the status',
  notes: 'Its speed is a setting of the job: triggers edit JOB --backfill-rate 100',
  examples: ['triggers backfill vip-to-crm --audience vip --sample 1', 'triggers backfill vip-to-crm --resume'],
  async run([job], { audience, sample, requestId, reason, ...flags }, { print }) {
    const actions = ACTIONS.filter((action) => flags[action] === true);
    const [action] = actions;
    const starting = [audience, sample, requestId].some((option) => option !== undefined);
    if (actions.length > 1 || (action !== undefined && starting))
      throw new UsageError('Choose one: --pause, --resume, --cancel, or the options of a new backfill.');
    const request: BackfillRequest = {
      ...definedOf({ action, audiences: audience, sample, requestId }),
    };
    const status = await withJobs((jobs) => jobs.backfill(job, request, { reason }));
    print(status, () => doneText(job, action, sample, status));
  },
});

function doneText(
  job: string,
  action: Action | undefined,
  sample: number | undefined,
  { askedBefore, inFlight }: Pick<JobStatus, 'askedBefore' | 'inFlight'>,
): string {
  const watch = `Follow it with: triggers status ${job} --watch`;
  if (askedBefore !== undefined)
    return `Backfill ${askedBefore.n} of ${job} had been asked for under this request id, and is ${askedBefore.state}. No other was started. ${watch}`;
  switch (action) {
    case 'pause':
      return `The backfill of ${job} is paused.${inFlightText({ inFlight })} Resume it with: triggers backfill ${job} --resume`;
    case 'resume':
      return `The backfill of ${job} continues. ${watch}`;
    case 'cancel':
      return `The backfill of ${job} is cancelled.`;
    default:
      return sample === undefined
        ? `Requested a backfill of ${job}. ${watch}`
        : `Requested a backfill of ${job} that pauses after ${counted(sample, 'member')}. Then resume it with: triggers backfill ${job} --resume`;
  }
}
