import { Command } from '@commander-js/extra-typings';
import { release } from '../config/release.ts';
import type { CommandMaker } from '../cli/command.ts';
import { apiCommand } from './api-command.ts';
import { applyCommand } from '../features/apply/command.ts';
import { attemptsCommand, traceCommand } from '../features/trace/command.ts';
import { audiencesCommand, authorizationsCommand } from '../cli/commands/audiences.ts';
import { backfillCommand } from '../cli/commands/backfill.ts';
import { codecServerCommand } from '../cli/commands/codec-server.ts';
import { consumeCommand } from '../features/consumers/command.ts';
import { deadLettersCommand } from '../cli/commands/dead-letters.ts';
import { hasDeliveryLog } from '../features/delivery-log/configured.ts';
import { forgottenJob } from '../features/delivery-log/forgotten-job.ts';
import { deliveriesCommand } from '../features/delivery-log/deliveries-command.ts';
import { doctorCommand } from '../features/doctor/command.ts';
import { editCommand, exportCommand } from '../cli/commands/edit.ts';
import { forgetCommand } from '../features/people/command.ts';
import { historyCommand } from '../features/delivery-log/history-command.ts';
import { ingestCommand } from '../features/ingests/command.ts';
import { listCommand, statusCommand } from '../cli/commands/status.ts';
import { newCommand } from '../features/wizard/command.ts';
import { pauseCommand, resumeCommand, retryCommand } from '../cli/commands/pause.ts';
import { pushCommand } from '../cli/commands/push.ts';
import { receiveCommand } from '../features/local/receive-command.ts';
import { reconcileCommand } from '../features/reconcile/command.ts';
import { replayCommand } from '../features/replay/command.ts';
import { recoverCommand } from '../features/recover/command.ts';
import { renderCommand, testCommand } from '../features/preview/commands.ts';
import { secretsCommand } from '../cli/commands/secrets.ts';
import { setupCommand } from '../cli/commands/setup.ts';
import { statsCommand } from '../features/delivery-log/stats-command.ts';
import { startCommand } from '../cli/commands/start.ts';
import { stopCommand } from '../cli/commands/stop.ts';
import { upCommand } from './up-command.ts';
import { watchCommand } from '../features/watch/command.ts';
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
  deadLettersCommand({ hasLog: hasDeliveryLog }),
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

/** Each returns a failure as it is, or a truer one that its feature knows. */
const TRUER: readonly ((error: unknown) => Promise<unknown>)[] = [forgottenJob];

/** Runs one command line; errors are shown on the terminal. */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const json = args.includes('--json');
  try {
    await createProgram(terminal, json).parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    let failure = error;
    for (const truer of TRUER) failure = await truer(failure);
    return reportFailure(failure, terminal, json);
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
