import { Command } from '@commander-js/extra-typings';
import { release } from '../config/release.ts';
import type { CommandMaker } from '../cli/command.ts';
import { apiCommand } from './api-command.ts';
import { applyCommand } from '../features/apply/command.ts';
import { attemptsCommand, traceCommand } from '../cli/commands/trace.ts';
import { audiencesCommand, authorizationsCommand } from '../cli/commands/audiences.ts';
import { backfillCommand } from '../cli/commands/backfill.ts';
import { codecServerCommand } from '../cli/commands/codec-server.ts';
import { consumeCommand } from '../features/consumers/command.ts';
import { deadLettersCommand } from '../cli/commands/dead-letters.ts';
import { deliveriesCommand } from '../cli/commands/deliveries.ts';
import { doctorCommand } from '../cli/commands/doctor.ts';
import { editCommand, exportCommand } from '../cli/commands/edit.ts';
import { forgetCommand } from '../cli/commands/forget.ts';
import { historyCommand } from '../cli/commands/history.ts';
import { ingestCommand } from '../features/ingests/command.ts';
import { listCommand, statusCommand } from '../cli/commands/status.ts';
import { newCommand } from '../features/wizard/command.ts';
import { pauseCommand, resumeCommand, retryCommand } from '../cli/commands/pause.ts';
import { pushCommand } from '../cli/commands/push.ts';
import { receiveCommand } from '../features/local/receive-command.ts';
import { reconcileCommand } from '../cli/commands/reconcile.ts';
import { replayCommand } from '../cli/commands/replay.ts';
import { recoverCommand } from '../features/recover/command.ts';
import { renderCommand, testCommand } from '../cli/commands/samples.ts';
import { secretsCommand } from '../cli/commands/secrets.ts';
import { setupCommand } from '../cli/commands/setup.ts';
import { statsCommand } from '../cli/commands/stats.ts';
import { startCommand } from '../cli/commands/start.ts';
import { stopCommand } from '../cli/commands/stop.ts';
import { upCommand } from './up-command.ts';
import { watchCommand } from '../cli/commands/watch.ts';
import { workerCommand } from './worker-command.ts';
import { type ExitCode, reportFailure } from '../cli/exit-code.ts';
import { refuseDoubtfulOptions } from '../cli/options.ts';
import type { Terminal } from '../cli/terminal.ts';
import { sentences } from '../cli/text.ts';

/** In the order in which a newcomer needs them. */
const COMMANDS: readonly CommandMaker[] = [
  upCommand,
  workerCommand,
  setupCommand,
  newCommand,
  renderCommand,
  testCommand,
  startCommand,
  pushCommand,
  listCommand,
  statusCommand,
  doctorCommand,
  traceCommand,
  attemptsCommand,
  deliveriesCommand,
  statsCommand,
  pauseCommand,
  resumeCommand,
  retryCommand,
  recoverCommand,
  editCommand,
  historyCommand,
  applyCommand,
  exportCommand,
  backfillCommand,
  reconcileCommand,
  replayCommand,
  stopCommand,
  watchCommand,
  deadLettersCommand,
  forgetCommand,
  audiencesCommand,
  authorizationsCommand,
  secretsCommand,
  receiveCommand,
  apiCommand,
  ingestCommand,
  consumeCommand,
  codecServerCommand,
];

/** Runs one command line; errors are shown on the terminal. */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const json = args.includes('--json');
  try {
    await createProgram(terminal, json).parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    return reportFailure(error, terminal, json);
  }
}

/**
 * All commands, as `run` parses them; exported so that a test can compare the documentation with them.
 * @param json leaves mistakes in the command line to `reportFailure`.
 */
export function createProgram(terminal: Terminal, json = false): Command {
  const program = new Command('triggers')
    .description('Tell another system, by webhook, when a person enters or leaves an audience.')
    .version(release())
    .showHelpAfterError('(see --help)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => {
        if (!json) terminal.err(sentences(text.trimEnd(), terminal));
      },
    })
    .addHelpText(
      'after',
      `
Exit codes: 0 success; 1 failure; 2 wrong usage, or an invalid job, trigger or
configuration.
Meaning and fix of each error: docs/errors.md, by its name in --json.
To reach Temporal: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY …

Example:
  triggers up`,
    );
  for (const command of COMMANDS) {
    const made = command(terminal);
    program.addCommand(made.copyInheritedSettings(program));
    for (const part of made.commands) part.copyInheritedSettings(made);
    for (const one of [made, ...made.commands]) refuseDoubtfulOptions(one);
  }
  return program;
}
