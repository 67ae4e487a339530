import type { Terminal } from '../../terminal.ts';
import { decide, whichFrom } from './decide.ts';
import { filteringCommand } from './filter-options.ts';

const WORDS = { asks: 'Discard', done: { one: 'discarded', many: 'discarded' }, failed: 'could not be discarded' };

export function discardCommand(terminal: Terminal) {
  return filteringCommand('discard')
    .description('drop for good')
    .argument('[id]', 'id of one dead letter, as the list shows it')
    .option('--all', 'all of them')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON for machines: one dead letter a line, with a failure when it was not discarded')
    .addHelpText(
      'after',
      `
Examples:
  triggers dead-letters discard 36e243f8fd8f4530bbd330fa7fb1a685-0
  triggers dead-letters discard --job vip-to-crm --older-than 7d`,
    )
    .action(async (id, { json, yes, all, ...filter }) => {
      const which = whichFrom(id, all, filter);
      await decide(terminal, { ...WORDS, json: json === true, yes: yes === true }, (deadLetters, options) =>
        deadLetters.discard(which, options),
      );
    });
}
