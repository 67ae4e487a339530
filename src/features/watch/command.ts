import { Watches } from './watches.ts';
import { definedOf } from '../../domain/json.ts';
import type { DeedOptions, JobClient } from '../../client/job-client.ts';
import type { WatchOptionsInput, WatchStatus } from './sandbox/watch.ts';
import { LONGEST_WATCH_MS, SHORTEST_WATCH_MS } from '../../contract/duration.ts';
import { counted, duration, printable } from '../../domain/text.ts';
import { confirmLoss } from '../../cli/ask.ts';
import { command, type Invocation, withJobs } from '../../cli/command.ts';
import { UsageError } from '../../cli/exit-code.ts';
import { percent, REASON, timeSpan } from '../../cli/options.ts';
import { settingsText, stopLoss } from './sandbox/rows.ts';
import { watchLines } from './render.ts';
import { sentences } from '../../cli/text.ts';

const ACTIONS = ['stop', 'now', 'accept'] as const;
type Action = (typeof ACTIONS)[number];

export const watchCommand = command({
  name: 'watch',
  description: 'poll audiences for changes, and publish enters and exits to every subscribed job',
  takes: (it) =>
    it
      .argument('[audiences...]', 'slugs or ids of the audiences')
      .option(
        '--every <time>',
        'start a round this often, 1s to 7d (default: 5m)',
        timeSpan(SHORTEST_WATCH_MS, LONGEST_WATCH_MS),
      )
      .option('--existing-users', 'publish all members as enters when there is no earlier snapshot')
      .option('--no-existing-users', 'publish nothing then (default)')
      .option(
        '--largest-exit <percent>',
        'hold a round if more members than this leave at once; 100: never (default: 20)',
        percent,
      )
      .option('--list', 'show all watches')
      .option('--now', 'start a round now')
      .option('--accept', 'accept the held exits')
      .option('--stop', 'stop the watch')
      .option(...REASON)
      .option('--yes', 'do not ask before --stop; required without a terminal if changes are lost'),
  json: ': one watch a line',
  notes: `To change a watch, run it again with other options. Costs, delay and limits:
docs/watch.md`,
  examples: ['triggers watch vip newsletter --every 5m', 'triggers watch --list'],
  async run([audiences], { list, yes, reason, ...flags }, invocation) {
    const { isGiven, json, print, terminal } = invocation;
    const actions = ACTIONS.filter((action) => flags[action] === true);
    const options = optionsFrom({
      ...flags,
      existingUsers: isGiven('existingUsers') ? flags.existingUsers : undefined,
    });
    const isChange = Object.keys(options).length > 0;
    if (actions.length + Number(isChange) > 1 || (list === true && (isChange || audiences.length + actions.length > 0)))
      throw new UsageError('Choose one: settings, --now, --accept, --stop, or --list alone.');
    if (list !== true && audiences.length === 0)
      throw new UsageError('Name the audiences to watch (triggers watch vip --every 5m), or use --list.');
    await withJobs(async (jobs) => {
      if (list === true) return await showAll(jobs, invocation);
      const [action] = actions;
      if (action === undefined) return await start(jobs, audiences, options, { reason }, invocation);
      if (action === 'stop') {
        const statuses = await Promise.all(audiences.map((audience) => new Watches(jobs.core).status(audience)));
        const losses = statuses.map(stopLoss).filter((loss) => loss !== '');
        await confirmLoss(losses.join('\n'), 'Stop it?', { terminal, json, yes: yes === true });
      }
      for (const audience of audiences) {
        const status = await ask(jobs, audience, action, { reason });
        print(status, () => doneText(status, action));
      }
    });
  },
});

function optionsFrom(flags: {
  readonly every?: number | undefined;
  readonly existingUsers?: boolean | undefined;
  readonly largestExit?: number | undefined;
}): WatchOptionsInput {
  const { every, existingUsers, largestExit } = flags;
  return {
    ...definedOf({ everyMs: every, existingUsers, largestExitPercent: largestExit }),
  };
}

async function start(
  jobs: JobClient,
  audiences: readonly string[],
  options: WatchOptionsInput,
  deed: DeedOptions,
  { terminal, json, print }: Invocation,
): Promise<void> {
  for (const { isNew, status, warnings } of await new Watches(jobs.core).start(audiences, options, deed)) {
    print({ isNew, ...status, warnings }, () => startedText(isNew, status));
    if (!json) for (const warning of warnings) terminal.err(sentences(`Warning: ${printable(warning)}`, terminal));
  }
}

/** The text for a started watch, or for new settings of a running one; exported for its test. */
export function startedText(
  isNew: boolean,
  status: Pick<WatchStatus, 'audience' | 'everyMs' | 'existingUsers' | 'largestExitPercent'>,
): string {
  const { audience, everyMs, existingUsers } = status;
  const every = `every ${duration(everyMs)}`;
  if (!isNew) return `Already watching ${audience.slug}, ${every}. ${settingsText(status)}`;
  const first = existingUsers
    ? 'The first round publishes all members as enters.'
    : 'The first round publishes nothing.';
  return `Watching ${audience.slug} ${every}. ${first} Follow it with: triggers watch --list`;
}

async function ask(jobs: JobClient, audience: string, action: Action, deed: DeedOptions): Promise<WatchStatus> {
  switch (action) {
    case 'now':
      return await new Watches(jobs.core).startRound(audience, deed);
    case 'accept':
      return await new Watches(jobs.core).accept(audience, deed);
    default:
      return await new Watches(jobs.core).stop(audience, deed);
  }
}

function doneText({ audience, held }: WatchStatus, action: Action): string {
  switch (action) {
    case 'now':
      return `Starting a round of ${audience.slug} now.`;
    case 'accept':
      return held === undefined
        ? `Nothing is held for ${audience.slug}.`
        : `Accepted: ${counted(held.exits, 'exit')} from ${audience.slug}. The next round starts now and publishes them.`;
    default:
      return `Stopped watching ${audience.slug}.`;
  }
}

async function showAll(jobs: JobClient, { terminal, printEach }: Invocation): Promise<void> {
  const watches = await new Watches(jobs.core).list();
  const nowMs = Date.now();
  printEach(
    watches.map(({ status, ...rest }) => status ?? rest),
    () =>
      watches.length === 0
        ? 'No audience is watched. Watch one with: triggers watch vip --every 5m'
        : watches.flatMap((watch) => watchLines(watch, { ...terminal, nowMs })),
  );
}
