import { Command } from '@commander-js/extra-typings';
import type { ExportJobs, WatchOptionsInput, WatchStatus } from '../../client/export-jobs.ts';
import { timeSpan, wholeNumber } from '../job-options.ts';
import { withJobs } from '../jobs.ts';
import { counted, duration } from '../numbers.ts';
import { watchLines } from '../render-watches.ts';
import { sentences } from '../render.ts';
import type { Terminal } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';

const ACTIONS = ['stop', 'now', 'accept'] as const;
type Action = (typeof ACTIONS)[number];

export function watchCommand(terminal: Terminal) {
  return new Command('watch')
    .description(
      'poll audiences whose source has no event stream, and tell every job that listens who entered and who left',
    )
    .argument('[audiences...]', 'slugs or ids of the audiences')
    .option('--every <time>', 'from one round to the next, 1s to 7d (default: 5m)', timeSpan)
    .option('--emit-existing', 'report everybody as entering where there is nothing to compare with')
    .option('--no-emit-existing', 'report nobody there (default)')
    .option(
      '--largest-exit <percent>',
      'when more members than this leave at once, hold that until it is seen twice; 100: never (default: 20)',
      wholeNumber,
    )
    .option('--list', 'show all watches')
    .option('--now', 'begin a round now')
    .option('--accept', 'believe what is held: they did leave')
    .option('--stop', 'end the watch')
    .option('--json', 'print JSON for machines: one watch a line')
    .addHelpText(
      'after',
      `
Run it again with other options to change a watch. What it costs, how late it is
and what it cannot see: docs/watch.md

Examples:
  triggers watch vip newsletter --every 5m
  triggers watch --list`,
    )
    .action(async (audiences, { json, list, ...flags }, command) => {
      // Commander sets true for the option that --no-emit-existing was declared to negate.
      const said = command.getOptionValueSource('emitExisting') === 'cli';
      const actions = ACTIONS.filter((action) => flags[action] === true);
      const options = optionsFrom({ ...flags, emitExisting: said ? flags.emitExisting : undefined });
      const isChange = Object.keys(options).length > 0;
      if (
        actions.length + Number(isChange) > 1 ||
        (list === true && (isChange || audiences.length + actions.length > 0))
      )
        throw new UsageError('Choose one: how to watch, --now, --accept, --stop, or --list alone.');
      if (list !== true && audiences.length === 0)
        throw new UsageError('Name the audiences to watch (triggers watch vip --every 5m), or use --list.');
      await withJobs(async (jobs) => {
        if (list === true) return await showAll(jobs, terminal, json === true);
        const [action] = actions;
        if (action === undefined) return await start(jobs, { audiences, options, terminal, json: json === true });
        for (const audience of audiences) {
          const status = await ask(jobs, audience, action);
          terminal.out(json === true ? JSON.stringify(status) : sentences(askedText(status, action), terminal));
        }
      });
    });
}

function optionsFrom(flags: {
  readonly every?: number | undefined;
  readonly emitExisting?: boolean | undefined;
  readonly largestExit?: number | undefined;
}): WatchOptionsInput {
  const { every, emitExisting, largestExit } = flags;
  return {
    ...(every === undefined ? {} : { everyMs: every }),
    ...(emitExisting === undefined ? {} : { emitExisting }),
    ...(largestExit === undefined ? {} : { largestExitPercent: largestExit }),
  };
}

interface Starting {
  readonly audiences: readonly string[];
  readonly options: WatchOptionsInput;
  readonly terminal: Terminal;
  readonly json: boolean;
}

async function start(jobs: ExportJobs, { audiences, options, terminal, json }: Starting): Promise<void> {
  for (const { isNew, status } of await jobs.watches.start(audiences, options)) {
    if (json) terminal.out(JSON.stringify({ isNew, ...status }));
    else terminal.out(sentences(startedText(isNew, status), terminal));
  }
}

function startedText(isNew: boolean, { audience, everyMs, emitExisting }: WatchStatus): string {
  const every = `every ${duration(everyMs)}`;
  if (!isNew) return `Already watching ${audience.slug}; now ${every}.`;
  const first = emitExisting ? 'Current members are reported as entering.' : 'Current members are not reported.';
  return `Watching ${audience.slug} ${every}. ${first} See how it goes with: triggers watch --list`;
}

async function ask(jobs: ExportJobs, audience: string, action: Action): Promise<WatchStatus> {
  switch (action) {
    case 'now':
      return await jobs.watches.scanNow(audience);
    case 'accept':
      return await jobs.watches.accept(audience);
    default:
      return await jobs.watches.stop(audience);
  }
}

function askedText({ audience, held }: WatchStatus, action: Action): string {
  switch (action) {
    case 'now':
      return `Reading the members of ${audience.slug} now.`;
    case 'accept':
      return held === undefined
        ? `Nothing is held for ${audience.slug}.`
        : `Accepted: ${counted(held.exits, 'member')} of ${audience.slug} left. They are read once more, then reported.`;
    default:
      return `Stopped watching ${audience.slug}.`;
  }
}

async function showAll(jobs: ExportJobs, terminal: Terminal, json: boolean): Promise<void> {
  const watches = await jobs.watches.list();
  if (json) return watches.forEach(({ audience, status }) => terminal.out(JSON.stringify(status ?? { audience })));
  if (watches.length === 0)
    return terminal.out('No audience is watched. Watch one with: triggers watch vip --every 5m');
  const nowMs = Date.now();
  for (const watch of watches) for (const line of watchLines(watch, { ...terminal, nowMs })) terminal.out(line);
}
