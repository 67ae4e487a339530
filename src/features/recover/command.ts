import { recover } from './recover.ts';
import type { JobStatus } from '../../client/job-client.ts';
import { counted } from '../../domain/text.ts';
import { command, withJobs } from '../../cli/command.ts';
import { sentences } from '../../cli/text.ts';

export const recoverCommand = command({
  name: 'recover',
  description: 'restart a terminated job as it was, with every trigger not known to be delivered',
  takes: (it) => it.argument('<job>', 'id of the job'),
  json: ': the status',
  notes: `A terminated job is rebuilt from its history, as long as the server keeps it
(triggers status shows until when).`,
  examples: ['triggers recover vip-to-crm'],
  async run([job], _options, { terminal, print }) {
    const onWait = (until: number) => {
      const seconds = Math.ceil((until - Date.now()) / 1000);
      const text = `Waiting ${seconds} s, until nothing of the terminated run can be in flight any more.`;
      terminal.err(sentences(text, terminal));
    };
    const status = await withJobs((jobs) => recover(jobs.core, job, { onWait }));
    print(status, () => recoveredText(job, status));
  },
});

type RecoveredJob = Pick<JobStatus, 'state' | 'reason' | 'waiting' | 'kept' | 'endpoint' | 'waits'>;

/** The text about waiting triggers, now that the job exists again. */
export function recoveredText(job: string, { state, reason, waiting, kept, endpoint, waits }: RecoveredJob): string {
  if (kept !== undefined)
    return `Recovered ${job}. It is stopped, as it was, and keeps ${counted(kept.waiting, 'trigger')}. Send them with: triggers resume ${job}`;
  const recovered = `Recovered ${job}; ${counted(waiting, 'trigger')} waiting.`;
  if (state !== 'running') {
    const advice = state === 'paused' ? ` Resume it with: triggers resume ${job}` : '';
    return `${recovered} It is ${state}${reason === undefined ? '.' : `: ${reason}`}${advice}`;
  }
  if (waiting === 0) return `${recovered} It is running.`;
  const they = waiting === 1 ? 'It is' : 'They are';
  if (endpoint?.state === 'unhealthy' || waits.endpoint !== undefined)
    return `${recovered} ${they} sent once the endpoint takes requests again. See: triggers status ${job}`;
  return `${recovered} ${they} sent now. Follow it with: triggers status ${job} --watch`;
}
