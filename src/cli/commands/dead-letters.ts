import { Command } from '@commander-js/extra-typings';
import type { Terminal } from '../terminal.ts';
import { discardCommand } from './dead-letters/discard.ts';
import { listCommand } from './dead-letters/list.ts';
import { redeliverCommand } from './dead-letters/redeliver.ts';
import { showCommand } from './dead-letters/show.ts';

export function deadLettersCommand(terminal: Terminal) {
  return new Command('dead-letters')
    .description('triggers that will not be sent without a decision: list, show, redeliver, discard')
    .addCommand(listCommand(terminal))
    .addCommand(showCommand(terminal))
    .addCommand(redeliverCommand(terminal))
    .addCommand(discardCommand(terminal))
    .addHelpText(
      'after',
      `
Each takes --json and has more help: triggers dead-letters list --help

Example:
  triggers dead-letters list --job vip-to-crm`,
    );
}
