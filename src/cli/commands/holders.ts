import type { HolderTrouble, JobStatus } from '../../client/export-jobs.ts';
import { printable } from '../../domain/shown.ts';
import { confirmed, UserAborted, nobodyToAsk } from '../ask.ts';
import { command } from '../command.ts';
import { UsageError } from '../exit-code.ts';
import { withJobs } from '../jobs.ts';
import type { Terminal } from '../terminal.ts';

export const holdersCommand = command({
  name: 'holders',
  description: 'show the holders of a job that cannot be read, and decide about one',
  takes: (it) =>
    it
      .argument('<job>', 'id of the job')
      .option('--set-aside <holder>', 'let what stands behind it go on; the holder keeps its triggers')
      .option('--read <holder>', 'read it now; if it was set aside, its triggers become dead letters')
      .option('--yes', 'do not ask whether one is to be set aside'),
  json: ': the holders that cannot be read',
  notes: `A holder keeps waiting triggers outside of the job. One that cannot be read (its
payload key is missing, say) is read again and again, and what stands behind it waits.`,
  examples: [
    'triggers holders vip-to-crm',
    'triggers holders vip-to-crm --set-aside 12 --yes',
    'triggers holders vip-to-crm --read 12',
  ],
  async run([job], { setAside, read, yes }, { terminal, print }) {
    if (setAside !== undefined && read !== undefined) throw new UsageError('Choose one: --set-aside or --read.');
    if (yes === true && setAside === undefined) throw new UsageError('--yes belongs to --set-aside.');
    await withJobs(async (jobs) => {
      if (setAside !== undefined) {
        const found = (await jobs.status(job)).unreadableHolders?.find(({ holder }) => holder === setAside);
        if (!(await mayBeSetAside(terminal, setAside, found, yes === true))) throw new UserAborted('Nothing was done.');
      }
      const status =
        setAside !== undefined
          ? await jobs.decideHolder(job, { holder: setAside, action: 'set-aside' })
          : read !== undefined
            ? await jobs.decideHolder(job, { holder: read, action: 'read' })
            : await jobs.status(job);
      print(status.unreadableHolders ?? [], () => holderLines(job, status, { setAside, read }).join('\n'));
    });
  },
});

/** @throws UsageError where nobody can be asked and nobody said --yes: nothing was done. */
async function mayBeSetAside(
  terminal: Terminal,
  holder: string,
  found: HolderTrouble | undefined,
  yes: boolean,
): Promise<boolean> {
  if (yes) return true;
  if (terminal.stdin.isTTY !== true) throw nobodyToAsk();
  const why = found === undefined ? '' : ` (${printable(found.reason)})`;
  return await confirmed(
    terminal,
    `Later triggers of the people in holder ${holder}${why} will be sent before those in it. Set it aside?`,
  );
}

function holderLines(
  job: string,
  { unreadableHolders = [] }: JobStatus,
  { setAside, read }: { readonly setAside: string | undefined; readonly read: string | undefined },
): string[] {
  if (setAside !== undefined)
    return [
      `Holder ${setAside} of ${job} is set aside: what stood behind it goes on, and it keeps its triggers. Once it can be read: triggers holders ${job} --read ${setAside}`,
    ];
  if (read !== undefined)
    return [`Holder ${read} of ${job} is being read. See what came of it with: triggers holders ${job}`];
  if (unreadableHolders.length === 0) return [`${job} has no holder that cannot be read.`];
  return unreadableHolders.map(({ holder, reason, since, nextTryAt, isAside }) => {
    const next = isAside === true ? 'set aside' : `read again at ${nextTryAt?.slice(0, 19) ?? ''}Z`;
    return `${holder}: since ${since.slice(0, 19)}Z, ${next}. ${printable(reason)}`;
  });
}
