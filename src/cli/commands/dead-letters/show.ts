import { Command } from '@commander-js/extra-typings';
import { stringifyJson } from '../../../domain/json.ts';
import { withJobs } from '../../jobs.ts';
import { reportLines } from '../../render-dead-letters.ts';
import type { Terminal } from '../../terminal.ts';

export function showCommand(terminal: Terminal) {
  return new Command('show')
    .description('show all about one: who, what, when, what the endpoint answered, and what to do')
    .argument('<id>', 'id of the dead letter, as the list shows it, or its workflow id')
    .option('--json', 'print JSON for machines')
    .addHelpText(
      'after',
      `
Example:
  triggers dead-letters show 36e243f8fd8f4530bbd330fa7fb1a685-0`,
    )
    .action(async (id, { json }) => {
      const letter = await withJobs((jobs) => jobs.deadLetters.show(id));
      // A profile's integers keep their digits.
      if (json === true) return terminal.out(stringifyJson(letter));
      for (const line of reportLines(letter, { nowMs: Date.now(), ...terminal })) terminal.out(line);
    });
}
