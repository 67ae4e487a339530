import type { Terminal } from '../../terminal.ts';
import { decide, whichFrom } from './decide.ts';
import { filteringCommand } from './filter-options.ts';

const WORDS = {
  asks: 'Redeliver',
  done: { one: 'with its job again', many: 'with their jobs again' },
  failed: 'could not be redelivered',
};

export function redeliverCommand(terminal: Terminal) {
  return filteringCommand('redeliver')
    .description("send again, last in its person's order and with the same webhook-id")
    .argument('[id]', 'id of one dead letter, as the list shows it')
    .option('--all', 'all of them')
    .option('--force', 'also what contradicts who is in the audience today')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON for machines: one dead letter a line, with a failure when it was not redelivered')
    .addHelpText(
      'after',
      `
Examples:
  triggers dead-letters redeliver 36e243f8fd8f4530bbd330fa7fb1a685-0
  triggers dead-letters redeliver --job vip-to-crm --failure "HTTP 422"`,
    )
    .action(async (id, { json, yes, all, force, ...filter }) => {
      const which = whichFrom(id, all, filter);
      await decide(terminal, { ...WORDS, json: json === true, yes: yes === true }, (deadLetters, options) =>
        deadLetters.redeliver(which, { ...options, force: force === true }),
      );
    });
}
